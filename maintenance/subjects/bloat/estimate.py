"""Estimate bloat from the catalog's statistics; unknown if they are not reliable.

Bloat is the fraction of its pages that a relation would free if it were rewritten with its fill
factor. It is estimated as an interval; if that is too wide, bloat is unknown.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from maintenance.subjects.bloat.models import (
    SET_STATISTICS,
    Bloat,
    Column,
    Freshness,
    Method,
    ObservedIndex,
    ObservedTable,
)
from maintenance.subjects.bloat.page_layout import (
    ENTRY_OF_NULLS,
    LINE_POINTER_BYTES,
    Stored,
    aligned,
    entry_width,
    is_constant,
    layouts,
    row_width,
    stored,
)

PAGE = 8192
PAGE_HEADER = 24
BTREE_SPECIAL = 16
TOAST_ROW = 2032 + LINE_POINTER_BYTES
"""Bytes of a full TOAST chunk; four fill a page."""

MOST_STALE = 0.05
"""Largest share of rows changed since ANALYZE, or dead, with which statistics are reliable."""
MOST_GROWN = 0.1
"""Largest relative difference between the file's size and relpages."""
WIDEST = 0.14
"""Widest accepted interval: its middle is at most 7 percentage points off."""
WIDEST_KEY = 200
"""Bytes above which an index may compress values differently from the table."""
DOUBT = 2.0
"""Factor by which the number of distinct values may be wrong, in both directions."""
SOME_REPEATS = (1.2, 4000.0)
"""Between these, a value fills few pages or a part of one. A page deduplicates entries only when it
is full, so it is unknown how many share space."""
FEW_ROWS = 0.05
"""Largest share of the rows that may repeat like this."""
FEW_NULLS = 0.05
"""Largest share of entries that may have a null where it is unknown whether those share space."""
POSTING_BYTES = 812
TID_BYTES = 6
INNER_FILL = 0.7
ROUNDING = 0.001


def estimate_table(table: ObservedTable) -> Bloat:
    """Estimate the bloat of a table or materialized view; for a TOAST table a lower bound."""
    if table.owner is not None:
        return _toast(table)
    doubt = next(_doubts(table.freshness, table.columns), None)
    if doubt is not None:
        return doubt
    pages = [each for layout in layouts(table.columns) for each in _table_pages(table, layout)]
    size = table.size_bytes / PAGE
    if any(column.is_dropped and column.length < 0 for column in table.columns):
        # Values of unknown width may fill all the space that is left.
        pages.append(size)
    bloat = _between(min(pages), max(pages), pages=size)
    if bloat.method is Method.UNKNOWN and any(column.is_dropped for column in table.columns):
        return bloat._replace(
            reason="dropped_columns",
            text=f"rows may still hold values of dropped columns, and {bloat.text}",
        )
    return bloat


def _table_pages(table: ObservedTable, columns: Sequence[Stored]) -> Iterator[float]:
    """Yield how many pages its rows take, at least and at most."""
    share = table.fill_factor / 100
    constant = is_constant(columns)
    for width in row_width(columns):
        yield table.freshness.n_rows / rows_a_page(width, share, constant=True)
        if not constant:
            yield table.freshness.n_rows / rows_a_page(width, share, constant=False)


