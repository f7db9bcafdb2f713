"""Compute the bytes that a row and an index entry take on a page, on average.

Where a value begins depends on which values before it are null and on how long the others are. So
sizes are averaged over the possible rows, and not computed from average values. The statistics do
not say which values are null in the same row: they may be independent, null together, or null
apart. Of values of varying width they have the average only: all may have that width, or vary so
much that the next value begins anywhere.

Source: PostgreSQL manual, 73.6 Database Page Layout; `heap_form_tuple` and `index_form_tuple`.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from itertools import pairwise, product
from math import ceil, prod
from typing import NamedTuple

from maintenance.subjects.bloat.models import Column

ALIGNED = 8
LINE_POINTER_BYTES = 4
ENTRY_OF_NULLS = 16
"""Bytes of an index entry whose keys are all null."""
_ROW_HEADER_BYTES = 23
_ENTRY_HEADER_BYTES = 8
_ALIGNMENTS = {"c": 1, "s": 2, "i": 4, "d": 8}
_LONGEST_SHORT_BYTES = 127
"""Values up to this size have a header of one byte and no alignment."""
_MOST_TOGETHER = 4
"""Nullable columns up to which nulls in the same row are followed; more cost too much time."""


class Width(NamedTuple):
    """An average number of bytes, as an interval."""

    low: float
    high: float


class Stored(NamedTuple):
    """The values of one column as they are in the rows.

    Attributes:
        length: in bytes; -1 if it varies.
        width: average bytes of its values, without the fraction.
        present: the fraction of rows in which it is not null.
    """

    length: int
    alignment: int
    width: int
    present: float


class _Widths(Enum):
    """How wide the values of varying width are; pg_stats has their average, rounded down."""

    NARROW = auto()
    WIDE = auto()
    SPREAD = auto()


class _Headers(NamedTuple):
    plain: int
    with_nulls: int


_Places = dict[tuple[int, bool], float]
"""Shares of the rows by the bytes since the last maximum alignment, and by whether they have a
null so far."""


def aligned(size: float) -> int:
    """Round up to the maximum alignment."""
    return ceil(size / ALIGNED) * ALIGNED


def stored(column: Column) -> Stored:
    """Return how a column of a new row is stored; a dropped or virtual one is null."""
    is_null = column.is_dropped or column.is_virtual
    present = 0.0 if is_null else 1 - (column.null_fraction or 0)
    return Stored(column.length, _ALIGNMENTS[column.alignment], column.width or 0, present)


def layouts(columns: Sequence[Column]) -> Iterator[list[Stored]]:
    """Yield how the rows may be stored: as new ones, and as before the columns were changed.

    Rows written before a column was dropped still hold it; rows written before a column was added
    with a default do not. Of dropped columns of varying width nothing is known: they are left out.
    """
    holds_dropped = any(column.is_dropped and column.length > 0 for column in columns)
    holds_defaults = not any(column.is_defaulted for column in columns)
    for old, new in product({False, holds_dropped}, {True, holds_defaults}):
        yield [
            stored(column)._replace(present=1.0)
            if old and column.is_dropped and column.length > 0
            else stored(column)
            for column in columns
            if new or not column.is_defaulted
        ]


def row_width(columns: Sequence[Stored]) -> Width:
    """Return the bytes of a row, including its header."""
    mapped = aligned(_ROW_HEADER_BYTES + ceil(len(columns) / 8))
    return _width(_Headers(aligned(_ROW_HEADER_BYTES), mapped), columns)


def entry_width(columns: Sequence[Stored]) -> Width:
    """Return the bytes of an index entry of these columns, including its header."""
    return _width(_Headers(_ENTRY_HEADER_BYTES, ENTRY_OF_NULLS), columns)


def is_constant(columns: Iterable[Stored]) -> bool:
    """Whether all rows have the same width."""
    return all(c.present == 0 or (c.length > 0 and c.present == 1) for c in columns)


def _width(headers: _Headers, columns: Sequence[Stored]) -> Width:
    varies = any(column.length < 0 and column.present > 0 for column in columns)
    widths = list(_Widths) if varies else [_Widths.NARROW]
    sizes = [_mean(headers, columns, width) for width in widths]
    sizes += [
        sum(share * _mean(headers, pattern, width) for share, pattern in patterns)
        for patterns in _null_patterns(columns)
        for width in widths
        # Any width in any pattern takes too much time, and is hardly farther off.
        if width is not _Widths.SPREAD
    ]
    fewer, more = _headers_off(headers, columns)
    return Width(min(sizes) - fewer, max(sizes) + more)


def _null_patterns(columns: Sequence[Stored]) -> Iterator[list[tuple[float, Sequence[Stored]]]]:
    """Yield how nulls may go together in a row, unless independently, as shares of the rows."""
    if 1 < _n_nullable(columns) <= _MOST_TOGETHER:
        yield list(_patterns(columns, [0.0] * len(columns)))
        starts, reached = list[float](), 0.0
        for column in columns:
            starts.append(reached % 1)
            reached += 1 - column.present
        yield list(_patterns(columns, starts))


def _headers_off(headers: _Headers, columns: Sequence[Stored]) -> tuple[float, float]:
    """Return the mean bytes of headers that many nullable columns may take less, and more.

    That is so if their nulls are all in the same rows, or in as many rows as possible.
    """
    if _n_nullable(columns) <= _MOST_TOGETHER:
        return 0.0, 0.0
    nulls = [1 - column.present for column in columns]
    with_nulls = 1 - prod(column.present for column in columns)
    extra = headers.with_nulls - headers.plain
    return extra * (with_nulls - max(nulls)), extra * (min(1.0, sum(nulls)) - with_nulls)


def _n_nullable(columns: Sequence[Stored]) -> int:
    return sum(0 < column.present < 1 for column in columns)


def _patterns(
    columns: Sequence[Stored], starts: Sequence[float]
) -> Iterator[tuple[float, Sequence[Stored]]]:
    """Yield shares of the rows with the columns that they have.

    The rows are spread over a circle of circumference 1. Those with a null of a column are a
    stretch of it that begins where `starts` says.
    """
    ends = ((s + 1 - c.present) % 1 for s, c in zip(starts, columns, strict=True))
    cuts = sorted({0.0, 1.0, *starts, *ends})
    for low, high in pairwise(cuts):
        at = (low + high) / 2
        yield (
            high - low,
            [
                column._replace(present=0.0 if (at - start) % 1 < 1 - column.present else 1.0)
                for start, column in zip(starts, columns, strict=True)
            ],
        )


def _mean(headers: _Headers, columns: Sequence[Stored], widths: _Widths) -> float:
    """Return the mean bytes of rows whose nulls are independent of each other."""
    places: _Places = {(0, False): 1.0}
    size = 0.0
    for column in columns:
        places, more = _after(places, column, widths)
        size += more
    return size + sum(
        share * (-step % ALIGNED + headers[has_null]) for (step, has_null), share in places.items()
    )


def _after(places: _Places, column: Stored, widths: _Widths) -> tuple[_Places, float]:
    """Return where the next value begins after those of a column, and their mean bytes."""
    found: _Places = {}
    if column.present < 1:
        for (step, _), share in places.items():
            found[step, True] = found.get((step, True), 0.0) + share * (1 - column.present)
    if column.present == 0:
        return found, 0.0
    lengths = _lengths(column, widths)
    size = 0.0
    for length in lengths:
        unit = _alignment(column, length)
        for (step, has_null), share in places.items():
            here = share * column.present / len(lengths)
            taken = -step % unit + length
            size += here * taken
            key = (step + taken) % ALIGNED, has_null
            found[key] = found.get(key, 0.0) + here
    return found, size


def _lengths(column: Stored, widths: _Widths) -> Sequence[int]:
    """Return the lengths of its values, equally frequent."""
    if column.length > 0:
        return (column.length,)
    if widths is _Widths.NARROW:
        return (max(column.width, 1),)
    if widths is _Widths.WIDE:
        return (column.width + 1,)
    half = min(column.width, ALIGNED // 2)
    return range(column.width - half + 1, column.width + half + 1) or (1,)


def _alignment(column: Stored, length: int) -> int:
    is_short = column.length < 0 and length <= _LONGEST_SHORT_BYTES
    return 1 if is_short else column.alignment
