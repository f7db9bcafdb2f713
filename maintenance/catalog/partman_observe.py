"""Reads the configuration of pg_partman, which may maintain the same tables."""

from datetime import timedelta
from typing import Any

from psycopg.rows import dict_row

from maintenance.catalog.partman import Partman, PartmanTable
from maintenance.names import QualifiedName, quote
from maintenance.server.session import Connection, fetch, read_transaction

_COLUMNS = (
    "parent_table",
    "control",
    "partition_interval",
    "premake",
    "retention",
    "retention_schema",
    "retention_keep_table",
    "retention_keep_index",
    "automatic_maintenance",
    "infinite_time_partitions",
    "epoch",
    "undo_in_progress",
)
"""Those that are read, as far as the version has them."""


def read_partman(connection: Connection, time_cap: timedelta) -> Partman:
    """Read the configuration of pg_partman; empty if it is not installed.

    Raises:
        MaintenanceError: it could not be read.
    """
    with read_transaction(connection, time_cap, "reading the configuration of pg_partman"):
        configs = fetch(connection, "catalog", "list_partman_configs")
        tables: dict[QualifiedName, PartmanTable] = {}
        for row in configs:
            config = QualifiedName(row.schema, row.name)
            if row.readable:
                names = [name for name in _COLUMNS if name in row.names]
                found = (_table(config, each) for each in _rows(connection, config, names))
                tables |= {each.relation: each for each in found}
    unreadable = (QualifiedName(row.schema, row.name) for row in configs if not row.readable)
    return Partman(tables, tuple(unreadable))


def _rows(connection: Connection, config: QualifiedName, names: list[str]) -> list[dict[str, Any]]:
    listed = ", ".join(map(quote, names))
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(f"SELECT {listed} FROM ONLY {config}".encode()).fetchall()


def _table(config: QualifiedName, row: dict[str, Any]) -> PartmanTable:
    # pg_partman splits the name in the same way, so names with a dot are not supported there.
    schema, _, name = row["parent_table"].partition(".")
    return PartmanTable(
        relation=QualifiedName(schema, name),
        config=config,
        control=row["control"],
        interval=row["partition_interval"],
        premake=row["premake"],
        retention=row["retention"],
        retention_schema=row.get("retention_schema"),
        keeps_table=row.get("retention_keep_table", True),
        keeps_index=row.get("retention_keep_index", True),
        is_automatic=row["automatic_maintenance"] == "on" and not row.get("undo_in_progress"),
        is_endless=row.get("infinite_time_partitions") or False,
    )
