"""Rows of all five example systems, at three scales."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

import psycopg

from maintenance.demo.data import Connection, fill_learning_platform, fill_proposals
from maintenance.server.sql_library import data_root

Scale = Literal["small", "demo", "stated"]
"""`small` is for tests, `demo` for the demo; `stated` has the counts that a system's plan states,
or assumed ones."""

_SIZES: Mapping[str, Mapping[Scale, Mapping[str, int]]] = {
    "unpuzzle": {
        "small": {
            "users": 60,
            "courses": 20,
            "goals": 20,
            "tracks": 10,
            "messages": 900,
            "questions": 900,
            "requests": 300,
        },
        "demo": {
            "users": 400,
            "courses": 80,
            "goals": 40,
            "tracks": 20,
            "messages": 12_000,
            "questions": 9_000,
            "requests": 2_000,
        },
        "stated": {
            "users": 2_000,
            "courses": 400,
            "goals": 60,
            "tracks": 30,
            "messages": 100_000,
            "questions": 80_000,
            "requests": 10_000,
        },
    },
    "lms": {
        "small": {"users": 120, "courses": 30},
        "demo": {"users": 500, "courses": 100},
        "stated": {"users": 1_500, "courses": 300},
    },
    "nova": {
        "small": {"users": 300, "messages": 2_000, "posts": 900},
        "demo": {"users": 3_000, "messages": 80_000, "posts": 30_000},
        "stated": {"users": 20_000, "messages": 1_000_000, "posts": 400_000},
    },
    "learning_platform": {
        "small": {"users": 120, "courses": 48, "events": 2_000},
        "demo": {"users": 2_000, "courses": 48, "events": 150_000},
        "stated": {"users": 5_000, "courses": 2_000, "events": 300_000},
    },
    "proposals": {
        "small": {"proposals": 300, "audit_rows": 800},
        "demo": {"proposals": 2_000, "audit_rows": 30_000},
        "stated": {"proposals": 20_000, "audit_rows": 120_000},
    },
}
_IN_PYTHON: Mapping[str, Callable[..., int]] = {
    "learning_platform": fill_learning_platform,
    "proposals": fill_proposals,
}
_FIRST_TABLE = {
    "unpuzzle": "enrollments",
    "lms": "users",
    "nova": "users",
    "learning_platform": "users",
    "proposals": "proposals",
}
"""A table that has rows as soon as the others have."""

MONTHS: Mapping[Scale, int] = {"small": 3, "demo": 24, "stated": 24}
"""Number of months of the partitioned tables, the current one included."""
SYSTEMS = tuple(_SIZES)


def is_filled(connection: Connection, system: str) -> bool:
    """Whether a system, whose schema is loaded, has rows."""
    first_row = f"SELECT FROM public.{_FIRST_TABLE[system]} LIMIT 1"
    return connection.execute(first_row.encode()).fetchone() is not None


def fill(connection: Connection, system: str, scale: Scale, *, now: datetime, **sizes: int) -> bool:
    """Write the rows of a system, in one transaction, and analyze all tables.

    The same arguments give the same rows. The schema is loaded; a partitioned table has a partition
    for each month, `MONTHS[scale]` of them up to that of `now`.

    Args:
        connection: in autocommit mode.
        system: one of `SYSTEMS`.
        scale: how many rows.
        now: aware; no row is later, but for the end of sessions.
        sizes: numbers other than those of the scale: of `months`, and of rows, by the names in
            `rows.sql`.

    Returns:
        Whether rows were written. Nothing is if there are some already.
    """
    if is_filled(connection, system):
        return False
    chosen = {"months": MONTHS[scale], **_SIZES[system][scale], **sizes}
    if system in _IN_PYTHON:
        _IN_PYTHON[system](connection, now=now, **chosen)
    else:
        _run_script(connection, system, {**chosen, "now": now})
    # Shows row counts at once, and sizes without the pages that COPY preallocated.
    connection.execute("VACUUM (ANALYZE)")
    return True


def _run_script(connection: Connection, system: str, values: Mapping[str, Any]) -> None:
    folder = data_root() / "sql" / "systems"
    with connection.transaction(), psycopg.ClientCursor(connection) as cursor:
        cursor.execute("SET LOCAL TimeZone = 'UTC'")
        cursor.execute((folder / "functions.sql").read_bytes())
        cursor.execute((folder / system / "rows.sql").read_bytes(), values)
