"""Read from a plan how its scans compare the columns of their tables. Pure.

Conditions have values of parameters, so what is read has none: columns, operators, functions and
types alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from typing import Any, NamedTuple

from maintenance.names import QualifiedName, quote
from maintenance.policy.query_sql import Order
from maintenance.policy.sql_parser import nodes_of, parse
from maintenance.subjects.indexes.declared.plan_reader import (
    OF_BITMAPS,
    SORTS,
    children_of,
    passes_order,
    relation_of,
)


class How(StrEnum):
    """How a condition uses a column."""

    EQUAL = "equal"
    ANY = "any"
    """One of several values."""
    RANGE = "range"
    IS_NULL = "is_null"
    IS_NOT_NULL = "is_not_null"
    IS_TRUE = "is_true"
    IS_FALSE = "is_false"
    FUNCTION = "function"
    CAST = "cast"
    EXPRESSION = "expression"
    OPERATOR = "operator"
    """Another one than a comparison that an index or a partition key serves."""
    ALTERNATIVE = "alternative"
    """In an OR whose other branches do not restrict it."""


class ColumnUse(NamedTuple):
    """How a condition uses one column.

    Attributes:
        detail: the function, the type of the cast, or the operator.
        is_joined: whether it is compared with a column of another table.
    """

    column: str
    how: How
    detail: str = ""
    is_joined: bool = False


class JoinedColumn(NamedTuple):
    """A column that a join above a scan compares with one of its other side.

    Attributes:
        other_rows: how many rows the planner expects of that side.
    """

    column: str
    other_rows: float


@dataclass(frozen=True, slots=True)
class Scan:
    """How a plan reads a relation at one place.

    Attributes:
        relation: the table or the partition.
        alias: in this plan; of a partition, with a number behind it.
        index: None for a sequential scan.
        uses: what its own conditions compare.
        joined: what joins above it compare.
        order: the columns by which its rows are sorted above, if they are all its own.
        is_limited: whether only the first rows of that order are wanted.
        rows: that the planner expects of it.
        ends_early: whether reading may end before all of it and of what follows it is read.
        is_readable: whether all its conditions were understood.
    """

    relation: QualifiedName
    alias: str
    index: str | None = None
    uses: tuple[ColumnUse, ...] = ()
    joined: tuple[JoinedColumn, ...] = ()
    order: tuple[Order, ...] = ()
    is_limited: bool = False
    rows: float = 0
    ends_early: bool = False
    is_readable: bool = True


_SCANS = frozenset({"Seq Scan", "Sample Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"})
_OWN = ("Filter", "Index Cond", "Recheck Cond")
_OF_JOINS = ("Hash Cond", "Merge Cond", "Join Filter")
_JOINS = frozenset({"Nested Loop", "Hash Join", "Merge Join"})
_NUMBER = re.compile(r"_\d+\Z")
_SUBPLAN = re.compile(r"\((?:hashed )?(?:InitPlan|SubPlan|CTE) [^()]*\)")
_EXISTS = re.compile(r"\b(?:EXISTS|(?<![=<>] )(?:ANY|ALL)) ?(?=\()")


@dataclass
class _Above:
    """What is above a node.

    Attributes:
        sort: the keys of a sort that its rows reach in their order.
        joins: conditions of joins, with the rows of the other side.
        ends_early: whether a limit ends the reading, with nothing between that reads on.
    """

    sort: Sequence[str] = ()
    is_limited: bool = False
    joins: tuple[tuple[str, float], ...] = ()
    ends_early: bool = False


_Parsed = dict[str, "tuple[ColumnUse, ...] | None"]
"""Conditions that were parsed already; partitions have the same."""


def read_scans(explained: Any) -> tuple[Scan, ...]:
    """Read the scans of an answer of EXPLAIN (VERBOSE, FORMAT JSON), in the order of the plan."""
    return tuple(_scans(explained[0]["Plan"], _Above(), {}))


def base_alias(alias: str) -> str:
    """Return the alias of a partitioned table by that of a partition, which has a number."""
    return _NUMBER.sub("", alias)


def _scans(node: Mapping[str, Any], above: _Above, reading: _Parsed) -> Iterator[Scan]:
    kind: str = node["Node Type"]
    if kind in SORTS:
        above = _Above(node.get("Sort Key", ()), above.is_limited, above.joins)
    elif kind == "Limit":
        above = _Above(above.sort, True, above.joins, True)
    elif kind == "Merge Append":  # reads the first row of each
        above = replace(above, ends_early=False)
    if kind in _SCANS and relation_of(node) is not None:
        yield _scan(node, above, reading)
    for child in children_of(node):
        if kind in OF_BITMAPS:
            continue
        below = above if passes_order(kind, child) else _Above(joins=above.joins)
        if kind in _JOINS:
            joins = (*above.joins, *_joins(node, child))
            below = replace(below, joins=joins)
        yield from _scans(child, below, reading)


def _joins(node: Mapping[str, Any], child: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    others = [each for each in children_of(node) if each is not child]
    rows = max((float(each.get("Plan Rows", 0)) for each in others), default=0.0)
    yield from ((node[key], rows) for key in _OF_JOINS if key in node)


def _scan(node: Mapping[str, Any], above: _Above, reading: _Parsed) -> Scan:
    relation = relation_of(node)
    assert relation is not None, "asked before"
    alias: str = node.get("Alias", relation.name)
    texts = [node[key] for key in _OWN if key in node]
    # The index of a bitmap scan is below it; its condition is checked again.
    own = [_conditions(text, alias, reading) for text in dict.fromkeys(texts)]
    joined: list[JoinedColumn] = []
    for text, rows in above.joins:
        found = _conditions(text, alias, reading)
        joined += [
            JoinedColumn(use.column, rows)
            for use in found or ()
            if use.is_joined and use.how in (How.EQUAL, How.RANGE)
        ]
    indexes = [node.get("Index Name"), *_bitmaps(node)]
    return Scan(
        relation,
        alias,
        next((index for index in indexes if index is not None), None),
        tuple(dict.fromkeys(chain.from_iterable(each for each in own if each is not None))),
        tuple(dict.fromkeys(joined)),
        _order(above.sort, alias),
        above.is_limited,
        float(node.get("Plan Rows", 0)),
        above.ends_early,
        None not in own,
    )


def _bitmaps(node: Mapping[str, Any]) -> Iterator[str | None]:
    if node["Node Type"] not in OF_BITMAPS:
        return
    for child in children_of(node):
        yield child.get("Index Name")
        yield from _bitmaps(child)


def _order(keys: Sequence[str], alias: str) -> tuple[Order, ...]:
    """Return the columns of a sort; none if one of its keys is another expression."""
    if not keys:
        return ()
    statement = _parsed(f"SELECT ORDER BY {_of_this(', '.join(keys), alias)}")
    found: list[Order] = []
    for item in statement.sortClause if statement is not None else ():
        column = _own_column(item.node)
        if column is None:
            return ()
        descending = item.sortby_dir.name == "SORTBY_DESC"
        nulls = item.sortby_nulls.name
        first = descending if nulls == "SORTBY_NULLS_DEFAULT" else nulls.endswith("FIRST")
        found.append(Order(column, descending, first))
    return tuple(found)


_THIS = "this"


def _of_this(text: str, alias: str) -> str:
    """Return a text in which the columns of a relation belong to `this`.

    Above an Append, the server names the columns of one of its partitions.
    """
    base = re.escape(base_alias(alias))
    return re.sub(rf'(?<![\w.$"])(?:{base}(?:_\d+)?|"{base}(?:_\d+)?")\.(?=["\w])', "this.", text)


def _conditions(text: str, alias: str, reading: _Parsed) -> tuple[ColumnUse, ...] | None:
    """Return the uses of the columns of a relation; None if the condition is not understood."""
    plain = _EXISTS.sub("", _SUBPLAN.sub("($99)", _of_this(text, alias)))
    if plain not in reading:
        statement = _parsed(f"SELECT WHERE {plain}")
        reading[plain] = tuple(_uses(statement.whereClause)) if statement is not None else None
    return reading[plain]


def _parsed(text: str) -> Any:
    """Return the parsed SELECT; None if PostgreSQL's parser refuses it."""
    from pglast.parser import ParseError  # noqa: PLC0415 - a tenth of a second, needed rarely

    try:
        (statement,) = parse(text)
    except ParseError:
        return None
    return statement.stmt


