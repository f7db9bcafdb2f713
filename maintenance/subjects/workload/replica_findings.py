"""What the owner should know of the replicas of the policy, each told with its name."""

from collections.abc import Iterator
from datetime import datetime

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity, unknown_without
from maintenance.formatting import readable_size
from maintenance.policy import Policy
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.subjects.workload.blind_spots import blind_spot_findings
from maintenance.subjects.workload.models import Standby, WorkloadSnapshot
from maintenance.subjects.workload.server_findings import server_findings
from maintenance.subjects.workload.statement_findings import query_findings


def standby_findings(
    policy: Policy, section: WorkloadPolicy, load: WorkloadSnapshot, now: datetime
) -> Iterator[Finding]:
    """Yield what the replicas of the policy tell; objects begin with `<database>/<replica>`."""
    for standby in load.standbys:
        place = f"{policy.database.name}/{standby.name}"
        if standby.load is None:
            yield _silent(place, standby, is_optional=policy.database.optional_replicas)
            continue
        yield from _lagging(place, section, standby)
        yield from server_findings(place, section, standby.load, now)
        yield from query_findings(place, section, standby.load)
        for finding in blind_spot_findings(place, standby.load):
            # what the catalog lacks it lacks everywhere
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
            f" {readable_size(limit)}; look whether it still receives, and which of its queries"
            " holds replay up",
            value=lag,
            threshold=limit,
            data={"lag_bytes": lag, "lag_s": standby.lag_s},
        )


def _silent(place: str, standby: Standby, *, is_optional: bool) -> Finding:
    return Finding(
        FindingKind.MONITOR_BLIND,
        Severity.WARN if is_optional else Severity.ERROR,
        place,
        f"{place}: {standby.silence}; nobody sees what goes on there",
        data={UNKNOWN: unknown_without("replica", [place])},
    )
