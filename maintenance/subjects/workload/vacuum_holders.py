"""Who keeps VACUUM from cleaning: the oldest snapshots, whoever has them."""

from collections.abc import Iterator, Sequence

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.subjects.workload.models import Holder, WorkloadSnapshot

OLD = 10_000_000
"""Transactions that a slot or a standby may need, at most; neither tells for how long."""
SHOWN = 3


def holder_findings(database: str, load: WorkloadSnapshot) -> Iterator[Finding]:
    """Yield the slots and standbys that hold on to too much; sessions are told by their time."""
    for holder in load.holders:
        if holder.what in ("slot", "standby") and holder.age > OLD:
            yield Finding(
                FindingKind.LONG_TRANSACTION,
                Severity.WARN,
                f"{database}/{holder.what}/{holder.name}",
                f"{database}: {holder.what} {holder.name} still needs what {holder.age:,}"
                f" transactions ago was there, wanted at most {OLD:,}; VACUUM can't clean it: end"
                " the old queries of its reader, or drop the slot if nobody needs it",
                value=holder.age,
                threshold=OLD,
                data=holder._asdict(),
            )


def held_back_by(holders: Sequence[Holder]) -> str:
    """Name the worst holders; empty where nobody is seen to hold anything."""
    return ", ".join(f"{_who(each)} ({each.age:,} transactions)" for each in holders[:SHOWN])


def _who(holder: Holder) -> str:
    if holder.what == "session":
        return f"pid {holder.pid} ({holder.role}, {holder.application or 'no application name'})"
    return f"{holder.what} {holder.name}"
