"""Reads what a policy could name, in few read-only queries with a time cap."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from maintenance.catalog.observe import observe
from maintenance.catalog.partman_observe import read_partman
from maintenance.formatting import PAGE_BYTES
from maintenance.inspection.models import (
    GrowingTable,
    Inventory,
    Partitioned,
    TimeColumn,
    View,
)
from maintenance.names import QualifiedName, is_helper
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.server.undecodable_names import undecodable

RANGE = "r"

LEAST_PAGES = 1024**3 // PAGE_BYTES
"""From which size, with indexes and TOAST, a table is worth a conversion: 1 GB."""


def read_inventory(
    connection: Connection, time_cap: timedelta, known: Collection[QualifiedName] = ()
) -> Inventory:
    """Read all objects of a database that a policy can name and that are not known yet.

    Args:
        connection: a session on the database.
        time_cap: of each query.
        known: relations that a policy names, which are left out.

    Raises:
        MaintenanceError: the catalog could not be read.
    """
    with read_transaction(connection, time_cap, "listing the tables of the database"):
        partitioned = tuple(
            Partitioned(relation, row.strategy, row.partition_key)
            for row in fetch(connection, "inspection", "list_partitioned")
            if _is_new(relation := QualifiedName(row.schema, row.name), known)
        )
        (zone,) = fetch(connection, "inspection", "read_time_zone")
        views = tuple(map(_view, fetch(connection, "inspection", "list_matviews")))
        large = fetch(connection, "inspection", "list_growing_tables", {"least_pages": LEAST_PAGES})
    undecodable_names = frozenset(undecodable(connection))
    ranges = [each.relation for each in partitioned if each.strategy == RANGE]
    return Inventory(
        partitioned=partitioned,
        snapshot=observe(connection, ranges, time_cap=time_cap, rows=False),
        time_zone=zone.zone,
        partman=read_partman(connection, time_cap),
        views=tuple(view for view in views if _is_new(view.relation, known)),
        growing=tuple(
            table
            for table in map(_growing, large)
            if _is_new(table.relation, known) and str(table.relation) not in undecodable_names
        ),
        undecodable=undecodable_names,
    )


def _is_new(relation: QualifiedName, known: Collection[QualifiedName]) -> bool:
    return relation not in known and not is_helper(relation.name)


def _view(row: Any) -> View:
    return View(
        relation=QualifiedName(row.schema, row.name),
        is_populated=row.is_populated,
        unique_keys=tuple(tuple(map(str, key)) for key in row.unique_keys or ()),
        reads=tuple(QualifiedName(*name) for name in row.reads or ()),
        functions=tuple(QualifiedName(*name) for name in row.functions or ()),
    )


def _growing(row: Any) -> GrowingTable:
    return GrowingTable(
        relation=QualifiedName(row.schema, row.name),
        pages=row.pages,
        n_inserted=row.n_inserted,
        n_changed=row.n_changed,
        columns=tuple(TimeColumn(*column) for column in row.columns or ()),
    )
