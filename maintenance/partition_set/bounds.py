"""Computes which ranges of time have a partition, by bounds in the catalog, never by names."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import NamedTuple

from maintenance.catalog.models import DEFAULT_BOUND, Partition, Table
from maintenance.partition_key import PAST, KeyCodec
from maintenance.policy import PartitionPolicy

_RANGE = re.compile(
    r"FOR VALUES FROM \((?P<lower>'[^']*'|[A-Z]+|\d+)\) TO \((?P<upper>'[^']*'|[A-Z]+|\d+)\)\Z"
)


class Span(NamedTuple):
    """A partition's half-open range, as positions of its bounds (`partition_key.KeyCodec`)."""

    lower: datetime
    upper: datetime
    partition: Partition


@dataclass(frozen=True, slots=True)
class Coverage:
    """The ranges of a table's partitions, sorted; they never overlap."""

    spans: Sequence[Span]

    @property
    def exact(self) -> frozenset[tuple[datetime, datetime]]:
        """The (lower, upper) of every partition."""
        return frozenset((span.lower, span.upper) for span in self.spans)

    def overlapping(self, lower: datetime, upper: datetime) -> list[Span]:
        """Return the partitions that hold part of `[lower, upper)`, in order of time."""
        first = bisect_right(self.spans, lower, key=lambda span: span.upper)
        found: list[Span] = []
        for span in self.spans[first:]:
            if span.lower >= upper:
                break
            found.append(span)
        return found

    def covers(self, lower: datetime, upper: datetime) -> bool:
        """Whether every moment of `[lower, upper)` has a partition."""
        return self.first_hole(lower, upper) is None

    def first_hole(self, lower: datetime, upper: datetime) -> tuple[datetime, datetime] | None:
        """Return the first range within `[lower, upper)` that has no partition."""
        for span in self.overlapping(lower, upper):
            if span.lower > lower:
                return lower, span.lower
            lower = span.upper
        return (lower, upper) if lower < upper else None

    def ends_before(self, position: datetime) -> datetime:
        """Return the end of the last partition that ends at or before a position."""
        n_ended = bisect_right(self.spans, position, key=lambda span: span.upper)
        return self.spans[n_ended - 1].upper if n_ended else PAST


def codec_of(policy: PartitionPolicy, table: Table) -> KeyCodec:
    """Return the codec for bounds of a table that passed validation."""
    column = table.column(policy.column)
    assert column is not None, "the table was validated"
    return KeyCodec(policy.encoding, column.type, policy.time_zone)


def read_bound(bound: str, codec: KeyCodec) -> tuple[datetime, datetime]:
    """Read a range as `pg_get_expr` shows it.

    Raises:
        ValueError: it is not a bound of this key.
    """
    return _bound_reader(codec)(bound)


def bound_literals(bound: str) -> tuple[str, str]:
    """Return the two bounds of a range as SQL text, including `MINVALUE` and `MAXVALUE`.

    Raises:
        ValueError: it is not a range of one column.
    """
    match = _RANGE.match(bound)
    if match is None:
        raise ValueError(f"not a range of one column: {bound}")
    return match["lower"], match["upper"]


def coverage_of(partitions: Iterable[Partition], codec: KeyCodec) -> Coverage:
    """Read the bounds of a table's partitions; the default partition has none.

    Raises:
        ValueError: a bound is not of this key.
    """
    read = _bound_reader(codec)
    spans = [
        Span(*read(bound), partition)
        for partition in partitions
        if (bound := partition.bound) is not None and bound != DEFAULT_BOUND
    ]
    spans.sort(key=lambda span: span.lower)
    return Coverage(spans)


@cache
def _bound_reader(codec: KeyCodec) -> Callable[[str], tuple[datetime, datetime]]:
    # Months recur in every table of a database, so one reading serves a hundred partitions.
    @cache
    def read(bound: str) -> tuple[datetime, datetime]:
        lower, upper = bound_literals(bound)
        return codec.moment(lower), codec.moment(upper)

    return read