def _uses(condition: Any) -> Iterator[ColumnUse]:
    """Yield how a condition uses the columns of `this`."""
    from pglast import ast  # noqa: PLC0415 - as above
    from pglast.enums import BoolExprType, NullTestType  # noqa: PLC0415 - as above

    if isinstance(condition, ast.BoolExpr):
        branches: Any = condition.args
        if condition.boolop == BoolExprType.AND_EXPR:
            yield from chain.from_iterable(map(_uses, branches))
        elif condition.boolop == BoolExprType.OR_EXPR:
            yield from _alternatives(branches)
        else:
            yield from _negated(branches[0])
        return
    column = _own_column(condition)
    if column is not None:
        yield ColumnUse(column, How.IS_TRUE)
    elif isinstance(condition, ast.NullTest) and _own_column(condition.arg) is not None:
        is_null = condition.nulltesttype == NullTestType.IS_NULL
        how = How.IS_NULL if is_null else How.IS_NOT_NULL
        yield ColumnUse(_own_column(condition.arg) or "", how)
    elif isinstance(condition, ast.A_Expr):
        yield from _compared(condition)
    else:
        yield from _wrapped(condition)


def _alternatives(branches: Sequence[Any]) -> Iterator[ColumnUse]:
    found = [list(_uses(branch)) for branch in branches]
    plain = [{use.column for use in uses if use.how in _PLAIN} for uses in found]
    in_all = set[str].intersection(*plain) if plain else set[str]()
    for use in chain.from_iterable(found):
        how = How.ANY if use.column in in_all else How.ALTERNATIVE
        yield ColumnUse(use.column, how, is_joined=use.is_joined)


