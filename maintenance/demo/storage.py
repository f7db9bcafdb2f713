"""Dagster's own database, on the demo's server: complete, or made anew."""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from maintenance.demo.postgres import PostgresServer

NAME = "dagster"
_COMPLETE = "complete"


def make(server: PostgresServer) -> None:
    """Make the database, unless a complete one is there.

    Dagster creates its tables one by one, outside a transaction: one that was killed meanwhile
    takes what it finds for all of them at its next start, and fails.
    """
    with psycopg.connect(server.url(), autocommit=True) as connection:
        found = connection.execute(
            "SELECT pg_catalog.shobj_description(oid, 'pg_database')"
            " FROM pg_catalog.pg_database WHERE datname = %s",
            [NAME],
        )
        if found.fetchone() != (_COMPLETE,):
            connection.execute("DROP DATABASE IF EXISTS dagster WITH (FORCE)")
            connection.execute("CREATE DATABASE dagster")


def mark_complete(server: PostgresServer) -> None:
    """Note, in the database itself, that Dagster has served from it."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("COMMENT ON DATABASE dagster IS 'complete'")


def environment(server: PostgresServer) -> dict[str, str]:
    """Return the variables by which dagster.yaml finds the database."""
    parts = conninfo_to_dict(server.url(NAME))
    names = {
        "USERNAME": "user",
        "PASSWORD": "password",
        "HOST": "host",
        "PORT": "port",
        "DB": "dbname",
    }
    return {f"DAGSTER_PG_{name}": str(parts[part]) for name, part in names.items()}
