"""Compute the bytes that a row and an index entry take on a page.

Source: PostgreSQL manual, 73.6 Database Page Layout; `heap_form_tuple` and `index_form_tuple`.
"""

from collections.abc import Iterable, Sequence
from math import ceil, prod
from typing import NamedTuple

from maintenance.subjects.bloat.models import Column

ALIGNED = 8
LINE_POINTER_BYTES = 4
_ROW_HEADER_BYTES = 23
_ENTRY_HEADER_BYTES = 8
_ENTRY_HEADER_WITH_NULLS_BYTES = 16
_ALIGNMENTS = {"c": 1, "s": 2, "i": 4, "d": 8}
_LONGEST_SHORT_BYTES = 127
"""Values up to this size have a header of one byte and no alignment."""


class Width(NamedTuple):
    """An average number of bytes, as an interval."""

    low: float
    high: float


def aligned(size: float) -> int:
    """Round up to the maximum alignment."""
    return ceil(size / ALIGNED) * ALIGNED


def row_width(columns: Sequence[Column]) -> Width:
    """Return the bytes of a row, including its header; every column has statistics."""
    full = _with_nulls(columns)
    plain = aligned(_ROW_HEADER_BYTES)
    mapped = aligned(_ROW_HEADER_BYTES + ceil(len(columns) / 8))
    return _tuple(plain + (mapped - plain) * full, columns)


def entry_width(columns: Sequence[Column]) -> Width:
    """Return the bytes of an index entry of these columns, including its header."""
    extra = _ENTRY_HEADER_WITH_NULLS_BYTES - _ENTRY_HEADER_BYTES
    return _tuple(_ENTRY_HEADER_BYTES + extra * _with_nulls(columns), columns)


def is_constant(columns: Iterable[Column]) -> bool:
    """Whether all values have the same width."""
    return all(c.length > 0 and not c.null_fraction for c in columns)


def _with_nulls(columns: Sequence[Column]) -> float:
    """Return the fraction of rows that have a null."""
    return 1 - prod(1 - (column.null_fraction or 0) for column in columns)


def _tuple(header: float, columns: Sequence[Column]) -> Width:
    """Return the bytes of consecutive columns with alignment padding.

    If widths vary, the next column may start at any position: its padding is half of its alignment
    on average. If they vary little, the padding is that of the average width; both are returned.
    """
    offset, known = header, header == aligned(header)
    for column in columns:
        present = 1 - (column.null_fraction or 0)
        width = column.length if column.length > 0 else column.width or 0
        step = _alignment(column, width)
        padding = (-offset) % step if known else (step - 1) / 2
        offset += present * (padding + width)
        known = known and column.length > 0 and present == 1
    if known:
        return Width(aligned(offset), aligned(offset))
    least = aligned(header + 1) if columns else aligned(header)
    ends = sorted((aligned(offset), max(least, offset + (ALIGNED - 1) / 2)))
    return Width(*ends)


def _alignment(column: Column, width: float) -> int:
    if column.length < 0 and width <= _LONGEST_SHORT_BYTES:
        return 1
    return _ALIGNMENTS[column.alignment]
