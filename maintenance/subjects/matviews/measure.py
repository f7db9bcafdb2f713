"""Measurements around a refresh: time, rows, null keys, temporary files."""

from datetime import datetime

import psycopg

from maintenance.catalog.owner_code import owner_code, read_as_owner
from maintenance.errors import MaintenanceError
from maintenance.names import quote
from maintenance.policy import Policy
from maintenance.server.session import Connection, read_transaction, report_counters
from maintenance.subjects.matviews.models import Matview


def server_time(connection: Connection) -> datetime:
    """Return the server's clock."""
    row = connection.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
    assert row is not None, "SELECT without FROM returns one row"
    return row[0]


def temp_bytes(connection: Connection) -> int:
    """Return the bytes that the database has written to temporary files so far."""
    report_counters(connection)
    row = connection.execute(
        "SELECT pg_catalog.pg_stat_get_db_temp_bytes(d.oid) FROM pg_catalog.pg_database AS d"
        " WHERE d.datname = pg_catalog.current_database()"
    ).fetchone()
    return int(row[0]) if row else 0


def count_rows(connection: Connection, policy: Policy, view: Matview) -> int | None:
    """Count a view's rows; None if that exceeds the time cap or is not permitted."""
    return _count(connection, policy, view, "true")


def count_null_keys(connection: Connection, policy: Policy, view: Matview) -> int | None:
    """Count the rows with a NULL in the unique key; None as in `count_rows`."""
    columns = sorted({column for key in view.unique_keys for column in key})
    if not columns:
        return None
    is_null = " OR ".join(f"{quote(column)} IS NULL" for column in columns)
    return _count(connection, policy, view, is_null)


def _count(connection: Connection, policy: Policy, view: Matview, condition: str) -> int | None:
    query = f"SELECT pg_catalog.count(*) AS n FROM {view.name} WHERE {condition}"
    cap, doing = policy.observe.time_cap, "counting rows"
    try:
        # Its indexes and statistics may run code of its owner.
        code = owner_code(connection, [view.oid]).get(view.oid)
        if code is not None:
            (found,) = read_as_owner(connection, code, query, cap, doing)
            return int(found["n"])
        with read_transaction(connection, cap, doing):
            row = connection.execute(query.encode()).fetchone()
        return int(row[0]) if row else None
    except (MaintenanceError, psycopg.Error):
        return None
