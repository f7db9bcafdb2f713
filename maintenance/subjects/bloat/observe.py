"""Read tables, indexes, columns and leftovers with one query each, whatever their number."""

from collections import defaultdict
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from maintenance.names import QualifiedName, is_helper
from maintenance.server.read_retry import read_with_retry
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.subjects.bloat.models import (
    Column,
    Freshness,
    Leftover,
    ObservedIndex,
    ObservedTable,
)

Relations = tuple[tuple[ObservedTable, ...], tuple[ObservedIndex, ...], tuple[Leftover, ...]]
"""The tables, indexes and leftovers read."""


def read_relations(connection: Connection, min_bytes: int, time_cap: timedelta) -> Relations:
    """Read the tables and btree indexes above a size, and all invalid indexes.

    The queries skip locked relations; if one gets locked during a query, it is retried three
    times.

    Raises:
        psycopg.errors.LockNotAvailable: every attempt met a lock.
        MaintenanceError: the server refused a query, or a query exceeded the time cap.
    """
    return read_with_retry(lambda: _look(connection, min_bytes, time_cap))


def _look(connection: Connection, min_bytes: int, time_cap: timedelta) -> Relations:
    with read_transaction(connection, time_cap, "observing bloat"):
        above = {"min_bytes": min_bytes}
        tables = fetch(connection, "bloat", "list_tables", above)
        tables = [row for row in tables if not is_helper(row.owner_name or row.name)]
        indexes = fetch(connection, "bloat", "list_indexes", above)
        indexes = [row for row in indexes if not is_helper(row.table_name)]
        oids = {row.oid for row in tables if row.kind != "t"} | {row.table_oid for row in indexes}
        columns = _columns(connection, oids)
        leftovers = list_leftovers(connection)
    return (
        tuple(_table(row, columns[row.oid]) for row in tables),
        tuple(_index(row, columns[row.table_oid]) for row in indexes),
        leftovers,
    )


def named_indexes(
    connection: Connection, names: Collection[QualifiedName], time_cap: timedelta
) -> tuple[frozenset[int], tuple[QualifiedName, ...]]:
    """Return OIDs of the named unique indexes and their partitions, and the names without one."""
    if not names:
        return frozenset(), ()
    with read_transaction(connection, time_cap, "observing bloat"):
        rows = fetch(connection, "bloat", "list_named_indexes", {"names": [str(n) for n in names]})
    known = {row.named for row in rows}
    unknown = tuple(name for name in names if str(name) not in known)
    return frozenset(row.oid for row in rows), unknown


def list_leftovers(connection: Connection) -> tuple[Leftover, ...]:
    """Return the invalid indexes, including leftovers of interrupted rebuilds."""
    return tuple(_leftover(row) for row in fetch(connection, "bloat", "list_leftovers"))


def _columns(connection: Connection, tables: Collection[int]) -> dict[int, tuple[Column, ...]]:
    columns: dict[int, tuple[Column, ...]] = defaultdict(tuple)
    for row in fetch(connection, "bloat", "list_columns", {"tables": sorted(tables)}):
        table, *rest = row
        columns[table] += (Column(*rest),)
    return columns


def _table(row: Any, columns: tuple[Column, ...]) -> ObservedTable:
    owner = QualifiedName(row.owner_schema, row.owner_name) if row.owner_name else None
    return ObservedTable(
        oid=row.oid,
        relation=QualifiedName(row.schema, row.name),
        owner=owner,
        fill_factor=row.fill_factor,
        freshness=_freshness(row, row.pages, row.size_bytes),
        columns=columns,
        is_view=row.is_view,
        is_logged=row.is_logged,
        has_identity=row.has_identity,
        has_key=row.has_key,
    )


def _freshness(row: Any, pages: int, size_bytes: int) -> Freshness:
    return Freshness(
        n_rows=row.n_rows,
        pages=pages,
        size_bytes=size_bytes,
        n_changed=row.n_changed,
        n_dead=row.n_dead,
        analyzed_at=row.analyzed_at,
        readable=row.readable,
        secured=row.secured,
    )


def _index(row: Any, columns: tuple[Column, ...]) -> ObservedIndex:
    return ObservedIndex(
        oid=row.oid,
        relation=QualifiedName(row.schema, row.name),
        table=QualifiedName(row.table_schema, row.table_name),
        size_bytes=row.size_bytes,
        fill_factor=row.fill_factor,
        freshness=_freshness(row, row.table_pages, row.table_size_bytes),
        keys=tuple(row.keys),
        columns=columns,
        is_plain=row.is_plain,
        is_unique=row.is_unique,
        is_rebuildable=row.is_rebuildable,
        deduplicates=row.deduplicates,
        is_padded=row.is_padded,
        manageable=row.manageable,
        tablespace=row.tablespace,
        of_view=row.table_kind == "m",
        ancestors=tuple(row.ancestors),
    )


def _leftover(row: Any) -> Leftover:
    return Leftover(
        oid=row.oid,
        relation=QualifiedName(row.schema, row.name),
        table=QualifiedName(row.table_schema, row.table_name),
        twins=tuple(row.twins),
        is_building=row.is_building,
        table_oid=row.table_oid,
        is_copy=row.is_copy,
    )
