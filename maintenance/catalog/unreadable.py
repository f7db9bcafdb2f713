"""Which tables' rows we can't read, and why."""

from collections.abc import Iterable

from maintenance.catalog.models import Obstacle
from maintenance.server.session import Connection, fetch


def unreadable_tables(connection: Connection, tables: Iterable[int]) -> dict[int, Obstacle]:
    """Return what keeps us from the rows of some tables, by OID; others are left out.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    oids = list(tables)
    rows = fetch(connection, "catalog", "list_unreadable", {"tables": oids}) if oids else []
    return {row.oid: Obstacle.ROW_SECURITY if row.secured else Obstacle.PRIVILEGE for row in rows}
