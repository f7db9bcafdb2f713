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


def schemas_of(table: Table) -> set[str]:
    """Return the schemas of a table and of its partitions, which may live elsewhere."""
    return {table.relation.schema, *(p.relation.schema for p in table.partitions)}


def unattached_tables(
    connection: Connection, tables: Collection[Table]
) -> tuple[UnattachedTable, ...]:
    """Return the tables that look like partitions of these and are none."""
    tables = [table for table in tables if table.is_partitioned]
    parents = {table.oid: table.relation for table in tables}
    if not parents:
        return ()
    homes = [(table.oid, schema) for table in tables for schema in sorted(schemas_of(table))]
    parameters = {
        "parents": [oid for oid, _ in homes],
        "schemas": [schema for _, schema in homes],
        "most": MOST_UNATTACHED,
    }
    rows = fetch(connection, "catalog", "list_unattached_tables", parameters)
    return tuple(
        UnattachedTable(
            parents[r.parent], r.oid, QualifiedName(r.schema, r.name), r.comment, r.pages
        )
        for r in rows
    )
