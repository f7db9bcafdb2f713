"""What a table looks like, as it will stand in the manifest, and as SQL that makes it again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import psycopg

from maintenance.archives.manifest import Column, Constraint, Index
from maintenance.archives.models import TableId
from maintenance.errors import ArchiveError
from maintenance.names import QualifiedName, quote
from maintenance.server.session import Connection, fetch, to_error

ARCHIVED_KINDS = ("r", "p")
_INDEX_BACKED = ("p", "u", "x")


class Definition(Protocol):
    """What both a description and a manifest tell of a table."""

    @property
    def partition(self) -> QualifiedName:
        """The archived table, by which its indexes' definitions name it."""
        ...

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, in order."""
        ...

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """All constraints but those of not null."""
        ...

    @property
    def indexes(self) -> tuple[Index, ...]:
        """The valid indexes that stand behind no constraint."""
        ...


@dataclass(frozen=True, slots=True)
class Description:
    """A table as it stands.

    Attributes:
        kind: `r` table or `p` partitioned table.
        encoding: of its database, as PostgreSQL names it.
        n_rows_estimated: None before the first ANALYZE or VACUUM.
    """

    relation: QualifiedName
    kind: str
    encoding: str
    columns: tuple[Column, ...]
    constraints: tuple[Constraint, ...]
    indexes: tuple[Index, ...]
    n_rows_estimated: float | None

    @property
    def partition(self) -> QualifiedName:
        """The table itself."""
        return self.relation

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """Columns whose values are stored: all but the generated ones."""
        return tuple(column.name for column in self.columns if column.generated is None)


def describe(connection: Connection, table: TableId) -> Description:
    """Read one table's definition. Needs an empty search_path, under which names are qualified.

    Raises:
        ArchiveError: there is no such table, it is another one, or none that can be archived.
    """
    parameters = {"relation": str(table.relation)}
    rows = fetch(connection, "archives", "describe_table", parameters)
    if not rows or rows[0].oid != table.oid:
        raise ArchiveError(
            f"{table.relation}: not the table that was observed (OID {table.oid})",
            hint="it was dropped, renamed or replaced meanwhile; run again",
            reason="replaced",
        )
    (row,) = rows
    if row.kind not in ARCHIVED_KINDS:
        raise ArchiveError(f"{table.relation}: not a table whose rows can be archived")
    (estimate,) = fetch(connection, "archives", "estimate_table", parameters)
    return Description(
        relation=table.relation,
        kind=row.kind,
        encoding=row.encoding,
        columns=tuple(Column(**column) for column in row.columns or ()),
        constraints=tuple(Constraint(**constraint) for constraint in row.constraints or ()),
        indexes=tuple(Index(**index) for index in row.indexes or ()),
        n_rows_estimated=estimate.rows if estimate.rows > 0 else None,
    )


def estimate_size(connection: Connection, relation: QualifiedName) -> int:
    """Return about how many bytes a table and its TOAST take; 0 if nobody knows.

    Raises:
        MaintenanceError: the server refused.
    """
    try:
        rows = fetch(connection, "archives", "estimate_table", {"relation": str(relation)})
    except psycopg.Error as exc:
        raise to_error(exc, f"reading {relation}") from exc
    return rows[0].size_bytes if rows else 0


def create_standalone(source: Definition, into: QualifiedName) -> Iterator[str]:
    """Yield the statements that make a table like an archived one, for reading what was.

    Nothing is left that other objects must exist for, types and functions of generated columns
    and checks apart: no defaults, no identity, no foreign keys. Keys and indexes get names of
    the server's choice, since the original's may be taken.

    Args:
        source: the archived table, or its manifest.
        into: the new table.
    """
    yield f"CREATE TABLE {into} ({', '.join(map(_column, source.columns))})"
    for constraint in source.constraints:
        if constraint.kind == "c":
            name = f"CONSTRAINT {quote(constraint.name)} "
        elif constraint.kind in _INDEX_BACKED:
            name = ""
        else:
            continue
        yield f"ALTER TABLE {into} ADD {name}{constraint.definition}"
    for index in source.indexes:
        yield _index(source.partition, into, index)


def _column(column: Column) -> str:
    parts = [quote(column.name), column.type]
    if column.collation is not None:
        parts.append(f"COLLATE {column.collation}")
    if column.generated is not None:
        # Stored, also where it was virtual: only 18 knows that, and the values are the same.
        parts.append(f"GENERATED ALWAYS AS ({column.generated}) STORED")
    if column.not_null:
        parts.append("NOT NULL")
    return " ".join(parts)


def _index(source: QualifiedName, into: QualifiedName, index: Index) -> str:
    """Turn what pg_get_indexdef shows into an index of another table, without its name."""
    head, _, tail = index.definition.partition(f" {quote(index.name)} ON ")
    return f"{head} ON {into}{tail.removeprefix('ONLY ').removeprefix(str(source))}"
