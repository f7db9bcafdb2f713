"""Mean sizes of rows and index entries, against the enumeration of single rows: pure."""

from collections.abc import Sequence
from itertools import product
from math import ceil, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.subjects.bloat.models import Column
from maintenance.subjects.bloat.page_layout import (
    Stored,
    Width,
    entry_width,
    is_constant,
    layouts,
    row_width,
    stored,
)

BIGINT = Column(1, 8, "d", False, 8, 0.0, -1.0, 0, 0.0)
INT = BIGINT._replace(length=4, alignment="i", width=4)
TEXT = BIGINT._replace(length=-1, alignment="i", width=20)

Row = Sequence[int | None]
"""The length of each value; None is a null."""


def size_of(headers: tuple[int, int], columns: Sequence[Stored], row: Row) -> int:
    """Return the bytes of one row as the server forms it."""
    data = 0
    for column, length in zip(columns, row, strict=True):
        if length is not None:
            unit = 1 if column.length < 0 and length <= 127 else column.alignment
            data = ceil(data / unit) * unit + length
    return headers[None in row] + ceil(data / 8) * 8


def mean_of(headers: tuple[int, int], columns: Sequence[Stored], rows: Sequence[Row]) -> float:
    return sum(size_of(headers, columns, row) for row in rows) / len(rows)


def headers_of(columns: Sequence[Stored]) -> tuple[int, int]:
    return 24, ceil((23 + ceil(len(columns) / 8)) / 8) * 8


ENTRY = (8, 16)
fixed = st.sampled_from([(1, 1), (2, 2), (4, 4), (8, 8), (16, 1), (12, 4), (16, 8)])


def columns_of(kinds: Sequence[tuple[int, int]], presents: Sequence[float]) -> list[Stored]:
    return [
        Stored(length, unit, length, present)
        for (length, unit), present in zip(kinds, presents, strict=True)
    ]


def is_within(mean: float, width: Width) -> bool:
    return width.low - 1e-6 <= mean <= width.high + 1e-6


@given(st.lists(st.tuples(fixed, st.floats(0, 1)), min_size=1, max_size=10))
def test_nulls_that_are_independent_give_the_mean_of_all_rows(
    drawn: list[tuple[tuple[int, int], float]],
) -> None:
    kinds = [kind for kind, _ in drawn]
    columns = columns_of(kinds, [present for _, present in drawn])
    for headers, width in (
        (ENTRY, entry_width(columns)),
        (headers_of(columns), row_width(columns)),
    ):
        mean = 0.0
        for pattern in product((True, False), repeat=len(columns)):
            share = prod(
                column.present if here else 1 - column.present
                for here, column in zip(pattern, columns, strict=True)
            )
            row = [
                column.length if here else None
                for here, column in zip(pattern, columns, strict=True)
            ]
            mean += share * size_of(headers, columns, row)
        assert is_within(mean, width)


@st.composite
def tables(draw: st.DrawFn, max_nullable: int) -> tuple[list[Stored], list[list[int | None]]]:
    """Draw columns of fixed width and rows with any combination of nulls in some of them."""
    kinds = draw(st.lists(fixed, min_size=1, max_size=8))
    nullable = draw(st.sets(st.integers(0, len(kinds) - 1), max_size=max_nullable))
    patterns = st.tuples(*(st.booleans() for _ in kinds))
    rows = [
        [
            length if here or place not in nullable else None
            for place, ((length, _), here) in enumerate(zip(kinds, pattern, strict=True))
        ]
        for pattern in draw(st.lists(patterns, min_size=1, max_size=12))
    ]
    presents = [sum(row[n] is not None for row in rows) / len(rows) for n in range(len(kinds))]
    return columns_of(kinds, presents), rows


@given(tables(max_nullable=2))
def test_nulls_of_two_columns_are_within_the_interval_however_they_go_together(
    drawn: tuple[list[Stored], list[list[int | None]]],
) -> None:
    columns, rows = drawn
    assert is_within(mean_of(ENTRY, columns, rows), entry_width(columns))
    assert is_within(mean_of(headers_of(columns), columns, rows), row_width(columns))


