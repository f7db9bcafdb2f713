"""What one look of the watch says about alerts: pure, without a session or a clock."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from maintenance.alerts.models import FindingSet
from maintenance.alerts.state import BAND
from maintenance.engine.findings import (
    REDIS,
    UNKNOWN,
    WORKLOAD,
    Finding,
    FindingKind,
    Reading,
    Severity,
    unknown_without,
)
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import quote
from maintenance.pipeline.asked import as_asked, as_health_asked
from maintenance.pipeline.reachability import standby_error
from maintenance.policy import Policy, WorkloadPolicy
from maintenance.redaction import redact, redact_values
from maintenance.subjects.redis.plan import RedisObservation, redis_findings
from maintenance.subjects.workload.blind_spots import no_monitor_finding
from maintenance.subjects.workload.models import WorkloadSnapshot
from maintenance.subjects.workload.sample_findings import observed_objects, sample_findings


def unusable(
    load: WorkloadSnapshot | None, error: MaintenanceError | None
) -> UnreachableError | None:
    """Return why the database can't be used; a query that failed is another matter."""
    if isinstance(error, UnreachableError):
        return error
    if load is not None and load.server.in_recovery:
        return standby_error()
    return None


def workload_set(
    policy: Policy, load: WorkloadSnapshot | None, error: MaintenanceError | None, role: str
) -> FindingSet | None:
    """Return what a sample says.

    Args:
        policy: the policy of the database.
        load: the sample; None if there is none.
        error: why there is none.
        role: that took it.

    Returns:
        None if the database could not be reached: nothing is known then.
    """
    name = policy.database.name
    if load is None:
        return None if isinstance(error, UnreachableError) else _blind(name, error)
    section = policy.workload or WorkloadPolicy()
    findings = list(as_asked(policy, WORKLOAD, sample_findings(name, section, load)))
    observed = dict(observed_objects(name, load))
    if load.server.monitors:
        observed[FindingKind.PRIVILEGE_MISSING] = [name]
    else:
        found = no_monitor_finding(policy.database.name, quote(role))
        findings.append(as_health_asked(policy, found))
    return _of(name, WORKLOAD, findings, observed)


def _blind(name: str, error: MaintenanceError | None) -> FindingSet:
    object_ = f"{name}/workload/server"
    finding = Finding(
        FindingKind.MONITOR_BLIND,
        Severity.ERROR,
        object_,
        f"{object_}: not checked: {error}",
        data={UNKNOWN: unknown_without(Reading.REPLICA, None)},
    )
    return _of(name, WORKLOAD, [finding], {FindingKind.MONITOR_BLIND: [object_]})


def redis_set(policy: Policy, seen: RedisObservation, now: datetime) -> FindingSet:
    """Return what the cache's counters say; an unknown hit rate leaves its alert as it is."""
    name = policy.database.name
    findings = list(redis_findings(policy, seen, now))
    observed: dict[FindingKind, list[str]] = {FindingKind.REDIS_UNREACHABLE: [name]}
    least, rate = (policy.workload or WorkloadPolicy()).redis_hit_rate, seen.hit_rate
    if rate is not None:
        observed[FindingKind.REDIS_HIT_RATE_LOW] = [name]
        if least <= rate <= least * (1 + BAND):
            findings.append(
                Finding(
                    FindingKind.REDIS_HIT_RATE_LOW,
                    Severity.INFO,
                    name,
                    f"{name}: Redis hit rate {rate:.0%}, near the limit of {least:.0%}",
                    value=round(rate, 4),
                    threshold=least,
                )
            )
    return _of(name, REDIS, findings, observed)


def _of(
    name: str,
    subject: str,
    findings: Sequence[Finding],
    observed: Mapping[FindingKind, Sequence[str]],
) -> FindingSet:
    signed = [
        replace(
            finding,
            subject="" if finding.kind is FindingKind.PRIVILEGE_MISSING else subject,
            message=redact(finding.message),
            data=redact_values(finding.data),
        )
        for finding in findings
    ]
    return FindingSet(
        name, signed, frozenset(observed), subjects=frozenset({subject}), objects=observed
    )
