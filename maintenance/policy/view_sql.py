"""The SQL file of a materialized view: one SELECT, or one CREATE MATERIALIZED VIEW.

Parsed with PostgreSQL's own parser, imported only when needed: that takes a tenth of a second.
"""

from pathlib import Path
from typing import Any

from maintenance.names import QualifiedName
from maintenance.policy.sql_parser import parse

_COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})


class ViewSqlError(ValueError):
    """A file that is not a view definition; the message says what was found, and the line.

    Attributes:
        reason: a short code for the fault.
    """

    def __init__(self, reason: str, found: str) -> None:
        super().__init__(found)
        self.reason = reason


def view_query(text: str, name: QualifiedName) -> str:
    """Return the query of a view's SQL file.

    Args:
        text: the file's content.
        name: the view that it must define.

    Raises:
        ViewSqlError: it can't be parsed, or is not one query for this view.
    """
    from pglast import ast  # noqa: PLC0415 - see above
    from pglast.parser import ParseError  # noqa: PLC0415

    try:
        statements = parse(text)
    except ParseError as exc:
        # An error at the end has no position.
        message, position = (*exc.args, None)[:2]
        line = text.count("\n", 0, position) + 1
        raise ViewSqlError("syntax", f"line {line}: {message}") from exc
    if len(statements) != 1:
        raise ViewSqlError("statement_count", f"{len(statements)} statements")
    statement: Any = statements[0].stmt
    if isinstance(statement, ast.SelectStmt) and statement.intoClause is None:
        return _between(text, 0)
    if not isinstance(statement, ast.CreateTableAsStmt) or statement.objtype is not _matview():
        raise ViewSqlError("not_a_view", "another statement")
    _check_head(statement.into, name)
    return _between(text, 1)


def read_view_query(path: Path, name: QualifiedName) -> str:
    """Return the query of a view's SQL file.

    Raises:
        ViewSqlError: the file can't be read; or as `view_query`.
    """
    try:
        return view_query(path.read_text(encoding="utf-8-sig"), name)
    except (OSError, UnicodeDecodeError) as exc:
        raise ViewSqlError("unreadable", "a file not readable as UTF-8 text") from exc


def _matview() -> Any:
    from pglast.enums import ObjectType  # noqa: PLC0415 - see above

    return ObjectType.OBJECT_MATVIEW


def _check_head(into: Any, name: QualifiedName) -> None:
    found = QualifiedName(into.rel.schemaname or "public", into.rel.relname)
    if found != name:
        raise ViewSqlError("another_view", f"the definition of {found}")
    if into.colNames:
        raise ViewSqlError("column_list", "a column list; name the columns in the query instead")
    if into.options or into.tableSpaceName or into.accessMethod:
        raise ViewSqlError(
            "storage_settings", "storage settings; set them with ALTER MATERIALIZED VIEW instead"
        )


def _between(text: str, n_heads: int) -> str:
    """Return the query: the text after AS, before WITH [NO] DATA and the semicolon."""
    from pglast.parser import scan  # noqa: PLC0415 - see above

    tokens = [token for token in scan(text) if token.name not in _COMMENTS]
    if tokens[-1].name == "ASCII_59":
        tokens.pop()
    first = tokens[0]
    if n_heads:
        place = next(n for n, token in enumerate(tokens) if token.name == "AS")
        first = tokens[place + 1]
        ending = [token.name for token in tokens[-3:]]
        if ending[-1] == "DATA_P" and "WITH" in ending:
            tokens = tokens[: -2 if ending[-2] == "WITH" else -3]
    return text[first.start : tokens[-1].end + 1]
