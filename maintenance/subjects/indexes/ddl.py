"""The DDL that drops an index, and the DDL that brings it back."""

from collections.abc import Sequence
from typing import NamedTuple

from maintenance.names import literal, quote
from maintenance.subjects.indexes.models import ForeignKey, Index, Table


class Definition(NamedTuple):
    """The server's own words for an index, and for the unique constraint that it is behind."""

    text: str
    constraint: str | None = None


def drop(index: Index, table: Table) -> str:
    """Return the statement that drops it: concurrently where the server can."""
    if index.constraint is not None:
        return f"ALTER TABLE {table.relation} DROP CONSTRAINT {quote(index.constraint)}"
    how = "" if index.is_partitioned or index.parent is not None else " CONCURRENTLY"
    return f"DROP INDEX{how} {index.relation}"


def restore(index: Index, table: Table, definition: Definition) -> Sequence[str]:
    """Return the statements that bring it back, the same but for its comment.

    A partitioned index comes back in one statement that blocks writers as long as it builds;
    a constraint does too.
    """
    place = f"SET default_tablespace = {literal(index.tablespace or '')}"
    return [*([place] if index.tablespace else []), _create(index, table, definition)]


def create_for(key: ForeignKey, table: Table) -> str:
    """Return the statement that gives a foreign key an index."""
    how = "" if table.kind == "p" else " CONCURRENTLY"
    columns = ", ".join(map(quote, key.names))
    return f"CREATE INDEX{how} ON {table.relation} ({columns})"


def _create(index: Index, table: Table, definition: Definition) -> str:
    if index.constraint is not None and definition.constraint is not None:
        name = quote(index.constraint)
        return f"ALTER TABLE {table.relation} ADD CONSTRAINT {name} {definition.constraint}"
    head = "CREATE UNIQUE INDEX" if index.is_unique else "CREATE INDEX"
    tail = definition.text.removeprefix(head)
    if index.is_partitioned:
        return head + tail.replace(f" ON ONLY {table.relation} ", f" ON {table.relation} ", 1)
    return f"{head} CONCURRENTLY{tail}"