def rows_a_page(width: float, share: float, *, constant: bool) -> float:
    """Return how many rows of this width fit into a share of a page."""
    need = width + LINE_POINTER_BYTES
    room = PAGE - PAGE_HEADER - PAGE * (1 - share)
    if constant:
        return max(1, room // need)
    # The unused end of a page is half a row on average.
    return max(1.0, (room - need / 2) / need)


def estimate_index(index: ObservedIndex) -> Bloat:
    """Estimate the bloat of a btree index."""
    columns = {column.number: column for column in index.columns}
    keys = [columns[number] for number in index.keys if number in columns]
    doubt = next(_doubts(index.freshness, keys), None) or next(_index_doubts(index, keys), None)
    if doubt is not None:
        return doubt
    ends = list(_index_pages(index, keys))
    return _between(min(ends), max(ends), pages=index.size_bytes / PAGE)


def leaf_room(fill_factor: int) -> float:
    """Return the bytes of a leaf page that an index build fills."""
    return PAGE - PAGE_HEADER - BTREE_SPECIAL - PAGE * (1 - fill_factor / 100)


def _index_doubts(index: ObservedIndex, keys: Sequence[Column]) -> Iterator[Bloat]:
    if not index.is_plain:
        yield _unknown(
            "expressions_or_predicate", "there are no statistics on its predicate or expressions"
        )
    if any(key.length < 0 and (key.width or 0) > WIDEST_KEY for key in keys):
        yield _unknown("wide_keys", "its values are wide and may be compressed or toasted")
    if index.freshness.n_dead > MOST_STALE * max(index.freshness.n_rows, 1):
        yield _unknown(
            "dead_rows",
            f"its table has {index.freshness.n_dead:,} dead rows",
            f"VACUUM {index.table}",
        )
    if index.deduplicates and index.is_unique and any(_has_nulls(key) for key in keys):
        yield _unknown("shared_entries", "its entries with nulls may be deduplicated")
    if _shares_entries(index) and index.is_padded and not any(_is_own(key) for key in keys):
        yield _unknown("shared_entries", "it is unknown whether it deduplicates char(n)")
    if _shares_entries(index) and len(keys) > 1 and not any(_is_own(key) for key in keys):
        yield _unknown("shared_entries", "it deduplicates entries of several columns")
    if _shares_entries(index) and len(keys) == 1 and _repeats_some(index, keys[0]):
        yield _unknown("shared_entries", "the number of deduplicated entries is unknown")


def _has_nulls(key: Column) -> bool:
    return (key.null_fraction or 0) > FEW_NULLS


def _is_own(key: Column) -> bool:
    """Whether nearly every row has a value of its own."""
    return _is_distinct(key) and not _has_nulls(key)


def _repeats_some(index: ObservedIndex, key: Column) -> bool:
    n_rows = max(index.freshness.n_rows, 1)
    least, most = SOME_REPEATS
    some = [group for group in _groups(key, n_rows, 1) if least < group.repeats < most]
    return sum(group.rows for group in some) > FEW_ROWS * n_rows


class _Group(NamedTuple):
    rows: float
    repeats: float


def _index_pages(index: ObservedIndex, keys: Sequence[Column]) -> Iterator[float]:
    """Yield how many pages its entries take, for each end of width and repetitions."""
    n_rows = index.freshness.n_rows
    columns = [stored(key) for key in keys]
    if not (_shares_entries(index) and len(keys) == 1):
        yield from (_pages(index, n_rows * _taken(width), width) for width in entry_width(columns))
        return
    for width in entry_width([columns[0]._replace(present=1.0)]):
        for doubt in (1 / DOUBT, DOUBT):
            for packed in (1.0, _packed(index)):
                nulls, *groups = _groups(keys[0], n_rows, doubt)
                used = _used(nulls, ENTRY_OF_NULLS, packed)
                used += sum(_used(group, width, packed) for group in groups)
                yield _pages(index, used, width)


def _pages(index: ObservedIndex, used: float, width: float) -> float:
    leaves = used / leaf_room(index.fill_factor)
    return 2 + leaves + leaves * _taken(width) / (PAGE * INNER_FILL)


def _packed(index: ObservedIndex) -> float:
    """Return the share of a leaf page that an index build fills with full posting lists."""
    room = leaf_room(index.fill_factor)
    item = POSTING_BYTES + LINE_POINTER_BYTES
    return max(room // item, 1) * item / room


def _used(group: _Group, width: float, packed: float) -> float:
    """Return the bytes of all entries of a group, with what is left free between full ones."""
    is_full = group.repeats * TID_BYTES > POSTING_BYTES
    return group.rows * _bytes_a_row(width, group.repeats) / (packed if is_full else 1)


def _taken(width: float) -> float:
    return width + LINE_POINTER_BYTES


def _groups(key: Column, n_rows: float, doubt: float) -> Iterator[_Group]:
    """Group the rows of an index by repetitions of their values: nulls, common ones, others."""
    nulls = n_rows * (key.null_fraction or 0)
    common = n_rows * key.common_fraction
    yield _Group(nulls, max(nulls, 1))
    if key.n_common:
        yield _Group(common, max(common / key.n_common, 1))
    others = max(n_rows - nulls - common, 0)
    if _is_distinct(key):
        yield _Group(others, 1)
        return
    n_values = key.n_distinct or 0
    n_values = n_values if n_values >= 0 else -n_values * n_rows
    n_others = max(n_values - key.n_common, 1)
    yield _Group(others, max(others / n_others * doubt, 1))


def _bytes_a_row(width: float, repeats: float) -> float:
    """Return the bytes of one row in an index with deduplication."""
    alone = _taken(width)
    if repeats < 2:  # noqa: PLR2004 - one, or two
        return alone + (repeats - 1) * (_bytes_a_row(width, 2) - alone)
    n_shared = min(repeats, max((POSTING_BYTES - width) // TID_BYTES, 2))
    return (aligned(width + TID_BYTES * n_shared) + LINE_POINTER_BYTES) / n_shared


def _shares_entries(index: ObservedIndex) -> bool:
    return index.deduplicates and not index.is_unique


def _is_distinct(key: Column) -> bool:
    """Whether ANALYZE found no repeated value."""
    return (key.n_distinct or 0) <= -(1 - (key.null_fraction or 0)) + ROUNDING


def _toast(table: ObservedTable) -> Bloat:
    """Return a lower bound of a TOAST table's bloat: every chunk is assumed to be full."""
    fresh = table.freshness
    if fresh.size_bytes is None:
        return _locked()
    if not fresh.size_bytes:
        return Bloat(Method.ESTIMATE, 0.0)
    if fresh.n_rows < 0 or _has_grown(fresh):
        return _unknown(
            "never_vacuumed",
            "never vacuumed, or not since it changed",
            f"VACUUM {table.owner}",
        )
    if fresh.n_dead > MOST_STALE * max(fresh.n_rows, 1):
        return _unknown(
            "dead_rows",
            f"{fresh.n_dead:,} dead chunks",
            f"VACUUM {table.owner}",
        )
    pages = fresh.n_rows / ((PAGE - PAGE_HEADER) // TOAST_ROW)
    return Bloat(Method.AT_LEAST, max(0.0, 1 - pages / max(table.size_bytes / PAGE, 1)))


def _doubts(fresh: Freshness, columns: Sequence[Column]) -> Iterator[Bloat]:
    """Yield the reasons why the statistics are not reliable, the simplest first."""
    if fresh.size_bytes is None:
        yield _locked()
    if not fresh.readable:
        yield _unknown(
            "not_readable",
            "this role has no SELECT privilege, so its statistics are not visible",
            "GRANT SELECT",
        )
    if fresh.secured:
        yield _unknown(
            "row_security",
            "row-level security hides its statistics from this role",
            "ALTER ROLE … BYPASSRLS",
        )
    if fresh.n_rows < 0:
        yield _unknown("never_analyzed", "never vacuumed or analyzed", "ANALYZE")
    if fresh.analyzed_at is None:
        yield _unknown("analyzed_unknown", "no ANALYZE since the counters were reset", "ANALYZE")
    if fresh.n_changed > MOST_STALE * max(fresh.n_rows, 1):
        yield _unknown(
            "rows_changed",
            f"{fresh.n_changed:,} of {fresh.n_rows:,.0f} rows changed since ANALYZE",
            "ANALYZE",
        )
    if _has_grown(fresh):
        yield _unknown(
            "size_changed", "its size changed since the last VACUUM or ANALYZE", "ANALYZE"
        )
    yield from _hidden(columns)


def _hidden(columns: Sequence[Column]) -> Iterator[Bloat]:
    """Yield why columns have no visible statistics; only what would show them is a remedy."""
    missing = [
        column
        for column in columns
        if column.width is None and not (column.is_dropped or column.is_virtual)
    ]
    if any(not column.is_readable for column in missing):
        yield _unknown(
            "column_not_readable",
            "this role has no SELECT privilege on one of its columns, so the statistics of that"
            " are not visible",
            "GRANT SELECT",
        )
    if any(not column.is_analyzed for column in missing):
        yield _unknown(
            "column_not_analyzed",
            "ANALYZE leaves out one of its columns, which has SET STATISTICS 0",
            SET_STATISTICS,
        )
    if missing:
        yield _unknown("no_statistics", "a column has no statistics", "ANALYZE")


def _has_grown(fresh: Freshness) -> bool:
    pages = (fresh.size_bytes or 0) / PAGE
    return abs(pages - fresh.pages) > MOST_GROWN * max(pages, fresh.pages)


def _between(one: float, other: float, *, pages: float) -> Bloat:
    low, high = sorted(min(max(1 - each / max(pages, 1), 0.0), 1.0) for each in (one, other))
    if high - low > WIDEST:
        return _unknown("interval_too_wide", f"the estimate is imprecise: {low:.0%} to {high:.0%}")
    return Bloat(Method.ESTIMATE, (low + high) / 2)


def _locked() -> Bloat:
    return _unknown("locked", "it is locked in ACCESS EXCLUSIVE mode", "retried on the next run")


def _unknown(reason: str, text: str, remedy: str = "") -> Bloat:
    return Bloat(Method.UNKNOWN, None, text, remedy, reason)
