"""Findings on slots and standbys that hold back VACUUM by old snapshots."""

from collections.abc import Iterator, Sequence

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.subjects.workload.models import Holder, WorkloadSnapshot

OLD = 10_000_000
"""Largest accepted age in transactions; for slots and standbys the duration is unknown."""
SHOWN = 3


def holder_findings(database: str, load: WorkloadSnapshot) -> Iterator[Finding]:
    """Yield the slots and standbys that hold back VACUUM; sessions are reported by duration."""
    for holder in load.holders:
        if holder.what in ("slot", "standby") and holder.age > OLD:
            yield Finding(
                FindingKind.LONG_TRANSACTION,
                Severity.WARN,
                f"{database}/{holder.what}/{holder.name}",
                f"{database}: {holder.what} {holder.name} holds back VACUUM by {holder.age:,}"
                f" transactions, wanted at most {OLD:,}; end the old queries of its consumer, or"
                " drop the slot if it is not needed",
                value=holder.age,
                threshold=OLD,
                data=holder._asdict(),
            )


def held_back_by(holders: Sequence[Holder]) -> str:
    """Return the worst holders as text; empty if there are none."""
    return ", ".join(f"{_who(each)} ({each.age:,} transactions)" for each in holders[:SHOWN])


def _who(holder: Holder) -> str:
    if holder.what == "session":
        return f"pid {holder.pid} ({holder.role}, {holder.application or 'no application name'})"
    return f"{holder.what} {holder.name}"
