"""Read how partitions differ from their siblings, and the properties they share."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from maintenance.catalog.models import (
    ColumnSetting,
    MarkedTable,
    Place,
    PropertyDifference,
    SchemaRights,
    Shared,
    Table,
    UnattachedTable,
)
from maintenance.catalog.tree_observe import grown_marked
from maintenance.names import QualifiedName
from maintenance.server.session import Connection, fetch

MOST_UNATTACHED = 1000
"""How many unattached tables one observation lists."""


def marked_tables(connection: Connection, schemas: Collection[str]) -> tuple[MarkedTable, ...]:
    """Return the tables with a mark of ours in these schemas."""
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
    """Return the schemas of a table and of its partitions, which may differ."""
    return {table.relation.schema, *(p.relation.schema for p in table.partitions)}


def unattached_tables(
    connection: Connection, tables: Collection[Table]
) -> tuple[UnattachedTable, ...]:
    """Return the tables that are similar to partitions of these but not attached."""
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


def differences(
    connection: Connection, parents: list[int], differing: Iterable[int], most: int
) -> dict[int, list[PropertyDifference]]:
    """Return, by parent, the differences of partitions from it or from their siblings.

    Args:
        connection: in the transaction of the observation.
        parents: all observed ones.
        differing: those with partitions that differ.
        most: how many differences are described.
    """
    odd: dict[int, list[PropertyDifference]] = defaultdict(list)
    if not parents:
        return odd
    rows = fetch(connection, "catalog", "list_parents_to_compare", {"parents": parents})
    compared: set[int] = {*differing, *(row.parent for row in rows)}
    if compared:
        parameters = {"parents": sorted(compared), "most": most}
        for row in fetch(connection, "catalog", "list_partition_differences", parameters):
            odd[row.parent].append(_difference(row))
    return odd


_DIFFERENCES = {
    "storage_options": "storage options {found}, most siblings have {wanted}",
    "access_method": "access method {found}, most siblings have {wanted}",
    "comment": "no comment, most siblings have one",
    "column_comments": "no comments on columns, most siblings have some",
    "statistics_target": "statistics target {found} of column {about}, most siblings have {wanted}",
    "extended_statistics": "extended statistics {found}, its parent has {wanted}",
    "tablespace": "another tablespace than its parent",
    "publications": "not in publication {about}",
    "row_security_policies": "row security policies {found}, its parent has {wanted}",
    "index_invalid": "invalid index of the parent; see index_invalid",
}
"""The difference as text, by its reason."""


def _difference(row: Any) -> PropertyDifference:
    text = _DIFFERENCES[row.reason].format(found=row.found, wanted=row.wanted, about=row.about)
    statements = (row.statement,) if row.statement is not None else ()
    if row.reason == "publications":
        remedy = (
            f" ({row.statement})" if statements else ", which has columns or rows of its siblings"
        )
        text += remedy
    relation = QualifiedName(row.schema, row.name)
    return PropertyDifference(relation, text, row.warns, (row.reason,), statements)


def shared_properties(connection: Connection, parents: Sequence[int]) -> dict[int, Shared]:
    """Return, by parent, the properties that all its partitions share."""
    if not parents:
        return {}
    rows = fetch(connection, "catalog", "list_shared_properties", {"parents": list(parents)})
    return {
        row.parent: Shared(
            settings=tuple(ColumnSetting(*setting) for setting in row.settings or ()),
            options=tuple(row.options or ()),
            access_method=row.access_method,
            comment=row.comment,
        )
        for row in rows
    }


def schema_rights(connection: Connection, places: Iterable[Place]) -> dict[Place, SchemaRights]:
    """Return the rights in schemas where partitions are to be created."""
    ordered = sorted(places)
    parameters = {
        "schemas": [place.schema for place in ordered],
        "owners": [place.owner for place in ordered],
    }
    return {
        Place(row.schema, row.owner): SchemaRights(
            exists=row.found, creatable=row.creatable, default_grantees=tuple(row.grantees or ())
        )
        for row in fetch(connection, "catalog", "list_schema_rights", parameters)
    }
