"""Reads what a policy could name, in few read-only queries with a time cap."""

from collections.abc import Collection
from datetime import timedelta

from maintenance.catalog.observe import observe
from maintenance.catalog.partman_observe import read_partman
from maintenance.inspection.models import Inventory, Partitioned
from maintenance.names import QualifiedName, is_helper
from maintenance.server.session import Connection, fetch, read_transaction

RANGE = "r"


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
            if (relation := QualifiedName(row.schema, row.name)) not in known
            and not is_helper(row.name)
        )
        (zone,) = fetch(connection, "inspection", "read_time_zone")
    ranges = [each.relation for each in partitioned if each.strategy == RANGE]
    return Inventory(
        partitioned=partitioned,
        snapshot=observe(connection, ranges, time_cap=time_cap),
        time_zone=zone.zone,
        partman=read_partman(connection, time_cap),
    )
