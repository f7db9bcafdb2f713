"""The next work of a policy's schedules. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

from maintenance.formatting import readable_size
from maintenance.monitoring.models import Coming
from maintenance.partition_set.expected import horizon
from maintenance.policy import PartitionPolicy, Policy
from maintenance.policy.cron import next_tick
from maintenance.subjects.partitions.inventory import TableInventory


def coming(policy: Policy, tables: Sequence[TableInventory], now: datetime) -> tuple[Coming, ...]:
    """Return the next tick of each schedule and its work, the earliest first."""
    return tuple(sorted(_coming(policy, tables, now)))


def _coming(policy: Policy, tables: Sequence[TableInventory], now: datetime) -> Iterator[Coming]:
    schedules = policy.schedules
    yield Coming(next_tick(schedules.nightly, now), "nightly checks and repairs")
    yield from _refreshes(policy, now)
    if policy.partitions:
        at = next_tick(schedules.monthly, now)
        yield from (_ahead(section, at) for section in policy.partitions)
    if any(section.retention for section in policy.partitions):
        yield _retired(next_tick(schedules.retention, now), tables)
    if policy.indexes is not None:
        yield Coming(next_tick(schedules.weekly, now), "weekly index review")


def _refreshes(policy: Policy, now: datetime) -> Iterator[Coming]:
    of_cron: defaultdict[str, list[str]] = defaultdict(list)
    for section in policy.matviews:
        of_cron[section.refresh or policy.schedules.nightly].append(str(section.name))
    for cron, names in of_cron.items():
        yield Coming(next_tick(cron, now), f"refresh {', '.join(names)} if changed")


def _ahead(section: PartitionPolicy, at: datetime) -> Coming:
    return Coming(at, f"create partitions of {section.table} up to {horizon(section, at)}")


def _retired(at: datetime, tables: Sequence[TableInventory]) -> Coming:
    """Count the partitions that have expired by now; more may expire before the run."""
    gone = [each for table in tables for each in table.partitions if each.retention == "expired"]
    size = readable_size(sum(each.size_bytes for each in gone))
    some = f"{len(gone)} expired so far, {size}" if gone else "none has expired yet"
    return Coming(at, f"retire expired partitions: {some}", len(gone))