@given(tables(max_nullable=8))
def test_nulls_of_many_columns_are_off_by_no_more_than_an_alignment(
    drawn: tuple[list[Stored], list[list[int | None]]],
) -> None:
    columns, rows = drawn
    mean, width = mean_of(ENTRY, columns, rows), entry_width(columns)
    assert width.low - 8 <= mean <= width.high + 8


@given(
    st.lists(st.tuples(fixed, st.booleans()), min_size=1, max_size=6),
    st.integers(1, 60),
    st.integers(0, 6),
)
def test_values_of_one_width_are_within_the_interval(
    drawn: list[tuple[tuple[int, int], bool]], width: int, place: int
) -> None:
    columns = columns_of([kind for kind, _ in drawn], [1.0] * len(drawn))
    columns.insert(place, Stored(-1, 4, width, 1.0))
    row = [column.length if column.length > 0 else width for column in columns]
    assert is_within(size_of(ENTRY, columns, row), entry_width(columns))
    assert is_within(size_of(headers_of(columns), columns, row), row_width(columns))


@given(st.lists(fixed, max_size=6), st.integers(8, 60), st.integers(4, 8))
def test_values_of_many_widths_are_within_two_bytes_of_the_interval(
    kinds: list[tuple[int, int]], width: int, spread: int
) -> None:
    columns = [*columns_of(kinds, [1.0] * len(kinds)), Stored(-1, 4, width, 1.0)]
    lengths = range(width - spread + 1, width + spread + 1)
    rows = [[*(length for length, _ in kinds), length] for length in lengths]
    mean, found = mean_of(ENTRY, columns, rows), entry_width(columns)
    assert found.low - 2 <= mean <= found.high + 2


@pytest.mark.parametrize(
    ("columns", "width"),
    [
        ([BIGINT], 16),
        ([INT], 16),
        ([INT, INT], 16),
        ([INT, BIGINT], 24),
        ([BIGINT._replace(null_fraction=0.35), BIGINT], 24),
        ([BIGINT._replace(null_fraction=0.5)], 16),
        ([BIGINT, INT._replace(null_fraction=0.5), INT], 24 + 0.5 * 8),
    ],
)
def test_header_and_alignment_are_those_of_each_entry(columns: list[Column], width: float) -> None:
    assert entry_width([stored(column) for column in columns]) == (width, width)


def test_row_has_no_bitmap_without_nulls_and_a_larger_one_with_many_columns() -> None:
    eight = [stored(INT._replace(null_fraction=0.5))] + [stored(INT)] * 7
    assert row_width(eight) == (24 + 32, 24 + 32)
    nine = [*eight, stored(INT)]
    assert row_width(nine) == pytest.approx((0.5 * (24 + 40) + 0.5 * (32 + 32),) * 2)


def test_virtual_and_dropped_columns_are_nulls_in_every_row() -> None:
    virtual = INT._replace(is_virtual=True, width=None, null_fraction=None)
    dropped = BIGINT._replace(is_dropped=True, width=None, null_fraction=None)
    for column in (virtual, dropped):
        assert row_width([stored(BIGINT), stored(column)]) == (32, 32)
        assert is_constant([stored(BIGINT), stored(column)])
    assert row_width([stored(BIGINT)] * 9 + [stored(virtual)]) == (32 + 72, 32 + 72)


@pytest.mark.parametrize(
    ("column", "widths"),
    [
        (BIGINT, {40}),
        (BIGINT._replace(is_dropped=True, width=None), {32, 40}),
        (TEXT._replace(is_dropped=True, width=None), {32}),
        (BIGINT._replace(is_virtual=True, width=None), {32}),
        (BIGINT._replace(is_defaulted=True), {32, 40}),
    ],
)
def test_rows_from_before_a_column_was_changed_are_another_layout(
    column: Column, widths: set[int]
) -> None:
    found = {row_width(layout).high for layout in layouts([BIGINT, column])}
    assert found == widths
