"""Computes which partitions have expired, by their upper bound; an unknown bound means keep."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from maintenance.catalog.models import MarkedTable, Partition, Snapshot
from maintenance.ddl.marks import DETACHED_FROM, HOLD_UNTIL, read_mark
from maintenance.names import QualifiedName, quote
from maintenance.partition_key import FUTURE
from maintenance.partition_set.bounds import Span, codec_of, coverage_of
from maintenance.periods import Period, add_months, period_at
from maintenance.policy import PartitionPolicy, RetentionPolicy

_FIRST = datetime(2, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Expired:
    """A partition past its retention.

    Attributes:
        held: why it is not retired all the same, if so.
    """

    span: Span
    held: str | None

    @property
    def bound(self) -> str:
        """Its range, as `pg_get_expr` shows it."""
        assert self.span.partition.bound is not None, "unreadable partitions have no span"
        return self.span.partition.bound

    @property
    def relation(self) -> QualifiedName:
        """The partition's name."""
        return self.span.partition.relation


@dataclass(frozen=True, slots=True)
class Detached:
    """A table that this software detached, with the facts of its mark.

    Attributes:
        bound: its former range, as `pg_get_expr` showed it.
        period: the key of its archive.
        at: when it was detached.
    """

    table: MarkedTable
    bound: str
    period: str
    at: datetime


def cutoff(retention: RetentionPolicy, policy: PartitionPolicy, now: datetime) -> datetime:
    """Return the moment before which everything has expired, by the zone's calendar."""
    local = now.astimezone(policy.time_zone)
    day = retention.keep.before(local.date())
    return datetime.combine(day, local.timetz()).astimezone(UTC)


def kept_since(policy: PartitionPolicy, now: datetime) -> Period | None:
    """Return the first period that retention still keeps; None if it keeps all."""
    retention = policy.retention
    if retention is None or retention.action == "keep":
        return None
    return period_at(cutoff(retention, policy, now), policy.interval, policy.time_zone)


def expires_at(retention: RetentionPolicy, policy: PartitionPolicy, moment: datetime) -> datetime:
    """Return when rows up to a moment have expired, about; the last moment there is if never."""
    keep, local = retention.keep, moment.astimezone(policy.time_zone)
    try:
        day = add_months(local.date(), keep.months) + timedelta(days=keep.days)
    except (OverflowError, ValueError):
        return FUTURE
    return datetime.combine(day, local.timetz()).astimezone(UTC)


def spans_of(policy: PartitionPolicy, snapshot: Snapshot) -> Sequence[Span]:
    """Return the partitions of a table in order of time, without the default one.

    Raises:
        ValueError: a bound is not of this key.
    """
    table = snapshot.tables[policy.table]
    return coverage_of(table.partitions, codec_of(policy, table)).spans


def expired_of(
    spans: Sequence[Span],
    policy: PartitionPolicy,
    retention: RetentionPolicy,
    snapshot: Snapshot,
    now: datetime,
) -> list[Expired]:
    """Return the expired ones among a table's partitions, in their order, including held ones."""
    codec = codec_of(policy, snapshot.tables[policy.table])
    limit = cutoff(retention, policy, now)
    comments = {marked.oid: marked.comment for marked in snapshot.marked}
    return [
        Expired(
            span,
            _held(codec.calendar, retention, span, comments.get(span.partition.oid), now),
        )
        for span in spans
        if codec.last_moment(span.upper) <= limit and _can_go(span.partition)
    ]


def detached(
    policy: PartitionPolicy, snapshot: Snapshot, pending: Container[int]
) -> Iterator[Detached]:
    """Yield the tables that this software has detached from a parent, oldest first.

    The owner of a table can write any comment, so the mark alone is no proof: the journal must
    contain the detach, and the table must have its parent's owner.

    Args:
        policy: the parent's.
        snapshot: with the marked tables.
        pending: OIDs of partitions with a pending detach, which count as detached.
    """
    found: list[Detached] = []
    for table in snapshot.marked:
        mark = read_mark(table.comment)
        attached = table.attached and table.oid not in pending
        if attached or mark.get(DETACHED_FROM) != str(policy.table):
            continue
        if distrust(policy, snapshot, table) is not None:
            continue
        try:
            at = datetime.fromisoformat(str(mark["at"]))
        except (KeyError, ValueError):
            continue
        if at.tzinfo is None:  # edited: which moment it is is unknown
            continue
        bound, period = str(mark.get("bound", "")), str(mark.get("period", ""))
        found.append(Detached(table, bound, period, at))
    yield from sorted(found, key=lambda d: (d.at, d.table.relation))


def distrust(policy: PartitionPolicy, snapshot: Snapshot, table: MarkedTable) -> str | None:
    """Return the reason to distrust the mark of a detached table; None if it is trusted."""
    parent = snapshot.tables.get(policy.table)
    if parent is not None and table.owner != parent.properties.owner:
        return f"its owner is {quote(table.owner)}, unlike that of {policy.table}"
    if str(policy.table) not in snapshot.history.detached_from.get(table.oid, ()):
        return "the journal has no run that detached it"
    return None


def unproven(policy: PartitionPolicy, snapshot: Snapshot) -> Iterator[tuple[MarkedTable, str]]:
    """Yield the tables marked as detached from a parent, but without proof, with the reason."""
    for table in snapshot.marked:
        says_so = read_mark(table.comment).get(DETACHED_FROM) == str(policy.table)
        reason = distrust(policy, snapshot, table) if says_so and not table.attached else None
        if reason is not None:
            yield table, reason


def label(policy: PartitionPolicy, calendar: ZoneInfo, span: Span) -> str:
    """Return the key of a partition's archive: its period's key, or its own name."""
    period = period_at(max(span.lower, _FIRST), policy.interval, calendar)
    exact = period.bounds(calendar) == (span.lower, span.upper)
    return period.key if exact else span.partition.relation.name


def grace_over(
    policy: PartitionPolicy, retention: RetentionPolicy, at: datetime, now: datetime
) -> bool:
    """Whether the grace of a table that was detached at a moment is over."""
    local = now.astimezone(policy.time_zone)
    day = retention.grace.before(local.date())
    return at <= datetime.combine(day, local.timetz())


def _can_go(partition: Partition) -> bool:
    # The rows of a foreign table are not ours; a pending detach is finalized first.
    return partition.kind in ("r", "p") and not partition.detach_pending


def _held(
    calendar: ZoneInfo,
    retention: RetentionPolicy,
    span: Span,
    comment: str | None,
    now: datetime,
) -> str | None:
    tree = span.partition.tree
    if tree is not None and tree.obstacle is not None:
        return tree.obstacle
    for period in retention.hold:
        lower, upper = period.bounds(calendar)
        if lower < span.upper and span.lower < upper:
            return f"the policy holds {period}"
    return held_by_mark(comment, now)


def held_by_mark(comment: str | None, now: datetime) -> str | None:
    """Return until when the comment of a partition holds it, in words; None if it does not."""
    until = read_mark(comment).get(HOLD_UNTIL)
    if until is None:
        return None
    try:
        day = date.fromisoformat(str(until)[:10])
    except ValueError:
        return f"its mark holds it until {until}, which is not a date"
    return f"restored, held until {day}" if now.date() < day else None
