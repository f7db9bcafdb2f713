"""Reading how partitions differ from their siblings, and what they have in common."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from maintenance.catalog.models import ColumnSetting, Oddity, Place, SchemaRights, Shared
from maintenance.names import QualifiedName
from maintenance.server.session import Connection, fetch


def oddities(
    connection: Connection, parents: list[int], differing: Iterable[int], most: int
) -> dict[int, list[Oddity]]:
    """Return by parent what partitions have otherwise than it or their siblings.

    Args:
        connection: in the transaction of the look.
        parents: all that are looked at.
        differing: those whose partitions were seen to differ.
        most: how many oddities are described.
    """
    odd: dict[int, list[Oddity]] = defaultdict(list)
    if not parents:
        return odd
    rows = fetch(connection, "catalog", "list_parents_to_compare", {"parents": parents})
    compared: set[int] = {*differing, *(row.parent for row in rows)}
    if compared:
        parameters = {"parents": sorted(compared), "most": most}
        for row in fetch(connection, "catalog", "list_partition_oddities", parameters):
            relation = QualifiedName(row.schema, row.name)
            statements = (row.statement,) if row.statement is not None else ()
            oddity = Oddity(relation, row.what, row.warns, (row.reason,), statements)
            odd[row.parent].append(oddity)
    return odd


def shared_properties(connection: Connection, parents: Sequence[int]) -> dict[int, Shared]:
    """Return by parent what all of its partitions have in common."""
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
    """Return what is known of schemas in which partitions are to be made."""
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
