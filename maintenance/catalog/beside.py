"""Reading what lies beside partitioned tables: what is marked as ours, what looks like theirs."""

from collections.abc import Collection

from maintenance.catalog.growing import grown_marked
from maintenance.catalog.models import MarkedTable, Table, UnattachedTable
from maintenance.names import QualifiedName
from maintenance.server.session import Connection, fetch

MOST_UNATTACHED = 1000
"""How many tables that look like partitions and are none one look lists."""


def marked_tables(connection: Connection, schemas: Collection[str]) -> tuple[MarkedTable, ...]:
    """Return the tables that bear a mark of ours, in these schemas."""
    rows = fetch(connection, "catalog", "list_marked_tables", {"schemas": list(schemas)})
    tables = (
        (
            MarkedTable(
                oid=r.oid,
                relation=QualifiedName(r.schema, r.name),
                comment=r.comment,
                attached=r.attached,
                pages=r.pages,
                owner=r.owner,
            ),
            r.kind,
        )
        for r in rows
    )
    return grown_marked(connection, tables)


def unattached_tables(
    connection: Connection, tables: Collection[Table]
) -> tuple[UnattachedTable, ...]:
    """Return the tables that look like partitions of these and are none."""
    parents = {table.oid: table.relation for table in tables if table.is_partitioned}
    if not parents:
        return ()
    parameters = {"parents": list(parents), "most": MOST_UNATTACHED}
    rows = fetch(connection, "catalog", "list_unattached_tables", parameters)
    return tuple(
        UnattachedTable(
            parents[r.parent], r.oid, QualifiedName(r.schema, r.name), r.comment, r.pages
        )
        for r in rows
    )
