"""The example systems in a database: tables, partitions, rows, materialized views, indexes."""

from datetime import datetime
from zoneinfo import ZoneInfo

import psycopg

from maintenance.demo.data import Connection, first_month
from maintenance.demo.postgres import PostgresServer
from maintenance.demo.scales import MONTHS, Scale, fill
from maintenance.names import quote
from maintenance.periods import periods_between
from maintenance.policy import load_policy
from tests.builders import ROOT
from tests.declared import declared, schema

PARTITIONED = {"learning_platform": "analytics_events", "proposals": "audit_logs"}
UTC_ZONE = ZoneInfo("UTC")


def make_system(
    connection: Connection, system: str, scale: Scale, now: datetime, **sizes: int
) -> None:
    """Make the tables of a system with its rows and materialized views, no declared index yet."""
    connection.execute(schema(system).encode())
    if system in PARTITIONED:
        make_partitions(connection, PARTITIONED[system], now, MONTHS[scale])
    fill(connection, system, scale, now=now, **sizes)
    make_views(connection, system)


def make_partitions(connection: Connection, parent: str, now: datetime, months: int) -> None:
    """Make the partitions of some months, the last of which is that of `now`."""
    first = first_month(now, months)
    for period in periods_between(first, first.shift(months - 1)):
        lower, upper = period.bounds(UTC_ZONE)
        name = quote(f"{parent}_{period.key.replace('-', '_')}")
        bounds = f"FOR VALUES FROM ('{lower}') TO ('{upper}')"
        connection.execute(f"CREATE TABLE {name} PARTITION OF {parent} {bounds}".encode())


def make_views(connection: Connection, system: str) -> None:
    """Make the materialized views of a system's policy, with their unique indexes."""
    for view in load_policy(ROOT / "policies" / f"{system}.yaml").matviews or ():
        assert view.definition is not None
        connection.execute(view.definition.read_bytes())
        columns = ", ".join(quote(column) for column in view.unique_index)
        connection.execute(f"CREATE UNIQUE INDEX ON {view.name} ({columns})".encode())


def apply_declared(connection: Connection, system: str, file: str = "indexes.sql") -> None:
    """Run every declared statement bare, and then the drops of what was replaced."""
    statements = declared(system, file)
    for each in statements:
        connection.execute(each.text.encode())
    for name in [name for each in statements if each.creates for name in each.drops]:
        connection.execute(f"DROP INDEX {quote(name)}".encode())


def template(server: PostgresServer, system: str, scale: Scale, now: datetime) -> str:
    """Make a template of a system once a server."""
    name = f"template_{system}_{scale}"
    if server.create_database(name):
        with psycopg.connect(server.url(name), autocommit=True) as connection:
            make_system(connection, system, scale, now)
    return name
