"""Reads the definition of a table for the manifest, and turns it into SQL that creates it again."""

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
    """The definition of a table in both a description and a manifest."""

    @property
    def partition(self) -> QualifiedName:
        """The archived table, as named in the definitions of its indexes."""
        ...

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, in order."""
        ...

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """All constraints except NOT NULL."""
        ...

    @property
    def indexes(self) -> tuple[Index, ...]:
        """The valid indexes that belong to no constraint."""
        ...


@dataclass(frozen=True, slots=True)
class Description:
    """The current definition of a table.

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
        """Columns whose values are stored: all except generated ones."""
        return tuple(column.name for column in self.columns if column.generated is None)


def describe(connection: Connection, table: TableId) -> Description:
    """Read one table's definition. Needs an empty search_path, so that names are qualified.

    Raises:
        ArchiveError: the table does not exist, is another one, or can't be archived.
    """
    parameters = {"relation": str(table.relation)}
    rows = fetch(connection, "archives", "describe_table", parameters)
    if not rows or rows[0].oid != table.oid:
        raise ArchiveError(
            f"{table.relation}: not the observed table (OID {table.oid}): it was dropped, renamed"
            " or replaced",
            hint="run again",
            reason="replaced",
        )
    (row,) = rows
    if row.kind not in ARCHIVED_KINDS:
        raise ArchiveError(f"{table.relation}: rows of this kind of relation can't be archived")
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
    """Estimate the size of a table with its TOAST, in bytes; 0 if unknown.

    Raises:
        MaintenanceError: a statement failed.
    """
    try:
        rows = fetch(connection, "archives", "estimate_table", {"relation": str(relation)})
    except psycopg.Error as exc:
        raise to_error(exc, f"reading {relation}") from exc
    return rows[0].size_bytes if rows else 0


def create_standalone(source: Definition, into: QualifiedName) -> Iterator[str]:
    """Yield the statements that create a table like an archived one, to query its rows.

    Except for types, and functions of generated columns and checks, it depends on no other objects:
    no defaults, no identity, no foreign keys. The server chooses the names of keys and indexes,
    since the original names may be taken.

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
        # Stored, even if it was virtual: only 18 supports that, and the values are the same.
        parts.append(f"GENERATED ALWAYS AS ({column.generated}) STORED")
    if column.not_null:
        parts.append("NOT NULL")
    return " ".join(parts)


def _index(source: QualifiedName, into: QualifiedName, index: Index) -> str:
    """Convert the output of pg_get_indexdef to an index of another table, without its name."""
    head, _, tail = index.definition.partition(f" {quote(index.name)} ON ")
    return f"{head} ON {into}{tail.removeprefix('ONLY ').removeprefix(str(source))}"
