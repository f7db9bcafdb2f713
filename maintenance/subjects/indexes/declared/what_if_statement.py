"""Statements as HypoPG understands them. Pure.

The server simplifies the conditions of a query and the predicate of an index before it compares
them; HypoPG (up to 1.4) does not simplify the predicate, so that no query implies `done = false`.
"""

from typing import Any

from maintenance.policy.sql_parser import parse


def simplified(statement: str) -> str:
    """Return a CREATE INDEX whose predicate compares no column with true or false."""
    from pglast import ast  # noqa: PLC0415 - a tenth of a second, needed late or never
    from pglast.stream import RawStream  # noqa: PLC0415 - as above

    (parsed,) = parse(statement)
    index: Any = parsed.stmt
    assert isinstance(index, ast.IndexStmt), "a declared index is created"
    if index.whereClause is None:
        return statement
    try:
        before = RawStream()(index)
        index.whereClause = _simplified(index.whereClause)
        after = RawStream()(index)
    except RecursionError:  # a predicate that is nested very deeply
        return statement
    return after if after != before else statement


def _simplified(condition: Any) -> Any:
    from pglast import ast  # noqa: PLC0415 - as above
    from pglast.enums import A_Expr_Kind, BoolExprType  # noqa: PLC0415 - as above

    if isinstance(condition, ast.BoolExpr):
        condition.args = tuple(_simplified(each) for each in condition.args or ())
        return condition
    if not isinstance(condition, ast.A_Expr) or condition.kind != A_Expr_Kind.AEXPR_OP:
        return condition
    (operator, *_) = condition.name or ("",)
    sides = (condition.lexpr, condition.rexpr)
    value = next((_value(side) for side in sides if _value(side) is not None), None)
    column = next((side for side in sides if isinstance(side, ast.ColumnRef)), None)
    text: str | None = getattr(operator, "sval", None)
    if value is None or column is None or text not in ("=", "<>"):
        return condition
    if value is (text == "="):
        return column
    return ast.BoolExpr(BoolExprType.NOT_EXPR, (column,))


def _value(node: Any) -> bool | None:
    """Return the constant true or false that an expression is; None of another one."""
    from pglast import ast  # noqa: PLC0415 - as above

    if isinstance(node, ast.A_Const) and isinstance(node.val, ast.Boolean):
        return bool(node.val.boolval)
    return None
