"""What a query names, read from its text: lineage that needs no server."""

from collections.abc import Collection, Iterator
from typing import Any, cast

from maintenance.names import QualifiedName, quote


def relations_named(query: str) -> list[QualifiedName]:
    """Return the relations that a query names, each once; schema "" where none is written.

    Args:
        query: SQL that parses, as `read_view_query` returns it.
    """
    from pglast import ast, parse_sql  # noqa: PLC0415 - a tenth of a second, needed late or never

    nodes = list(_nodes(parse_sql(query)[0].stmt))
    common = {str(node.ctename) for node in nodes if isinstance(node, ast.CommonTableExpr)}
    named = [
        QualifiedName(node.schemaname or "", str(node.relname))
        for node in nodes
        if isinstance(node, ast.RangeVar)
    ]
    return [name for name in dict.fromkeys(named) if name.schema or name.name not in common]


def written_reads(
    query: str, search_path: str, among: Collection[QualifiedName]
) -> frozenset[QualifiedName]:
    """Return which of some relations a query names, under a search_path."""
    schemas = {part.strip() for part in search_path.split(",")}
    searched = {name for name in among if {name.schema, quote(name.schema)} & schemas}
    named = relations_named(query)
    plain = {name.name for name in named if name.schema == ""}
    return frozenset({*named} & {*among} | {name for name in searched if name.name in plain})


def _nodes(node: Any) -> Iterator[Any]:
    """Walk through a parse tree."""
    from pglast import ast  # noqa: PLC0415 - see above

    if isinstance(node, tuple | list):
        for part in cast("tuple[Any, ...]", node):
            yield from _nodes(part)
    elif isinstance(node, ast.Node):
        yield node
        for slot in node:
            yield from _nodes(getattr(node, slot))
