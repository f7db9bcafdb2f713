"""Estimate bloat from the catalog's statistics; unknown if they are not reliable.

Bloat is the fraction of its pages that a relation would free if it were rewritten with its fill
factor. It is estimated as an interval; if that is too wide, bloat is unknown.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from maintenance.subjects.bloat.models import (
    Bloat,
    Column,
    Freshness,
    Method,
    ObservedIndex,
    ObservedTable,
)
from maintenance.subjects.bloat.page_layout import (
    LINE_POINTER_BYTES,
    Width,
    aligned,
    entry_width,
    is_constant,
    row_width,
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
SOME_REPEATS = (1.2, 200.0)
"""Between these, entries are deduplicated only when a page is full, so the number is unknown."""
FEW_ROWS = 0.2
"""Largest share of the rows that may repeat like this."""
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
    dropped = [column for column in table.columns if column.is_dropped]
    if dropped:
        return _unknown(
            "dropped_columns",
            "rows may still contain values of dropped columns",
            "VACUUM FULL removes them",
        )
    columns = table.columns
    width = row_width(columns)
    share = table.fill_factor / 100
    ends = [
        table.freshness.n_rows / rows_a_page(size, share, constant=is_constant(columns))
        for size in width
    ]
    return _between(*ends, pages=table.size_bytes / PAGE)


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
    ends = [_index_pages(index, keys, *corner) for corner in _corners(index, keys)]
    return _between(min(ends), max(ends), pages=index.size_bytes / PAGE)


def leaf_room(fill_factor: int) -> float:
    """Return the bytes of a leaf page that an index build fills."""
    return PAGE - PAGE_HEADER - BTREE_SPECIAL - PAGE * (1 - fill_factor / 100)


def _index_doubts(index: ObservedIndex, keys: Sequence[Column]) -> Iterator[Bloat]:
    exact = "CREATE EXTENSION pgstattuple lets it be measured"
    if not index.is_plain:
        yield _unknown(
            "expressions_or_predicate",
            "there are no statistics on its predicate or expressions",
            exact,
        )
    if any(key.length < 0 and (key.width or 0) > WIDEST_KEY for key in keys):
        yield _unknown("wide_keys", "its values are wide and may be compressed or toasted", exact)
    if index.freshness.n_dead > MOST_STALE * max(index.freshness.n_rows, 1):
        yield _unknown(
            "dead_rows",
            f"its table has {index.freshness.n_dead:,} dead rows",
            f"VACUUM {index.table}",
        )
    if _shares_entries(index) and len(keys) > 1 and not any(_is_distinct(key) for key in keys):
        yield _unknown("shared_entries", "it deduplicates entries of several columns", exact)
    if _shares_entries(index) and len(keys) == 1 and _repeats_some(index, keys[0]):
        yield _unknown("shared_entries", "the number of deduplicated entries is unknown", exact)


def _repeats_some(index: ObservedIndex, key: Column) -> bool:
    n_rows = max(index.freshness.n_rows, 1)
    least, most = SOME_REPEATS
    some = [group for group in _groups(key, n_rows, 1) if least < group.repeats < most]
    return sum(group.rows for group in some) > FEW_ROWS * n_rows


def _corners(index: ObservedIndex, keys: Sequence[Column]) -> Iterator[tuple[float, float]]:
    """Yield the extreme values of width and repetitions that bound the estimate."""
    width: Width = entry_width(keys)
    doubts = (1 / DOUBT, DOUBT) if _shares_entries(index) and len(keys) == 1 else (1.0,)
    yield from ((size, doubt) for size in width for doubt in doubts)


def _index_pages(index: ObservedIndex, keys: Sequence[Column], width: float, doubt: float) -> float:
    n_rows = index.freshness.n_rows
    if _shares_entries(index) and len(keys) == 1:
        groups = _groups(keys[0], n_rows, doubt)
        used = sum(group.rows * _bytes_a_row(width, group.repeats) for group in groups)
    else:
        used = n_rows * (width + LINE_POINTER_BYTES)
    leaves = used / leaf_room(index.fill_factor)
    inner = leaves * (width + LINE_POINTER_BYTES) / (PAGE * INNER_FILL)
    return 2 + leaves + inner


class _Group(NamedTuple):
    rows: float
    repeats: float


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
    alone = width + LINE_POINTER_BYTES
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
    if any(column.width is None and not column.is_dropped for column in columns):
        yield _unknown(
            "no_statistics",
            "a column has no visible statistics",
            "ANALYZE, or GRANT SELECT",
        )


def _has_grown(fresh: Freshness) -> bool:
    pages = (fresh.size_bytes or 0) / PAGE
    return abs(pages - fresh.pages) > MOST_GROWN * max(pages, fresh.pages)


def _between(one: float, other: float, *, pages: float) -> Bloat:
    low, high = sorted(1 - each / max(pages, 1) for each in (one, other))
    if high - low > WIDEST:
        return _unknown(
            "interval_too_wide",
            f"the estimate is imprecise: {max(low, 0):.0%} to {max(high, 0):.0%}",
            "CREATE EXTENSION pgstattuple lets it be measured",
        )
    return Bloat(Method.ESTIMATE, min(max((low + high) / 2, 0.0), 1.0))


def _locked() -> Bloat:
    return _unknown("locked", "it is locked in ACCESS EXCLUSIVE mode", "retried on the next run")


def _unknown(reason: str, text: str, remedy: str) -> Bloat:
    return Bloat(Method.UNKNOWN, None, text, remedy, reason)
