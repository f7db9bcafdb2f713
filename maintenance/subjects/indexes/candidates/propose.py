"""Which index a slow statement would have use of, from its generic plan. Pure.

Columns that are compared with `=` come first, the most selective first, then one by which the rows
are ordered or compared by a range. What an index that there is or that is declared serves is left
out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from maintenance.names import QualifiedName, quote
from maintenance.policy.query_sql import Order
from maintenance.subjects.indexes.candidates.models import (
    CandidateTable,
    KeyColumn,
    PresentIndex,
    Shape,
)
from maintenance.subjects.indexes.declared.plan_conditions import How, Scan

LEAST_PAGES = 512
"""A table of fewer 8 kB blocks (4 MB) is read whole in a few milliseconds."""
MOST_EQUAL = 3
"""More columns that are compared with `=` seldom narrow the search further."""
MOST_WIDTH = 200
"""A column with wider values (bytes, on average) is left out."""
SELECTIVE = 0.05
"""The share of the rows below which an index is likely to pay, where nothing proves it."""
FEW_OUTER = 0.1
"""A join searches by an index if its other side has at most so many rows, as a share."""


class Proposal(NamedTuple):
    """An index for one statement.

    Attributes:
        instead_of: an index with the same columns in another order.
        is_selective: whether the planner expects few rows of the table, or only the first ones.
    """

    shape: Shape
    instead_of: PresentIndex | None = None
    is_selective: bool = False


def propose(
    scans: Sequence[Scan],
    tables: Mapping[QualifiedName, CandidateTable],
    roots: Mapping[QualifiedName, QualifiedName],
) -> Iterator[Proposal]:
    """Yield the indexes that a plan would have use of, each once.

    Args:
        scans: of the generic plan.
        tables: of which something is known, by name.
        roots: the partitioned table of each partition.
    """
    seen: set[Shape] = set()
    for relation, found in _by_table(scans, roots).items():
        table = tables.get(relation)
        if table is None or table.pages < LEAST_PAGES:
            continue
        for scan in found:
            if not (scan.is_readable and _is_hindered(table, scan, roots)):
                continue
            proposal = _proposal(table, scan, sum(each.rows for each in found))
            if proposal is not None and proposal.shape not in seen:
                seen.add(proposal.shape)
                yield proposal


def _by_table(
    scans: Iterable[Scan], roots: Mapping[QualifiedName, QualifiedName]
) -> Mapping[QualifiedName, list[Scan]]:
    found: dict[QualifiedName, list[Scan]] = {}
    for scan in scans:
        found.setdefault(roots.get(scan.relation, scan.relation), []).append(scan)
    return found


def _proposal(table: CandidateTable, scan: Scan, rows: float) -> Proposal | None:
    keys = _keys(table, scan)
    columns = (*map(KeyColumn, keys.equal), *([keys.last] if keys.last is not None else []))
    if not columns:
        return None
    shape = Shape(table.relation, columns, tuple(_conditions(scan, columns)))
    if any(serves(index, shape, len(keys.equal)) for index in table.indexes):
        return None
    is_first = scan.is_limited and bool(scan.order)
    is_selective = is_first or 0 <= rows <= SELECTIVE * table.rows
    reordered = (index for index in table.indexes if _has_columns(index, shape))
    return Proposal(shape, next(reordered, None), is_selective)


def _is_hindered(
    table: CandidateTable, scan: Scan, roots: Mapping[QualifiedName, QualifiedName]
) -> bool:
    """Whether a scan reads the table whole, or an index that does not begin with its column."""
    if scan.index is None:
        return True
    name = QualifiedName(scan.relation.schema, scan.index)
    name = roots.get(name, name)
    index = next((each for each in table.indexes if each.relation == name), None)
    if index is None or not index.columns:
        return False
    equal = {use.column for use in scan.uses if use.how in (How.EQUAL, How.ANY)}
    ranged = {use.column for use in scan.uses if use.how is How.RANGE}
    return index.columns[0] not in (equal or ranged)


class _Keys(NamedTuple):
    """The columns that narrow the search, and the one behind them."""

    equal: tuple[str, ...]
    last: KeyColumn | None


def _keys(table: CandidateTable, scan: Scan) -> _Keys:
    equal = _usable(table, _equal(table, scan))[:MOST_EQUAL]
    several = [
        column
        for column in _usable(table, [use.column for use in scan.uses if use.how is How.ANY])
        if column not in equal
    ][: MOST_EQUAL - len(equal)]
    last = _last(table, scan, [*equal, *several], bool(several))
    return _Keys((*equal, *several), last)


def _equal(table: CandidateTable, scan: Scan) -> list[str]:
    """Return the columns that are compared with one value, the most selective first."""
    own = [use.column for use in scan.uses if use.how is How.EQUAL]
    joined = [
        each.column for each in scan.joined if each.other_rows <= FEW_OUTER * max(table.rows, 0)
    ]
    columns = dict.fromkeys((*own, *joined))
    return sorted(columns, key=lambda column: (-_distinct(table, column), column))


def _distinct(table: CandidateTable, column: str) -> float:
    known = table.columns.get(column)
    return known.n_distinct if known is not None and known.n_distinct is not None else 0


def _usable(table: CandidateTable, columns: Sequence[str]) -> list[str]:
    found = (table.columns.get(column) for column in dict.fromkeys(columns))
    return [
        column.name
        for column in found
        if column is not None and (column.width or 0) <= MOST_WIDTH and column.n_distinct != 1
    ]


def _last(
    table: CandidateTable, scan: Scan, before: Sequence[str], is_of_several: bool
) -> KeyColumn | None:
    """Return the column by which rows are ordered, or compared by a range.

    Behind a column that is compared with several values rows are not in order.
    """
    ranged = [use.column for use in scan.uses if use.how is How.RANGE]
    ranged = [column for column in _usable(table, ranged) if column not in before]
    order = next((item for item in scan.order if item.column not in before), None)
    is_ordered = order is not None and not is_of_several and bool(_usable(table, [order.column]))
    if order is not None and is_ordered and (order.column in ranged or _is_wanted(scan, ranged)):
        return KeyColumn(order.column, _suffix(order))
    return KeyColumn(ranged[0]) if ranged else None


def _is_wanted(scan: Scan, ranged: Sequence[str]) -> bool:
    """Whether the order saves more than a range: only the first rows, or no range."""
    is_narrowed = any(use.how is How.EQUAL for use in scan.uses)
    return scan.is_limited or (not ranged and is_narrowed)


def _suffix(order: Order) -> str:
    if order.descending == order.nulls_first:
        return ""
    return "DESC NULLS LAST" if order.descending else "NULLS FIRST"


_PREDICATES = {How.IS_NULL: "{} IS NULL", How.IS_TRUE: "{}", How.IS_FALSE: "NOT {}"}


def _conditions(scan: Scan, columns: Sequence[KeyColumn]) -> Iterator[str]:
    """Yield the conditions without a value, which a partial index can have."""
    keys = {each.name for each in columns}
    found = dict.fromkeys(use for use in scan.uses if use.how in _PREDICATES)
    for use in sorted(found, key=lambda each: each.column):
        if use.column not in keys:
            yield _PREDICATES[use.how].format(quote(use.column))


def serves(index: PresentIndex, shape: Shape, n_equal: int) -> bool:
    """Whether an index does for a statement what a candidate would.

    Args:
        index: that there is, or is declared.
        shape: of the candidate.
        n_equal: how many of its columns are compared with `=`, whose order does not matter.
    """
    if not _is_whole(index, shape):
        return False
    names = shape.names
    return set(index.columns[:n_equal]) == set(names[:n_equal]) and (
        index.columns[n_equal : len(names)] == names[n_equal:]
    )


def _is_whole(index: PresentIndex, shape: Shape) -> bool:
    """Whether an index has all rows that a candidate would have."""
    return index.predicate is None or _bare(index.predicate) in _bares(shape.conditions)


def _has_columns(index: PresentIndex, shape: Shape) -> bool:
    """Whether an index has the columns of a candidate, and no others."""
    return _is_whole(index, shape) and set(shape.names) == set(index.columns)


def _bares(conditions: Sequence[str]) -> set[str]:
    return {_bare(each) for each in (*conditions, " AND ".join(conditions))}


def _bare(condition: str) -> str:
    return "".join(condition.replace("(", " ").replace(")", " ").split())
