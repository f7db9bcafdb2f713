"""Compare a view with the definition in its SQL file, as the server parses both.

The server deparses both, so that names, stars and casts are resolved in the same way. For this
the query becomes a temporary view in a transaction that is rolled back. The result is recorded in
the store, and computed again only after the file or the view has changed.
"""

import difflib
import hashlib
from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from maintenance.errors import MaintenanceError
from maintenance.policy import Policy
from maintenance.server.session import (
    READ_LOCK_TIMEOUT,
    Connection,
    milliseconds,
    owner_path,
    run_sql,
    to_error,
)
from maintenance.subjects.matviews.models import Definition

_PROBE = "pg_temp.maintenance_definition"


class RefusedQueryError(MaintenanceError):
    """The server refuses a query because of its text."""


def identity_of(query: str, search_path: str, oid: int, shape: str) -> str:
    """Return a key that changes only when the file or an object it names changes."""
    content = "\0".join((query, search_path, str(oid), shape))
    return hashlib.sha256(content.encode()).hexdigest()


@contextmanager
def as_temporary_view(connection: Connection, policy: Policy, query: str) -> Generator[int]:
    """Create a temporary view of a query for one block, and yield its OID.

    Args:
        connection: an autocommit session; the block is rolled back.
        policy: gives the time limits and search_path.
        query: one SELECT.

    Raises:
        RefusedQueryError: the server refuses the query.
        MaintenanceError: the server can't be asked now.
    """
    cap = milliseconds(policy.observe.time_cap)
    try:
        run_sql(
            connection,
            f"BEGIN; SET LOCAL lock_timeout = {READ_LOCK_TIMEOUT};"
            f" SET LOCAL statement_timeout = {cap};"
            f" SET LOCAL search_path = {owner_path(policy.database.search_path)};"
            f" CREATE VIEW {_PROBE} AS {query}\n; SET LOCAL search_path = ''",
        )
        row = connection.execute(
            f"SELECT '{_PROBE}'::pg_catalog.regclass::pg_catalog.oid".encode()
        ).fetchone()
        assert row is not None, "SELECT without FROM returns one row"
        yield int(row[0])
    except psycopg.Error as exc:
        error = to_error(exc, "its definition")
        if _is_the_querys_fault(exc):
            raise RefusedQueryError(str(error), hint=error.hint) from exc
        raise error from exc
    finally:
        if not connection.closed and not connection.broken:
            run_sql(connection, "ROLLBACK")


def compare(
    connection: Connection, policy: Policy, query: str, view: int | None, identity: str
) -> Definition:
    """Compare a view's definition with a query, both as the server deparses them.

    Args:
        connection: an autocommit session.
        policy: gives the time limits and search_path.
        query: of the view's file.
        view: the view's OID; None where it does not exist.
        identity: of both, see `identity_of`.

    Raises:
        MaintenanceError: the server can't be asked now; the result is unknown.
    """
    try:
        with as_temporary_view(connection, policy, query) as probe:
            differs = _difference(connection, view, probe) if view is not None else None
        return Definition(differs=differs, identity=identity)
    except RefusedQueryError as exc:
        return Definition(refused=exc.with_hint)


def _difference(connection: Connection, view: int, probe: int) -> str | None:
    row = connection.execute(
        "SELECT pg_catalog.pg_get_viewdef(%s::pg_catalog.oid),"
        " pg_catalog.pg_get_viewdef(%s::pg_catalog.oid)",
        [view, probe],
    ).fetchone()
    assert row is not None, "SELECT without FROM returns one row"
    found, wanted = row
    if found == wanted:
        return None
    lines = difflib.unified_diff(
        found.splitlines(), wanted.splitlines(), "database", "file", lineterm="", n=0
    )
    return "\n".join(lines)


def _is_the_querys_fault(exc: psycopg.Error) -> bool:
    """Whether a statement was refused because of its text: SQLSTATE classes 42, 22 and 0A."""
    state = exc.sqlstate or ""
    return state[:2] in ("42", "22", "0A") and not isinstance(
        exc, psycopg.errors.InsufficientPrivilege
    )
