"""Findings on the replicas of the policy, each with the replica's name."""

from collections.abc import Iterator
from datetime import datetime

from maintenance.engine.findings import (
    UNKNOWN,
    Finding,
    FindingKind,
    Reading,
    Severity,
    unknown_without,
)
from maintenance.errors import NO_REPLICA
from maintenance.formatting import readable_size
from maintenance.policy import Policy
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.subjects.workload.blind_spots import blind_spot_findings
from maintenance.subjects.workload.models import Standby, WorkloadSnapshot
from maintenance.subjects.workload.server_findings import server_findings
from maintenance.subjects.workload.statement_findings import query_findings
from maintenance.subjects.workload.targets import targets_of


def standby_findings(
    policy: Policy, section: WorkloadPolicy, load: WorkloadSnapshot, now: datetime
) -> Iterator[Finding]:
    """Yield the findings on replicas; their objects begin with `<database>/<replica>`."""
    for standby in load.standbys:
        place = f"{policy.database.name}/{standby.name}"
        if standby.load is None:
            yield _silent(place, standby, is_optional=policy.database.optional_replicas)
            continue
        yield from _lagging(place, section, standby)
        yield from server_findings(place, section, standby.load, now)
        yield from query_findings(place, section, standby.load, targets_of(policy))
        for finding in blind_spot_findings(place, standby.load):
            # the catalog is the same on all servers
            if finding.kind is not FindingKind.EXTENSION_MISSING or not load.statements.remedy:
                yield finding


def _lagging(place: str, section: WorkloadPolicy, standby: Standby) -> Iterator[Finding]:
    lag, limit = standby.lag_bytes, section.replication_lag
    if lag is not None and lag > limit:
        since = f", {standby.lag_s:.0f} s" if standby.lag_s is not None else ""
        yield Finding(
            FindingKind.REPLICATION_LAG,
            Severity.WARN,
            place,
            f"{place}: the replica is {readable_size(lag)}{since} behind, wanted at most"
            f" {readable_size(limit)}; check whether it still receives WAL, and which of its"
            " queries delays replay",
            value=lag,
            threshold=limit,
            data={"lag_bytes": lag, "lag_s": standby.lag_s},
        )


def _silent(place: str, standby: Standby, *, is_optional: bool) -> Finding:
    is_tolerated = is_optional and standby.reason not in NO_REPLICA
    return Finding(
        FindingKind.MONITOR_BLIND,
        Severity.WARN if is_tolerated else Severity.ERROR,
        place,
        f"{place}: replica not monitored: {standby.silence}",
        data={"reason": standby.reason, UNKNOWN: unknown_without(Reading.REPLICA, [place])},
    )
