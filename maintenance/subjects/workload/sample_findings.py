"""Findings on a sample: the same rules as the nightly observation, with a band for the end.

A value near its limit may exceed it again in the next minute. So a finding of severity info is kept
for it, which raises nothing and keeps an alert open.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from maintenance.alerts.formatting import readable
from maintenance.alerts.state import BAND
from maintenance.engine.findings import Finding, FindingKind, Reading, Severity
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.subjects.workload.blind_spots import blind_spot_findings
from maintenance.subjects.workload.lock_findings import LEAST_WAIT_S
from maintenance.subjects.workload.models import WorkloadSnapshot
from maintenance.subjects.workload.running_findings import LEAST_RUNNING, running_object
from maintenance.subjects.workload.server_findings import watched_findings

VOLATILE = (
    Reading.SESSIONS,
    Reading.LOCKS,
    Reading.RUNNING,
    Reading.WRAPAROUND,
    Reading.REPLICATION,
)
"""The readings of a sample."""


def sample_findings(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot
) -> Iterator[Finding]:
    """Yield what exceeds a limit or nearly does, and what could not be read."""
    found = list(watched_findings(database, section, load))
    known = {(finding.kind, finding.object) for finding in found}
    limits = _limits(section)
    yield from found
    for finding in watched_findings(database, _nearer(section), load, 1 - BAND):
        if (finding.kind, finding.object) not in known:
            limit = limits[finding.kind]
            numbers = readable(finding.kind, finding.value, limit)
            yield replace(
                finding,
                severity=Severity.INFO,
                message=f"{finding.object}: {numbers}: not exceeded, but within {BAND:.0%} of it",
                threshold=limit,
            )
    yield from blind_spot_findings(database, load)


def observed_objects(database: str, load: WorkloadSnapshot) -> Mapping[FindingKind, list[str]]:
    """Return what a sample observes, by kind: alerts on other objects are not its own to resolve.

    A standby has no slots and standbys to compare with, and its ids are those of its primary.
    """
    observed = {
        FindingKind.CONNECTIONS_SATURATED: [database],
        FindingKind.IDLE_IN_TRANSACTION: [database],
        FindingKind.LONG_TRANSACTION: [database],
        FindingKind.SESSIONS_BLOCKED: [database],
        FindingKind.QUERY_SLOW: [running_object(database)],
        FindingKind.MONITOR_BLIND: [
            f"{database}/workload/{reading}" for reading in ("server", *VOLATILE, "counters")
        ],
    }
    if load.server.in_recovery:
        return observed
    return {
        **observed,
        FindingKind.WRAPAROUND_RISK: [database],
        FindingKind.REPLICATION_LAG: [f"{database}/slot/", f"{database}/standby/"],
    }


def _nearer(section: WorkloadPolicy) -> WorkloadPolicy:
    """Return the limits at which a finding is over for good."""
    share = 1 - BAND
    return section.model_copy(
        update={
            "connections": section.connections * share,
            "idle_in_transaction": section.idle_in_transaction * share,
            "long_transaction": section.long_transaction * share,
            "slow_query": section.slow_query * share,
            "wraparound": section.wraparound * share,
            "replication_lag": round(section.replication_lag * share),
        }
    )


def _limits(section: WorkloadPolicy) -> Mapping[FindingKind, float]:
    return {
        FindingKind.CONNECTIONS_SATURATED: section.connections,
        FindingKind.IDLE_IN_TRANSACTION: section.idle_in_transaction.total_seconds(),
        FindingKind.LONG_TRANSACTION: section.long_transaction.total_seconds(),
        FindingKind.SESSIONS_BLOCKED: LEAST_WAIT_S,
        FindingKind.QUERY_SLOW: max(section.slow_query, LEAST_RUNNING).total_seconds() * 1000,
        FindingKind.WRAPAROUND_RISK: section.wraparound,
        FindingKind.REPLICATION_LAG: section.replication_lag,
    }