_PLAIN = frozenset({How.EQUAL, How.ANY, How.RANGE, How.IS_NULL, How.IS_TRUE, How.IS_FALSE})


def _negated(condition: Any) -> Iterator[ColumnUse]:
    column = _own_column(condition)
    if column is not None:
        yield ColumnUse(column, How.IS_FALSE)
        return
    for each in dict.fromkeys(_own_columns(condition)):
        yield ColumnUse(each, How.OPERATOR, "NOT")


_COMPARISONS = {"=": How.EQUAL, "<": How.RANGE, "<=": How.RANGE, ">": How.RANGE, ">=": How.RANGE}


def _compared(expression: Any) -> Iterator[ColumnUse]:
    kind = expression.kind.name
    operator = _last(expression.name)
    how = _COMPARISONS.get(operator) if kind in ("AEXPR_OP", "AEXPR_OP_ANY") else None
    if kind == "AEXPR_OP_ANY":
        how = How.ANY if how is How.EQUAL else None
    for side, other in (
        (expression.lexpr, expression.rexpr),
        (expression.rexpr, expression.lexpr),
    ):
        column = _own_column(side)
        is_joined = any(True for _ in _other_columns(other))
        if column is None:
            yield from (use._replace(is_joined=is_joined) for use in _wrapped(side))
        elif how is None or any(True for _ in _own_columns(other)):
            yield ColumnUse(column, How.OPERATOR, operator, is_joined)
        else:
            yield ColumnUse(column, how, operator, is_joined)


def _wrapped(expression: Any) -> Iterator[ColumnUse]:
    """Yield the columns within an expression, with what is outermost around them."""
    from pglast import ast  # noqa: PLC0415 - as above

    how, detail = How.EXPRESSION, ""
    if isinstance(expression, ast.FuncCall):
        how, detail = How.FUNCTION, _last(expression.funcname)
    elif isinstance(expression, ast.TypeCast) and expression.typeName is not None:
        how, detail = How.CAST, _last(expression.typeName.names)
    elif isinstance(expression, ast.A_Expr):
        detail = _last(expression.name)
    for column in dict.fromkeys(_own_columns(expression)):
        yield ColumnUse(column, how, detail)


def _last(name: Any) -> str:
    """Return a name without its schema."""
    return str(name[-1].sval) if name else ""


def _own_columns(expression: Any) -> Iterator[str]:
    return (column for node in nodes_of(expression) if (column := _own_column(node)) is not None)


def _other_columns(expression: Any) -> Iterator[Any]:
    from pglast import ast  # noqa: PLC0415 - as above

    for node in nodes_of(expression):
        if isinstance(node, ast.ColumnRef) and _own_column(node) is None:
            yield node


def _own_column(node: Any) -> str | None:
    """Return the column of `this` that an expression is; None if it is another one."""
    from pglast import ast  # noqa: PLC0415 - as above

    if not isinstance(node, ast.ColumnRef) or len(node.fields or ()) < 2:  # noqa: PLR2004 - qualified
        return None
    fields: Any = node.fields
    table, column = fields[-2:]
    is_own = isinstance(table, ast.String) and table.sval == _THIS
    return column.sval if is_own and isinstance(column, ast.String) else None


def shown_use(use: ColumnUse) -> str:
    """Return an expression as a person would write it, without values."""
    column = quote(use.column)
    if use.how is How.FUNCTION:
        return f"{use.detail}({column})"
    return f"{column}::{use.detail}" if use.how is How.CAST else column
