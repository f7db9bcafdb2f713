"""Name the owner's function or event trigger that made a statement of ours fail.

Indexes, views, statistics and event triggers run functions written by the owner. Their errors
describe the function's action, not the statement; only the CONTEXT of the error has the function's
name. The context is translated, so it is searched only for names in the catalog.
"""

import re
from typing import Any, NamedTuple

import psycopg

from maintenance.errors import MaintenanceError, OwnerCodeError
from maintenance.server.capabilities import major_of, restricts_search_path
from maintenance.server.session import Connection, fetch, owner_path

UNDEFINED = frozenset(
    {
        "3F000",  # invalid_schema_name
        "42703",  # undefined_column
        "42704",  # undefined_object
        "42883",  # undefined_function
        "42P01",  # undefined_table
    }
)
"""Errors of a function that uses an unqualified name that is not found."""


class _Culprit(NamedTuple):
    """The owner's function that raised the error.

    Attributes:
        signature: as `ALTER FUNCTION` takes it.
        event_trigger: the one that called it, quoted; None if none did.
    """

    signature: str
    schema: str
    owner: str
    event_trigger: str | None


def name_owner_code(
    connection: Connection, exc: psycopg.Error, error: MaintenanceError, search_path: str = ""
) -> MaintenanceError:
    """Return an error that names the owner's code that raised it, or the given error if none did.

    Args:
        connection: on the database where it failed; not in an aborted transaction.
        exc: the server's error.
        error: our error made from it.
        search_path: `database.search_path` of the policy, for the remedy.
    """
    context = exc.diag.context
    if type(error) is not MaintenanceError or not context:
        return error
    try:
        rows = fetch(connection, "server", "list_named_functions", {"context": context})
    except psycopg.Error:
        return error  # the first error is the one to report
    culprit = _culprit(context, rows)
    if culprit is None:
        return error
    major = major_of(connection.info.server_version)
    remedy = _remedy(culprit, exc.sqlstate or "", search_path, major)
    return OwnerCodeError(f"{error}; {_where(culprit)}", hint=remedy)


def _culprit(context: str, rows: list[Any]) -> _Culprit | None:
    """Return the innermost function in the context; event trigger functions have priority."""
    places = [(_place(context, row), row) for row in rows]
    found = [(place, row) for place, row in places if place is not None]
    if not found:
        return None
    found.sort(key=lambda each: (each[1].event_trigger is None, each[0]))
    row = found[0][1]
    return _Culprit(row.signature, row.schema, row.owner, row.event_trigger)


def _place(context: str, row: Any) -> tuple[int, bool] | None:
    """Return the position of a function in a context, and whether its arguments are missing."""
    unqualified = row.signature.removeprefix(f"{row.schema}.")
    exact = re.search(rf"(?<![\w$\"]){re.escape(unqualified)}", context)
    if exact is not None:
        return exact.start(), False
    called = rf"(?<![\w$\"]){re.escape(row.name)}\(|\"{re.escape(row.raw_name)}\""
    loose = re.search(called, context)
    return (loose.start(), True) if loose is not None else None


def _where(culprit: _Culprit) -> str:
    if culprit.event_trigger is not None:
        return (
            f"raised by event trigger {culprit.event_trigger}, which runs function"
            f" {culprit.signature} at DDL of all sessions"
        )
    return f"raised in function {culprit.signature} of {culprit.owner}"


def _remedy(culprit: _Culprit, sqlstate: str, search_path: str, major: int) -> str:
    if sqlstate in UNDEFINED:
        path = search_path or culprit.schema
        remedy = f"it uses a name without a schema; run ALTER FUNCTION {culprit.signature}"
        remedy += f" SET search_path = {path}"
        if culprit.event_trigger is None and restricts_search_path(major):
            return f"{remedy}; since PostgreSQL 17 the search_path of the session is not used"
        if culprit.event_trigger is None:
            return f"{remedy}; it ran with search_path {owner_path(search_path)}"
        return remedy
    if culprit.event_trigger is not None:
        return (
            f"correct function {culprit.signature}, or make it ignore the maintenance role;"
            f" to disable it meanwhile, run ALTER EVENT TRIGGER {culprit.event_trigger} DISABLE"
        )
    return f"correct function {culprit.signature}, or the row on which it fails"
