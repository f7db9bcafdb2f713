"""Read all indexes of a database with a few set-based queries."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg

from maintenance.names import QualifiedName
from maintenance.server.capabilities import has_skip_scan, major_of
from maintenance.server.read_retry import read_with_retry
from maintenance.server.session import Connection, fetch, int_array, read_transaction
from maintenance.subjects.indexes.ddl import Definition as Words
from maintenance.subjects.indexes.foreign_keys import columns_to_weigh
from maintenance.subjects.indexes.models import (
    Catalog,
    Column,
    Definition,
    ForeignKey,
    Index,
    Key,
    Table,
)

DOING = "observing the indexes"
_NONE: frozenset[Definition] = frozenset()


def read_catalog(
    connection: Connection,
    *,
    time_cap: timedelta,
    min_rows: int,
    sleep: Callable[[float], None] = time.sleep,
) -> Catalog:
    """Read all user indexes; tables that remain locked are named in `blind`.

    Args:
        connection: a session on the primary.
        time_cap: for each query.
        min_rows: columns of smaller tables are read without statistics.
        sleep: waits a number of seconds.

    Raises:
        psycopg.errors.LockNotAvailable: every attempt met a lock.
        MaintenanceError: the server refused a query, or a query exceeded the time cap.
    """
    return read_with_retry(
        lambda: _look(connection, time_cap, min_rows),
        is_complete=lambda catalog: not catalog.blind,
        sleep=sleep,
    )


def read_definitions(
    connection: Connection, oids: Collection[int], time_cap: timedelta
) -> dict[int, Words]:
    """Read the DDL of some indexes; those dropped or locked meanwhile are left out.

    Raises:
        MaintenanceError: the server refused the query, or it exceeded the time cap.
    """
    rows: list[Any] = []
    try:
        with read_transaction(connection, time_cap, DOING):
            rows = fetch(connection, "indexes", "list_definitions", {"oids": int_array(oids)})
    except psycopg.errors.LockNotAvailable:
        for oid in oids:
            with (
                suppress(psycopg.errors.LockNotAvailable),
                read_transaction(connection, time_cap, DOING),
            ):
                rows += fetch(connection, "indexes", "list_definitions", {"oids": [oid]})
    return {row.oid: _words(row) for row in rows if row.definition}


def _words(row: Any) -> Words:
    targets = {n: target for n, target in enumerate(row.targets, 1) if target is not None}
    return Words(
        row.definition, row.constraint_definition, row.comment, row.constraint_comment, targets
    )


def read_taken_names(
    connection: Connection, names: Collection[str], time_cap: timedelta
) -> frozenset[QualifiedName]:
    """Read which names of relations are taken, in any schema.

    Raises:
        MaintenanceError: the server refused the query, or it exceeded the time cap.
    """
    if not names:
        return frozenset()
    with read_transaction(connection, time_cap, DOING):
        rows = fetch(connection, "indexes", "list_taken_names", {"names": sorted(names)})
    return frozenset(QualifiedName(row.schema, row.name) for row in rows)


def _look(connection: Connection, time_cap: timedelta, min_rows: int) -> Catalog:
    with read_transaction(connection, time_cap, DOING):
        tables = {
            row.oid: _table(row) for row in fetch(connection, "indexes", "list_indexed_tables")
        }
        rows = fetch(connection, "indexes", "list_indexes")
        keys = fetch(connection, "indexes", "list_foreign_keys")
        # A table created between two of the queries is left to the next observation.
        indexes = [(row.is_readable, _index(row)) for row in rows if row.table_oid in tables]
        read = [index for is_read, index in indexes if is_read]
        foreign_keys = _foreign_keys(keys)
        skips = has_skip_scan(major_of(connection.info.server_version))
        found = Catalog(tuple(read), tables, foreign_keys, has_skip_scan=skips)
        columns = _columns(
            connection, tables, [i for _, i in indexes], min_rows, columns_to_weigh(found)
        )
    blind: dict[QualifiedName, list[QualifiedName]] = defaultdict(list)
    for is_read, index in indexes:
        if not is_read:
            blind[tables[index.table_oid].relation].append(index.relation)
    return replace(
        found,
        tables=tables | {oid: tables[oid]._replace(columns=columns[oid]) for oid in columns},
        blind={relation: blind[relation] for relation in sorted(blind)},
    )


def _table(row: Any) -> Table:
    name = QualifiedName(row.schema, row.name)
    return Table(
        row.oid,
        name,
        row.kind,
        row.pages,
        row.rows,
        row.n_writes,
        row.n_live,
        row.n_deleted,
        row.n_updated,
        row.parent,
        # dropped between two of the queries
        is_readable=row.is_readable is not False,
        is_secured=bool(row.is_secured),
    )


def _foreign_keys(rows: Iterable[Any]) -> tuple[ForeignKey, ...]:
    """Return the keys, each of a partition with the key that it is inherited from."""
    by_oid = {row.oid: row for row in rows}
    return tuple(_foreign_key(row, by_oid) for row in by_oid.values())


def _foreign_key(row: Any, by_oid: Mapping[int, Any]) -> ForeignKey:
    top = row
    while top.parent in by_oid:
        top = by_oid[top.parent]
    return ForeignKey(
        row.name,
        row.table_oid,
        tuple(row.columns),
        tuple(row.names),
        QualifiedName(row.referenced_schema, row.referenced_name),
        row.referenced_oid,
        row.is_period,
        tuple(row.collations),
        row.oid,
        None if top is row else top.oid,
    )


def _index(row: Any) -> Index:
    held: Sequence[Definition] = row.columns
    if row.expressions:
        texts = iter(row.expressions)
        held = [number or next(texts, "") for number in held]
    elif 0 in held:  # expressions of a locked table are not read
        held = [number or "" for number in held]
    n = row.n_keys
    return Index(
        oid=row.oid,
        relation=QualifiedName(row.schema, row.name),
        table_oid=row.table_oid,
        method=row.method,
        keys=tuple(map(Key, held, row.opclasses, row.collations, row.directions)),
        included=frozenset(held[n:]) if len(held) > n else _NONE,
        predicate=row.predicate,
        parent=row.parent,
        is_partitioned=row.is_partitioned,
        is_unique=row.is_unique,
        is_primary=row.is_primary,
        is_exclusion=row.is_exclusion,
        is_immediate=row.is_immediate,
        nulls_not_distinct=row.nulls_not_distinct,
        is_clustered=row.is_clustered,
        is_replica_identity=row.is_replica_identity,
        is_referenced=row.is_referenced,
        is_valid=row.is_valid,
        is_building=row.is_building,
        n_parts=row.n_parts,
        pages=row.pages,
        parameters=row.parameters,
        tablespace=row.tablespace,
        constraint=row.constraint_name,
    )


def _columns(
    connection: Connection,
    tables: Mapping[int, Table],
    indexes: Iterable[Index],
    min_rows: int,
    weighed: Collection[tuple[int, int]],
) -> dict[int, dict[int, Column]]:
    """Read the columns to check: of large tables with statistics, and of partial indexes.

    Those in `weighed`, as table and number, are read with statistics in any table.
    """
    large = {oid for oid, table in tables.items() if table.rows >= min_rows}
    wanted = {
        (index.table_oid, of)
        for index in indexes
        if index.table_oid in large or index.predicate is not None
        for of in index.holds
        if isinstance(of, int)
    }
    wanted.update(pair for pair in weighed if pair[0] in tables)
    large.update(oid for oid, _ in weighed if oid in tables)
    columns: dict[int, dict[int, Column]] = defaultdict(dict)
    if not wanted:
        return columns
    names = sorted({tables[oid].relation.name for oid in large})
    known = {
        (row.schema, row.table_name, row.column_name, row.inherited): row
        for row in fetch(connection, "indexes", "list_column_statistics", {"names": names})
    }
    oids, numbers = zip(*wanted, strict=True)
    pairs = {"tables": int_array(oids), "numbers": int_array(numbers)}
    for row in fetch(connection, "indexes", "list_columns", pairs):
        table = tables[row.table_oid]
        schema, name = table.relation
        seen = known.get((schema, name, row.name, table.kind == "p"))
        columns[row.table_oid][row.number] = _column(row.name, seen)
    return columns


def _column(name: str, seen: Any | None) -> Column:
    if seen is None:
        return Column(name)
    return Column(
        name,
        seen.width,
        seen.n_distinct,
        seen.null_fraction or 0,
        seen.top_frequency or 0,
        seen.n_common or 0,
        seen.common_fraction or 0,
        seen.least_common or 0,
    )
