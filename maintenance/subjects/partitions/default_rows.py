"""Counts the rows of a default partition by the periods of the policy."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from maintenance.catalog.models import Bucket, Buckets, DefaultRows, Table
from maintenance.partition_key import KeyCodec
from maintenance.partition_set.expected import PeriodRange

FEW_ROWS = 10_000
"""This many rows are scanned in about 2 ms: ATTACH may scan them under its lock."""
FEW_PAGES = 2_000


@dataclass(frozen=True, slots=True)
class PeriodRows:
    """The rows of one period that the default partition holds."""

    slot: PeriodRange
    n_rows: int


@dataclass(frozen=True, slots=True)
class DefaultContents:
    """The rows of a default partition.

    Attributes:
        is_exact: whether the rows were counted, not estimated from a sample.
        n_rows: the total.
        held: rows by period of the window, in order of time; without periods that have no rows.
        below: rows before the window.
        above: rows after the window, including infinity.
        n_null: rows without a key.
        oldest: the smallest key within the window, if it could be read.
    """

    is_exact: bool
    n_rows: int
    held: tuple[PeriodRows, ...]
    below: Bucket | None
    above: Bucket | None
    n_null: int
    oldest: datetime | None

    @property
    def n_outside(self) -> int:
        """Rows that belong to no period of the window."""
        return self.n_rows - sum(held.n_rows for held in self.held)

    @property
    def is_small(self) -> bool:
        """Whether it can be scanned within the time that a lock may be held."""
        return self.is_exact and self.n_rows <= FEW_ROWS


def buckets_of(table: Table, codec: KeyCodec, window: Sequence[PeriodRange]) -> Buckets:
    """Return the request to count the rows of each period of a window in the default partition."""
    bounds = [slot.literals(codec)[0] for slot in window] + [window[-1].literals(codec)[1]]
    return Buckets(table.relation, tuple(bounds))


def holding_of(
    rows: DefaultRows, codec: KeyCodec, window: Sequence[PeriodRange]
) -> DefaultContents:
    """Return the contents from the counts that `buckets_of` requested for the same window."""
    buckets = {bucket.place: bucket for bucket in rows.buckets}
    held = tuple(_held(buckets.values(), window))
    nulls = buckets.get(None)
    oldest = next((b.first for p, b in buckets.items() if p and p <= len(window)), None)
    return DefaultContents(
        is_exact=rows.is_exact,
        n_rows=rows.n_rows,
        held=held,
        below=buckets.get(0),
        above=buckets.get(len(window) + 1),
        n_null=nulls.n_rows if nulls else 0,
        oldest=_moment(codec, oldest),
    )


def _held(buckets: Iterable[Bucket], window: Sequence[PeriodRange]) -> Iterator[PeriodRows]:
    for bucket in buckets:
        if bucket.place is not None and 0 < bucket.place <= len(window):
            yield PeriodRows(window[bucket.place - 1], bucket.n_rows)


def _moment(codec: KeyCodec, text: str | None) -> datetime | None:
    try:
        return codec.first_moment(codec.moment(f"'{text}'")) if text is not None else None
    except ValueError:  # a time of day finer than a bound can have, in another calendar, …
        return None
