"""DDL statements that drop an index and that restore it."""

from collections.abc import Sequence
from typing import NamedTuple

from maintenance.names import literal, quote
from maintenance.subjects.indexes.models import Index, Table


class Definition(NamedTuple):
    """The definitions of an index and of its unique constraint, as deparsed by the server."""

    text: str
    constraint: str | None = None


def drop(index: Index, table: Table) -> str:
    """Return the statement that drops an index, concurrently if the server supports it."""
    if index.constraint is not None:
        return f"ALTER TABLE {table.relation} DROP CONSTRAINT {quote(index.constraint)}"
    how = "" if index.is_partitioned or index.parent is not None else " CONCURRENTLY"
    return f"DROP INDEX{how} {index.relation}"


def restore(index: Index, table: Table, definition: Definition) -> Sequence[str]:
    """Return the statements that restore an index, except its comment.

    A partitioned index is restored by one statement that blocks writers during the build; so is
    a constraint.
    """
    place = f"SET default_tablespace = {literal(index.tablespace or '')}"
    return [*([place] if index.tablespace else []), _create(index, table, definition)]


def _create(index: Index, table: Table, definition: Definition) -> str:
    if index.constraint is not None and definition.constraint is not None:
        name = quote(index.constraint)
        return f"ALTER TABLE {table.relation} ADD CONSTRAINT {name} {definition.constraint}"
    head = "CREATE UNIQUE INDEX" if index.is_unique else "CREATE INDEX"
    tail = definition.text.removeprefix(head)
    if index.is_partitioned:
        return head + tail.replace(f" ON ONLY {table.relation} ", f" ON {table.relation} ", 1)
    return f"{head} CONCURRENTLY{tail}"
