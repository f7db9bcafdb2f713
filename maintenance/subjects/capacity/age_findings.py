"""Findings on tables whose transaction or multixact ids are old: pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from maintenance import trend
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import readable_size
from maintenance.names import QualifiedName
from maintenance.policy.thresholds import CapacityPolicy, WorkloadPolicy
from maintenance.subjects.capacity.models import Age, CapacityObservation, Cliff

IDS = 2**31
"""Transaction or multixact ids that can be told apart: at such an age writes are refused."""
NEARLY_USED = 0.75
"""From this share on, VACUUM leaves out all but freezing, see vacuum_failsafe_age."""
OVERDUE = 2
"""Times the age at which autovacuum freezes, from which on it has evidently not managed to."""
MOST = 5


class Oldest(NamedTuple):
    """The oldest ids of a table, and the share of all ids that were assigned since."""

    age: Age
    ids: str
    n_ids: int

    @property
    def share(self) -> float:
        """The share of the ids used since."""
        return self.n_ids / IDS


def age_findings(
    database: str,
    section: CapacityPolicy,
    workload: WorkloadPolicy,
    seen: CapacityObservation,
    now: datetime,
) -> Iterator[Finding]:
    """Yield the tables with the oldest ids, up to five."""
    found = [
        finding
        for oldest in _by_table(seen)
        if (finding := _finding(database, section, workload, seen, oldest, now)) is not None
    ]
    yield from found[:MOST]


def _by_table(seen: CapacityObservation) -> list[Oldest]:
    """Return the oldest ids of each table, the oldest first; a TOAST table counts for its own."""
    found: dict[QualifiedName, Oldest] = {}
    for age in seen.ages:
        of_rows = age.xid_age >= age.multixact_age
        oldest = Oldest(
            age,
            "transaction" if of_rows else "multixact",
            max(age.xid_age, age.multixact_age),
        )
        known = found.get(age.table)
        if known is None or oldest.n_ids > known.n_ids:
            found[age.table] = oldest
    return sorted(found.values(), key=lambda oldest: -oldest.n_ids)


def _finding(
    database: str,
    section: CapacityPolicy,
    workload: WorkloadPolicy,
    seen: CapacityObservation,
    oldest: Oldest,
    now: datetime,
) -> Finding | None:
    per_day = _per_day(database, seen, oldest.ids, now)
    left = timedelta(days=(IDS - oldest.n_ids) / per_day) if per_day else None
    severity = _severity(section, workload, seen, oldest, left)
    if severity is None:
        return None
    age = oldest.age
    reached_at = now + left if left is not None and left < trend.NEVER else None
    when = f"; at the present rate on {reached_at:%Y-%m-%d}" if reached_at is not None else ""
    where = "its TOAST table" if age.is_toast else "it"
    size = f" ({readable_size(age.size_bytes)})" if age.size_bytes else ""
    statement = f"VACUUM (FREEZE, VERBOSE) {age.table}"
    remedy = (
        "It is a temporary table, which only its own session can vacuum: end that session"
        if age.is_temporary
        else "End what holds back VACUUM (old transactions, prepared transactions, slots), then"
        f" run {statement}"
    )
    return Finding(
        FindingKind.WRAPAROUND_RISK,
        severity,
        str(age.table),
        f"{age.table}: {where}{size} was last frozen {oldest.n_ids:,}"
        f" {oldest.ids} ids ago, {oldest.share:.0%} of those that exist; at 100% the server"
        f" refuses writes{when}. {remedy}",
        value=round(oldest.share, 3),
        threshold=workload.wraparound,
        data={
            "ids": oldest.ids,
            "xid_age": age.xid_age,
            "multixact_age": age.multixact_age,
            "is_toast": age.is_toast,
            "size_bytes": age.size_bytes,
            "per_day": per_day,
            "reached_at": reached_at.isoformat() if reached_at is not None else None,
            "n_tables": age.n_tables,
            "remedy": remedy,
            "statements": [] if age.is_temporary else [statement],
        },
    )


def _per_day(database: str, seen: CapacityObservation, ids: str, now: datetime) -> float | None:
    """Return how many ids are assigned a day; None if not known, or none are."""
    if seen.limits is None:
        return None
    is_rows = ids == "transaction"
    cliff = Cliff.TRANSACTION_IDS if is_rows else Cliff.MULTIXACT_IDS
    current = seen.limits.next_xid if is_rows else seen.limits.next_multixact
    past = seen.past.get((cliff.value, database), ())
    known = trend.fit([*past, (now, float(current))])
    return known.per_day if known is not None and known.per_day > 0 else None


def _severity(
    section: CapacityPolicy,
    workload: WorkloadPolicy,
    seen: CapacityObservation,
    oldest: Oldest,
    left: timedelta | None,
) -> Severity | None:
    """Return how serious an age is.

    Below the policy's share it counts only if autovacuum is overdue and little time is left.
    """
    if oldest.share >= NEARLY_USED:
        return Severity.ERROR
    due = seen.limits.freeze_max_age if seen.limits is not None else IDS
    is_overdue = oldest.n_ids >= OVERDUE * due
    if left is not None and is_overdue and left <= section.urgent_within:
        return Severity.ERROR
    if left is not None and is_overdue and left <= section.within:
        return Severity.WARN
    return Severity.WARN if oldest.share > workload.wraparound else None
