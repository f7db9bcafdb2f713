"""Check for obstacles to a view's unique index, and build it without blocking sessions.

A concurrent build waits for every older snapshot. A lock timeout would end the wait and leave an
invalid index, so none is set: a second session monitors the build and cancels it if necessary.
The leftover of a failed or killed build has the index's name, is unique and invalid; it is dropped
before the next attempt.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
from psycopg.rows import dict_row

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, Step
from maintenance.engine.build_cleanup import cleaned_up, drop_unusable
from maintenance.engine.build_monitor import run_watched, watched, without_timeouts
from maintenance.errors import MaintenanceError
from maintenance.names import QualifiedName, near, parse_name, quote
from maintenance.policy import MatviewPolicy, Policy
from maintenance.server.owner_rights import OwnerRights
from maintenance.server.owner_sessions import needs_rights, read_as
from maintenance.server.session import (
    Connection,
    fetch,
    read_transaction,
)
from maintenance.subjects.matviews.ddl import index_name
from maintenance.subjects.matviews.models import IndexObstacle, Matview

MAX_SHOWN = 5
"""How many duplicate values are shown."""


def find_obstacle(
    connection: Connection, policy: Policy, section: MatviewPolicy, view: Matview
) -> IndexObstacle | None:
    """Return why a view can't have its declared unique index; None if it can.

    Args:
        connection: a session outside a transaction.
        policy: gives the time limits.
        section: the view's.
        view: one without that index.
    """
    missing = [column for column in section.unique_index if column not in view.columns]
    if missing:
        guess = near(missing[0], view.columns, n=1)
        hint = f"; did you mean {guess[0]}?" if guess else ""
        return IndexObstacle(
            f"the view has no column {missing[0]}{hint}", {"missing_columns": missing}
        )
    try:
        with read_transaction(connection, policy.observe.time_cap, "looking for duplicates"):
            rows = _named(connection, section, view.oid)
            if rows and not (rows[0].is_ours and not rows[0].is_valid):
                taken = f"{quote(view.name.schema)}.{quote(index_name(section))}"
                text = f"name conflict: {taken} is {rows[0].what}; rename it"
                return IndexObstacle(text, {"taken": taken})
            return _duplicates(connection, section, view) if view.is_populated else None
    except (MaintenanceError, psycopg.errors.LockNotAvailable):
        return None  # unknown now; the build fails if there is an obstacle


def _named(connection: Connection, section: MatviewPolicy, view: int) -> list[Any]:
    """Look up the relation that has the name of a view's unique index."""
    parameters = {
        "view": view,
        "name": index_name(section),
        "columns": list(section.unique_index),
    }
    return fetch(connection, "matviews", "find_named_index", parameters)


def _duplicates(
    connection: Connection, section: MatviewPolicy, view: Matview
) -> IndexObstacle | None:
    """Count the duplicate values; those with a NULL are no duplicates."""
    columns = [quote(column) for column in section.unique_index]
    shown = ", ".join(f"pg_catalog.left({column}::pg_catalog.text, 100)" for column in columns)
    present = " AND ".join(f"{column} IS NOT NULL" for column in columns)
    query = (
        f"SELECT ARRAY[{shown}] AS key, n, pg_catalog.count(*) OVER () AS total FROM"
        f" (SELECT {', '.join(columns)}, pg_catalog.count(*) AS n FROM {view.name}"
        f" WHERE {present} GROUP BY {', '.join(columns)} HAVING pg_catalog.count(*) > 1) AS q"
        f" ORDER BY n DESC, 1 LIMIT {MAX_SHOWN}"
    )
    rows = _rows(connection, view, query)
    if not rows:
        return None
    keys = [dict(zip(section.unique_index, row["key"], strict=True)) for row in rows]
    found = [{"key": key, "rows": int(row["n"])} for key, row in zip(keys, rows, strict=True)]
    total, most = int(rows[0]["total"]), int(rows[0]["n"])
    first = ", ".join(f"{name} = {value}" for name, value in keys[0].items())
    text = (
        f"{total} duplicate value{'s' if total > 1 else ''},"
        f" such as {first} in {most} rows;"
        " correct unique_index or the view's definition"
    )
    return IndexObstacle(text, {"duplicates": found}, n_duplicates=total)


def _rows(connection: Connection, view: Matview, query: str) -> list[dict[str, Any]]:
    """Query as the view's owner, whose casts and operators its columns may use."""
    if view.owner and view.is_owner and needs_rights(connection, view.owner):
        return read_as(connection, OwnerRights(view.owner), query, None, "looking for duplicates")
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode()).fetchall()


def index(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Build the unique index of a view.

    Raises:
        LockNotAcquiredError: an old transaction was still open when the wait ended.
        MaintenanceError: it can't be built; no leftover remains.
    """
    (step,) = action.steps
    section = next(s for s in context.policy.matviews if s.name == parse_name(action.object))
    build(context, section, int(action.preconditions["oid"]), step)
    return {}


def build(context: ActionContext, section: MatviewPolicy, view: int, step: Step) -> None:
    """Build the unique index of a view, after dropping the leftover of an earlier attempt.

    Raises:
        LockNotAcquiredError, MaintenanceError: see `index`.
    """
    with without_timeouts(context), watched(context) as watch:
        _remove_leftover(section, view, context, context.policy.locks.give_up_after)
        with cleaned_up(context, partial(_remove_leftover, section, view)):
            run_watched(context, step.statements[0], watch)


def _remove_leftover(
    section: MatviewPolicy, view: int, context: ActionContext, within: timedelta
) -> None:
    """Drop the invalid index of an incomplete build; if that fails, the next run drops it."""
    name = QualifiedName(section.name.schema, index_name(section))
    rows = _named(context.connection, section, view)
    if not rows:
        return
    (row,) = rows
    if not row.is_ours or row.is_valid:
        raise MaintenanceError(
            f"{name}: name conflict: it is {row.what}, not the unique index of {section.name}",
            hint="rename it",
        )
    drop_unusable(context, row.oid, within)
