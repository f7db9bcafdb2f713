"""Check the definition of an index: few distinct values, constant keys, wide entries."""

from collections.abc import Iterator, Mapping
from functools import cache
from math import prod
from typing import Any

from maintenance.policy.sql_parser import parse
from maintenance.policy.thresholds import LowCardinality
from maintenance.subjects.indexes.models import Catalog, Column, Index, Table
from maintenance.subjects.indexes.trees import Tree, rows

MAX_ENTRY_BYTES = 2704
"""A btree refuses a wider entry, and the INSERT fails (PostgreSQL manual, 67.2)."""

WIDE_BYTES = MAX_ENTRY_BYTES // 4
"""At this average width some rows are likely to be refused."""

RARE = 0.05
"""A value in fewer rows is one that an index may serve to find."""

RARE_OF_AVERAGE = 0.5
"""So is one that is in fewer rows than this share of the average of all values."""


def distinct_values(tree: Tree, catalog: Catalog) -> float | None:
    """Estimate the number of distinct keys of an index; None if unknown."""
    table = catalog.tables[tree.root.table_oid]
    n_rows = rows(tree, catalog)
    numbers = [_distinct(_column(table, key.of), n_rows) for key in tree.root.keys]
    known = [number for number in numbers if number is not None]
    return prod(known) if len(known) == len(numbers) else None


def leading_values(tree: Tree, catalog: Catalog) -> float | None:
    """Estimate the number of distinct values of the first key of an index; None if unknown."""
    table = catalog.tables[tree.root.table_oid]
    return _distinct(_column(table, tree.root.keys[0].of), rows(tree, catalog))


def has_few_values(tree: Tree, catalog: Catalog, limits: LowCardinality) -> bool:
    """Whether an index has so few distinct keys that a sequential scan is as fast.

    False for a partial index: its predicate selects the rows, not its keys.
    """
    index = tree.root
    if (
        index.method not in {"btree", "hash"}
        or index.is_unique
        or index.predicate is not None
        or index.relation in limits.except_
        or rows(tree, catalog) < limits.min_rows
    ):
        return False
    distinct = distinct_values(tree, catalog)
    if distinct is None or distinct > limits.max_distinct:
        return False
    table = catalog.tables[index.table_oid]
    return not any(may_select(_column(table, key.of), rows(tree, catalog)) for key in index.keys)


def may_select(column: Column | None, n_rows: float) -> bool:
    """Whether some value of a column, or null, is so rare that an index may serve to find it.

    True if that is unknown. Statistics are of a sample, so a rare value that it missed counts as
    common here: whether the index is used has to be asked too.
    """
    n_values = _distinct(column, n_rows)
    if column is None or n_values is None or not column.n_common:
        return True
    shares = [column.least_common]
    if column.null_fraction:
        shares.append(column.null_fraction)
    if (n_others := round(n_values) - column.n_common) > 0:
        rest = 1 - column.common_fraction - column.null_fraction
        shares.append(max(0.0, rest) / n_others)
    n_shares = max(1, round(n_values)) + (column.null_fraction > 0)
    return min(shares) < min(RARE, RARE_OF_AVERAGE / n_shares)


def finds_by_skip_scan(index: Index, other: Index, table: Table, limits: LowCardinality) -> bool:
    """Whether an index finds the first key of another one by a skip scan over few values.

    The server then searches it once for each value of the columns before that key.
    """
    wanted = other.keys[0]
    if (
        index.method != "btree"
        or not index.is_valid
        or index.predicate not in {None, other.predicate}
    ):
        return False
    same = (wanted.of, wanted.opclass, wanted.collation)
    places = [key[:3] for key in index.keys]
    if same not in places:
        return False
    before = index.keys[: places.index(same)]
    numbers = [_distinct(_column(table, key.of), table.rows) for key in before]
    known = [number for number in numbers if number is not None]
    return bool(before) and len(known) == len(numbers) and prod(known) <= limits.max_distinct


def entry_bytes(index: Index, table: Table) -> int | None:
    """Return the average width of an index entry in bytes; None if a column's is unknown."""
    width = 0
    for of in (*(key.of for key in index.keys), *index.included):
        column = _column(table, of)
        if column is None or column.width is None:
            return None
        width += column.width
    return width


def is_wide(index: Index, table: Table) -> bool:
    """Whether the average entry of a btree is near the maximum entry size."""
    width = entry_bytes(index, table) if index.method == "btree" and table.columns else None
    return width is not None and width >= WIDE_BYTES


def constant_keys(index: Index, table: Table) -> list[str]:
    """Return the key columns that the predicate of the index makes constant.

    None if that is all keys: an index has to have one, and such an index finds the rare rows.
    """
    if index.predicate is None:
        return []
    names = [column.name for key in index.keys if (column := _column(table, key.of))]
    if not any(name in index.predicate for name in names):
        return []
    constant = _constants(index.predicate)
    found = [name for name in names if name in constant]
    return found if len(found) < len(index.keys) else []


def _column(table: Table, of: int | str) -> Column | None:
    return table.columns.get(of) if isinstance(of, int) else None


def _distinct(column: Column | None, n_rows: float) -> float | None:
    if column is None or column.n_distinct is None or not column.n_distinct:
        return None
    if column.n_distinct > 0:
        return column.n_distinct
    return -column.n_distinct * n_rows if n_rows >= 0 else None


@cache
def _constants(predicate: str) -> frozenset[str]:
    """Return the columns that a predicate fixes to one value, by its outermost AND.

    None of one that is nested too deep to be read.
    """
    from pglast.parser import ParseError  # noqa: PLC0415 - needed late or never

    try:
        (parsed,) = parse(f"SELECT WHERE {predicate}")
        return frozenset(_held(parsed.stmt.whereClause(skip_none=True)))
    except (ParseError, RecursionError):
        return frozenset()


def _held(node: Mapping[str, Any]) -> Iterator[str]:
    kind = node["@"]
    if kind == "BoolExpr" and node["boolop"]["name"] == "AND_EXPR":
        for part in node["args"]:
            yield from _held(part)
    elif kind == "BoolExpr" and node["boolop"]["name"] == "NOT_EXPR":
        yield from _name(node["args"][0])
    elif kind == "ColumnRef":
        yield from _name(node)
    elif kind in {"NullTest", "BooleanTest"} and _test(node) in {"IS_NULL", "IS_TRUE", "IS_FALSE"}:
        yield from _name(node["arg"])
    elif kind == "A_Expr" and node["kind"]["name"] == "AEXPR_OP":
        yield from _equal(node)


def _test(node: Mapping[str, Any]) -> str:
    return str((node.get("nulltesttype") or node["booltesttype"])["name"])


def _equal(node: Mapping[str, Any]) -> Iterator[str]:
    operator = node["name"][-1]["sval"]
    left, right = node.get("lexpr"), node["rexpr"]
    if operator == "=" and left is not None and _is_constant(right):
        yield from _name(left)


def _is_constant(node: Mapping[str, Any]) -> bool:
    if node["@"] == "TypeCast":
        return _is_constant(node["arg"])
    return bool(node["@"] == "A_Const")


def _name(node: Mapping[str, Any]) -> Iterator[str]:
    if node["@"] == "TypeCast":
        yield from _name(node["arg"])
    elif node["@"] == "ColumnRef":
        yield str(node["fields"][-1]["sval"])
