"""The peer: pg_partman, version 4 as packaged by Debian."""

from collections.abc import Sequence
from typing import Any

import psycopg

from benchmarks.servers import session
from maintenance.demo.postgres import PostgresServer


def is_available(server: PostgresServer) -> bool:
    """Return whether the server has pg_partman 4."""
    with session(server.url()) as connection:
        known = (
            "SELECT FROM pg_catalog.pg_available_extensions"
            " WHERE name = 'pg_partman' AND default_version LIKE '4.%'"
        )
        return connection.execute(known).fetchone() is not None


def register(connection: psycopg.Connection[Any], tables: Sequence[str], premake: int) -> None:
    """Register existing tables with pg_partman; with retention set it drops expired partitions."""
    connection.execute("CREATE SCHEMA IF NOT EXISTS partman")
    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_partman SCHEMA partman")
    for table in tables:
        template = f"partman.template_{table.replace('.', '_')}"
        connection.execute(f"CREATE TABLE {template} (LIKE {table})".encode())
        # There is no default partition to check.
        connection.execute(
            "INSERT INTO partman.part_config (parent_table, control, partition_type,"
            " partition_interval, premake, datetime_string, template_table,"
            " retention_keep_table, ignore_default_data, jobmon)"
            " VALUES (%s, 'at', 'native', '1 month', %s, 'YYYY_MM', %s, false, true, false)",
            (table, premake, template),
        )


def set_retention(url: str, kept: str) -> None:
    """Set the retention, such as `12 months`."""
    with session(url) as connection:
        connection.execute("UPDATE partman.part_config SET retention = %s", [kept])


def run(url: str) -> None:
    """Run what its background worker runs, in one transaction."""
    with session(url) as connection:
        connection.execute("SELECT partman.run_maintenance()")


def run_by_table(url: str) -> None:
    """Run the same with one transaction per table, because of the locks of many partitions."""
    with session(url) as connection:
        connection.execute("CALL partman.run_maintenance_proc()")
