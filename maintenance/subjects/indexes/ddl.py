"""DDL statements that drop an index and that restore it."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from maintenance.names import literal, quote
from maintenance.subjects.indexes.models import Index, Table


class Definition(NamedTuple):
    """The definitions of an index and of its unique constraint, as deparsed by the server.

    Attributes:
        targets: statistics targets by the number of the column; only those that were set.
    """

    text: str
    constraint: str | None = None
    comment: str | None = None
    constraint_comment: str | None = None
    targets: Mapping[int, int] = MappingProxyType({})


def drop(index: Index, table: Table) -> str:
    """Return the statement that drops an index, concurrently if the server supports it."""
    if index.constraint is not None:
        return f"ALTER TABLE {table.relation} DROP CONSTRAINT {quote(index.constraint)}"
    how = "" if locks_all(index) else " CONCURRENTLY"
    return f"DROP INDEX{how} {index.relation}"


def locks_all(index: Index) -> bool:
    """Whether its drop takes ACCESS EXCLUSIVE on its table, and on all partitions if it has some.

    A constraint, and a partitioned index with its parts, can't be dropped concurrently.
    """
    return index.constraint is not None or index.is_partitioned or index.parent is not None


def restore(index: Index, table: Table, definition: Definition) -> Sequence[str]:
    """Return the statements that restore an index, with its comment and statistics.

    A partitioned index is restored by one statement that blocks writers during the build; so is
    a constraint.
    """
    place = f"SET default_tablespace = {literal(index.tablespace or '')}"
    return [
        *([place] if index.tablespace else []),
        _create(index, table, definition),
        *_details(index, table, definition),
        # the statistics of an expression are those of its index
        *([f"ANALYZE {table.relation}"] if index.expressions else []),
    ]


def _details(index: Index, table: Table, definition: Definition) -> Iterator[str]:
    """Yield the statements for what is no part of a definition."""
    for number, target in definition.targets.items():
        yield f"ALTER INDEX {index.relation} ALTER COLUMN {number} SET STATISTICS {target}"
    if index.is_clustered:
        yield f"ALTER TABLE {table.relation} CLUSTER ON {quote(index.relation.name)}"
    if definition.comment is not None:
        yield f"COMMENT ON INDEX {index.relation} IS {literal(definition.comment)}"
    if index.constraint is not None and definition.constraint_comment is not None:
        name, text = quote(index.constraint), literal(definition.constraint_comment)
        yield f"COMMENT ON CONSTRAINT {name} ON {table.relation} IS {text}"


def _create(index: Index, table: Table, definition: Definition) -> str:
    if index.constraint is not None and definition.constraint is not None:
        name = quote(index.constraint)
        return f"ALTER TABLE {table.relation} ADD CONSTRAINT {name} {definition.constraint}"
    head = "CREATE UNIQUE INDEX" if index.is_unique else "CREATE INDEX"
    tail = definition.text.removeprefix(head)
    if index.is_partitioned:
        return head + tail.replace(f" ON ONLY {table.relation} ", f" ON {table.relation} ", 1)
    return f"{head} CONCURRENTLY{tail}"
