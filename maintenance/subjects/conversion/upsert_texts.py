"""Reads the texts of upserts into a table: counted statements, and functions."""

from maintenance.names import QualifiedName
from maintenance.server.session import Connection, fetch
from maintenance.server.upserts import read_upserts


def upserts_of(connection: Connection, table: QualifiedName) -> tuple[str, ...]:
    """Return the texts of statements and functions that may upsert into a table.

    Call it in a transaction. Texts that this role may not read are missing.
    """
    pattern = f"%{_escaped(table.name)}%"
    rows = fetch(connection, "conversion", "list_upserting_functions", {"table": pattern})
    name = table.name.lower()
    counted = (each.text for each in read_upserts(connection).statements)
    return (*(row.source for row in rows), *(text for text in counted if name in text.lower()))


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
