"""Finds partitions that hold several periods, and divides their range into parts to be split."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from typing import NamedTuple

from maintenance.names import QualifiedName
from maintenance.partition_key import FUTURE, PAST, KeyCodec
from maintenance.partition_set.bounds import Span, bound_literals
from maintenance.partition_set.expected import PeriodRange, slots
from maintenance.periods import period_at
from maintenance.policy import PartitionPolicy
from maintenance.subjects.partitions.default_names import name_before, wide_name
from maintenance.subjects.partitions.state import PartitionState
from maintenance.subjects.partitions.template import slot_name

SEVERAL = 2
"""A partition is split if it holds as many whole periods."""

MOST_CELLS = 2_000
"""Periods that one split looks at; older ones stay together, and are split by a later one."""

_INSTANT = timedelta(microseconds=1)

_SKIPPED = timedelta(days=1)
"""The most that a clock has skipped at once, where a zone changed sides of the date line."""


class Part(NamedTuple):
    """A part of a wide partition that becomes a partition of its own.

    Attributes:
        slots: its periods, or parts of them, in order of time.
        lower: its bounds as SQL text.
        upper: likewise.
        is_before: whether it holds all rows before its only slot.
    """

    slots: tuple[PeriodRange, ...]
    lower: str
    upper: str
    is_before: bool = False

    @property
    def key(self) -> str:
        """The key of its first period; `before` for the part before all of them."""
        return "before" if self.is_before else self.slots[0].key

    def name(self, policy: PartitionPolicy, schema: str) -> QualifiedName:
        """Return the name of its partition, in the schema of partitions."""
        first, last = self.slots[0], self.slots[-1]
        if self.is_before:
            return QualifiedName(schema, name_before(policy.table, first).name)
        if len(self.slots) == 1:
            return QualifiedName(schema, slot_name(policy, first))
        return QualifiedName(schema, wide_name(policy.table, first, last).name)


def wide_spans(state: PartitionState) -> Iterator[Span]:
    """Yield the partitions of a table that hold several whole periods, oldest first.

    One without an upper bound is reported otherwise; it can't be split while rows arrive in it.
    Nor is one that begins in the future, and in an empty one there is nothing to split.
    """
    for span in state.coverage.spans:
        is_bounded = span.upper != FUTURE and span != state.catch_all
        if not is_bounded or span.lower > state.position or is_empty(span):
            continue
        if is_wide(state.policy, state.codec, span):
            yield span


def is_wide(policy: PartitionPolicy, codec: KeyCodec, span: Span) -> bool:
    """Whether a partition with an upper bound holds several whole periods."""
    if span.lower == PAST:
        return True
    if span.upper - span.lower < SEVERAL * policy.interval.shortest - _SKIPPED:
        return False
    first = period_at(span.lower, policy.interval, codec.calendar)
    if first.bounds(codec.calendar)[0] < span.lower:
        first = first.shift(1)
    return first.shift(SEVERAL - 1).bounds(codec.calendar)[1] <= span.upper


def is_empty(span: Span) -> bool:
    """Whether a partition had no rows when it was last analyzed or vacuumed."""
    return span.partition.rows == 0


def last_slot(policy: PartitionPolicy, codec: KeyCodec, span: Span) -> PeriodRange:
    """Return the last period that a partition with an upper bound holds a part of."""
    last = period_at(span.upper - _INSTANT, policy.interval, codec.calendar)
    return slots(last, last, codec.calendar)[0]


def cells_of(
    policy: PartitionPolicy, codec: KeyCodec, span: Span, first: PeriodRange | None
) -> tuple[PeriodRange, ...]:
    """Return the periods of a partition, the first and last cut at its bounds.

    Args:
        policy: the table's.
        codec: of its key.
        span: the partition; at most the last 2,000 periods of it are returned.
        first: the period that holds its first row; None if it has a lower bound.
    """
    calendar = codec.calendar
    last = last_slot(policy, codec, span).period
    begins = max(span.lower, first.lower if first is not None else span.lower)
    since = max(period_at(begins, policy.interval, calendar), last.shift(1 - MOST_CELLS))
    lower_text, upper_text = bound_literals(span.partition.bound or "")
    cut: list[PeriodRange] = []
    for slot in slots(since, last, calendar):
        lower, upper = max(slot.lower, span.lower), min(slot.upper, span.upper)
        texts = (
            lower_text if lower == span.lower else None,
            upper_text if upper == span.upper else None,
        )
        is_part = (lower, upper) != (slot.lower, slot.upper)
        cut.append(PeriodRange(slot.period, lower, upper, texts, is_bridge=is_part))
    return tuple(cut)


def parts_of(
    codec: KeyCodec, span: Span, cells: Sequence[PeriodRange], occupied: Collection[int], most: int
) -> tuple[Part, ...]:
    """Divide the range of a partition: one part for each period with rows, one for each gap.

    Args:
        codec: of the key.
        span: the partition.
        cells: its periods, see `cells_of`.
        occupied: the places of those with rows in `cells`.
        most: how many parts one exchange can attach; neighbors are joined until as many are left.

    Returns:
        Parts that cover exactly the range of the partition, in order of time.
    """
    groups = [
        tuple(cells[place] for place in places)
        for has_rows, run in groupby(range(len(cells)), lambda place: place in occupied)
        for places in ([(place,) for place in run] if has_rows else [tuple(run)])
    ]
    begins = cells[0].literals(codec)[0]
    lower, _ = bound_literals(span.partition.bound or "")
    before = (
        [] if cells[0].lower <= span.lower else [Part((cells[0],), lower, begins, is_before=True)]
    )
    width = -(-len(groups) // max(most - len(before), SEVERAL))
    joined = [
        tuple(slot for group in groups[start : start + width] for slot in group)
        for start in range(0, len(groups), width)
    ]
    return (*before, *(_part(codec, group) for group in joined))


def _part(codec: KeyCodec, group: tuple[PeriodRange, ...]) -> Part:
    return Part(group, group[0].literals(codec)[0], group[-1].literals(codec)[1])
