"""What earlier runs tell of a conversion: that it was undone, or waits for a lock."""

from collections.abc import Collection, Mapping

from maintenance.server.session import Connection, fetch
from maintenance.subjects.conversion.models import Wait


def waits_of(store: Connection, database: str, tables: Collection[str]) -> Mapping[str, Wait]:
    """Return by table the conversions whose newest runs waited for a lock until they gave up."""
    about = {"database": database, "tables": sorted(tables)}
    rows = fetch(store, "store", "list_waiting_conversions", about)
    return {row.table_name: Wait(*row[1:]) for row in rows}
