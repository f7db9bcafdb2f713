"""The conditions that a query puts on each of its tables, and those of an index predicate. Pure.

Texts in one spelling, so that they can be compared. Two conditions that mean the same and are
written differently are different: what is compared here is only ever proven, never refuted.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from maintenance.policy.sql_parser import nodes_of, parse


def implies(query: str, table: str, predicate: str) -> bool:
    """Whether a query surely implies the predicate of a partial index on one of its tables.

    Args:
        query: its text.
        table: the name of the table, without the schema.
        predicate: SQL with column names of the table.
    """
    wanted = _conditions(f"SELECT WHERE ({predicate})", None)[0]
    found = _conditions(query, table)
    return bool(found) and all(wanted <= each for each in found)


@lru_cache(maxsize=2048)
def may_stop_early(query: str, table: str) -> bool:
    """Whether a query may read a table in part only: below a LIMIT or in an EXISTS.

    Args:
        query: its text.
        table: the name of the table, without the schema.
    """
    from pglast import ast  # noqa: PLC0415 - takes a tenth of a second

    return any(
        _names(node, table)
        for node in nodes_of(parse(query))
        if isinstance(node, ast.SubLink)
        or (isinstance(node, ast.SelectStmt) and node.limitCount is not None)
    )


def _names(root: Any, table: str) -> bool:
    from pglast import ast  # noqa: PLC0415 - as above

    return any(isinstance(n, ast.RangeVar) and n.relname == table for n in nodes_of(root))


@lru_cache(maxsize=2048)
def _conditions(text: str, table: str | None) -> tuple[frozenset[str], ...]:
    """Return the conditions on a table of each SELECT that names it, or without a table all."""
    from pglast import ast  # noqa: PLC0415 - takes a tenth of a second

    found: list[frozenset[str]] = []
    for node in nodes_of(parse(text)):
        if isinstance(node, ast.SelectStmt):
            names = dict(_tables(node.fromClause or ()))
            aliases = {alias for alias, name in names.items() if table in (None, name)}
            if table is None or aliases:
                is_alone = len(names) <= 1
                parts = (*_parts(node.whereClause), *_joined(node.fromClause or ()))
                texts = (_text_of(part, aliases, is_alone=is_alone) for part in parts)
                found.append(frozenset(each for each in texts if each is not None))
    return tuple(found)


def _tables(sources: Any) -> Iterator[tuple[str, str]]:
    """Yield the alias and the name of each source; the name is empty of what is no table."""
    from pglast import ast  # noqa: PLC0415 - as above

    for number, each in enumerate(sources):
        if isinstance(each, ast.RangeVar):
            alias = each.alias.aliasname if each.alias is not None else each.relname
            yield str(alias), str(each.relname)
        elif isinstance(each, ast.JoinExpr):
            yield from _tables((each.larg, each.rarg))
        else:
            alias = getattr(each, "alias", None)
            yield (str(alias.aliasname) if alias is not None else f"?{number}"), ""


def _joined(sources: Any) -> Iterator[Any]:
    """Yield the conditions of inner joins."""
    from pglast import ast  # noqa: PLC0415 - as above
    from pglast.enums import JoinType  # noqa: PLC0415 - as above

    for each in sources:
        if isinstance(each, ast.JoinExpr) and each.jointype == JoinType.JOIN_INNER:
            yield from _parts(each.quals)
            yield from _joined((each.larg, each.rarg))


def _parts(condition: Any) -> Iterator[Any]:
    """Yield the conditions that AND joins."""
    from pglast import ast  # noqa: PLC0415 - as above
    from pglast.enums import BoolExprType  # noqa: PLC0415 - as above

    if isinstance(condition, ast.BoolExpr) and condition.boolop == BoolExprType.AND_EXPR:
        for each in condition.args or ():
            yield from _parts(each)
    elif condition is not None:
        yield condition


def _text_of(condition: Any, aliases: set[str], *, is_alone: bool) -> str | None:
    """Return `_text`; None of a condition that is nested too deeply to be written."""
    try:
        return _text(condition, aliases, is_alone=is_alone)
    except RecursionError:
        return None


def _text(condition: Any, aliases: set[str], *, is_alone: bool) -> str | None:
    """Return a condition on one table, without its alias; None of another table."""
    from pglast import ast  # noqa: PLC0415 - as above
    from pglast.stream import RawStream  # noqa: PLC0415 - as above

    (copy,) = parse(f"SELECT WHERE {RawStream()(condition)}")
    whole: Any = copy.stmt
    for node in nodes_of(whole.whereClause):
        if isinstance(node, ast.SubLink):
            return None
        if isinstance(node, ast.ColumnRef):
            fields: tuple[Any, ...] = node.fields or ()
            qualifiers = [getattr(each, "sval", "") for each in fields[:-1]]
            is_own = qualifiers[-1] in aliases if qualifiers else is_alone
            if not is_own:
                return None
            node.fields = fields[-1:]
    return RawStream()(whole.whereClause)
