"""Find tables whose rows this role can't read, with the reason."""

from collections.abc import Iterable
from typing import NamedTuple

from maintenance.catalog.models import Obstacle
from maintenance.names import QualifiedName
from maintenance.server.session import Connection, fetch


def unreadable_tables(
    connection: Connection, tables: Iterable[int], *, wholly: bool = False
) -> dict[int, Obstacle]:
    """Return why the rows of tables can't be read, by OID; readable ones are left out.

    Args:
        connection: a session of the role that would read.
        tables: their OIDs.
        wholly: leave out those of which some columns can be read.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    oids = list(tables)
    rows = fetch(connection, "catalog", "list_unreadable", {"tables": oids}) if oids else []
    return {
        row.oid: Obstacle.ROW_SECURITY if row.secured else Obstacle.PRIVILEGE
        for row in rows
        if row.refused or not wholly
    }


class Foreign(NamedTuple):
    """A foreign table and its foreign server."""

    relation: QualifiedName
    server: str


def foreign_tables(connection: Connection, relations: Iterable[int]) -> dict[int, Foreign]:
    """Return, by OID, one foreign table that reading each relation would read, if any.

    A session that waits for a foreign server can't be stopped, not even by a timeout.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    oids = sorted(set(relations))
    rows = fetch(connection, "catalog", "list_foreign", {"relations": oids}) if oids else []
    return {row.oid: Foreign(QualifiedName(row.schema, row.name), row.server) for row in rows}
