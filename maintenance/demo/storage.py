"""Dagster's database on the demo's server: complete, or created again."""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from maintenance.demo.postgres import PostgresServer

NAME = "dagster"
_COMPLETE = "complete"


def make(server: PostgresServer) -> bool:
    """Create the database, unless a complete one exists; return whether it was created now.

    Dagster creates its tables one by one, outside a transaction: after a kill in between, its next
    start takes the existing tables for all of them, and fails.
    """
    with psycopg.connect(server.url(), autocommit=True) as connection:
        found = connection.execute(
            "SELECT pg_catalog.shobj_description(oid, 'pg_database')"
            " FROM pg_catalog.pg_database WHERE datname = %s",
            [NAME],
        )
        if found.fetchone() == (_COMPLETE,):
            return False
        connection.execute("DROP DATABASE IF EXISTS dagster WITH (FORCE)")
        connection.execute("CREATE DATABASE dagster")
        return True


def mark_complete(server: PostgresServer) -> None:
    """Record in the database that Dagster has served from it."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("COMMENT ON DATABASE dagster IS 'complete'")


def environment(server: PostgresServer) -> dict[str, str]:
    """Return the variables of dagster.yaml for the database."""
    parts = conninfo_to_dict(server.url(NAME))
    names = {
        "USERNAME": "user",
        "PASSWORD": "password",
        "HOST": "host",
        "PORT": "port",
        "DB": "dbname",
    }
    return {f"DAGSTER_PG_{name}": str(parts[part]) for name, part in names.items()}
