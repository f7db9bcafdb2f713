"""Additional sessions for statements that run with an owner's rights.

They are opened at the first such statement and closed together. A session is reset before it is
used for another owner.
"""

import json
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.types.json import set_json_loads

from maintenance.errors import MaintenanceError, PrivilegeError, UnreachableError
from maintenance.names import literal, quote
from maintenance.server.event_triggers import refuse_foreign_event_triggers
from maintenance.server.owner_rights import OwnerRights, OwnerSession
from maintenance.server.session import (
    READ_LOCK_TIMEOUT,
    Connection,
    Timeouts,
    connect,
    fetch,
    milliseconds,
    rollback_quietly,
    to_error,
)

_DEFAULTS = Timeouts(timedelta(seconds=1), timedelta(minutes=1))
"""Timeouts of statements that set none; ours all set them."""


class OwnerSessions:
    """One additional session for each of our sessions that runs owners' statements."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._open: dict[int, OwnerSession] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        """Return itself; it is closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close what was opened."""
        self.close()

    def session(self, beside: Connection, rights: OwnerRights) -> OwnerSession:
        """Return a session for statements with an owner's rights.

        Args:
            beside: our session with the wanted server, database and role; used by one thread.
            rights: of the owner.

        Raises:
            MaintenanceError: it can't be opened, or an event trigger would run code as our role.
        """
        with self._lock:
            found = self._open.get(id(beside))
        if found is not None and (found.connection.closed or found.connection.broken):
            found = None
        if found is None:
            found = OwnerSession(_opened(beside, rights), rights)
        elif found.rights.owner != rights.owner:
            rollback_quietly(found.connection)
            found.forget()
        if found.rights != rights:
            found = OwnerSession(found.connection, rights)
        with self._lock:
            self._open[id(beside)] = found
        return found

    def drop(self, beside: Connection) -> None:
        """Close the session beside one of ours, if there is one; the next use opens another."""
        with self._lock:
            found = self._open.pop(id(beside), None)
        if found is not None:
            found.connection.close()

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            for session in self._open.values():
                session.connection.close()
            self._open.clear()


def needs_rights(connection: Connection, owner: str) -> bool:
    """Whether statements on an owner's table need an additional session."""
    return owner != connection.info.user


def read_as(
    beside: Connection,
    rights: OwnerRights,
    query: str,
    time_cap: timedelta | None,
    doing: str,
    sessions: OwnerSessions | None = None,
) -> list[dict[str, Any]]:
    """Run a query with an owner's rights; return its rows by column as in JSON.

    Args:
        beside: our session with the wanted server, database and role.
        sessions: gives the session to use; without it, one is opened and closed.
        rights: of the owner.
        query: finished SQL whose names are qualified and whose columns have names.
        time_cap: for the query; None for that of the session.
        doing: the purpose, such as `counting rows`; errors begin with it.

    Raises:
        psycopg.Error: as the server raised it.
        MaintenanceError: this role can't use these rights, or they are not sufficient.
    """
    cap = milliseconds(time_cap) if time_cap is not None else _statement_timeout(beside)
    settings = (
        f"SET LOCAL lock_timeout = {READ_LOCK_TIMEOUT}",
        f"SET LOCAL statement_timeout = {cap}",
    )
    with ExitStack() as stack:
        used = sessions or stack.enter_context(OwnerSessions())
        session = used.session(beside, rights)
        try:
            return session.query(query, settings)
        except psycopg.Error as exc:
            rollback_quietly(session.connection)
            if not isinstance(exc, psycopg.errors.InsufficientPrivilege):
                raise
            error = to_error(exc, doing)
            hint = error.hint or grants_for(rights.owner, beside)
            raise PrivilegeError(f"{error}, with the rights of {rights.owner}", hint=hint) from exc


def _statement_timeout(connection: Connection) -> str:
    row = connection.execute("SHOW statement_timeout").fetchone()
    assert row is not None, "SHOW returns one row"
    return literal(row[0])


def grants_for(owner: str, connection: Connection) -> str:
    """Return what gives this role the rights of an owner."""
    role, database = quote(connection.info.user), quote(connection.info.dbname)
    (roles,) = fetch(connection, "server", "list_privileged_roles")
    if owner in (*roles.superusers, *roles.administrators):
        return (
            f"membership in {quote(owner)}, which administers the server, is not to be granted;"
            f" make the application's role the owner instead, and {role} a member of it"
        )
    return (
        f"run GRANT {quote(owner)} TO {role} and"
        f" GRANT TEMPORARY ON DATABASE {database} TO {quote(owner)}"
    )


def _opened(beside: Connection, rights: OwnerRights) -> Connection:
    # An event trigger would run at the CREATE FUNCTION, before it is guarded.
    refuse_foreign_event_triggers(beside)
    try:
        return _open_same(beside)
    except UnreachableError as exc:
        raise MaintenanceError(
            f"can't open the additional session that is needed to run with the rights of"
            f" {quote(rights.owner)}: {exc}",
            hint="check max_connections and the CONNECTION LIMIT of role and database",
            retryable=True,
        ) from exc


def _open_same(connection: Connection) -> Connection:
    info = connection.info
    parameters = info.get_parameters()
    if info.password:
        parameters["password"] = info.password
    if any("," in parameters.get(name, "") for name in ("host", "hostaddr")):
        # with several hosts, the same server again
        parameters.pop("hostaddr", None)
        parameters |= {"host": info.host, "port": str(info.port)}
    application = parameters.get("application_name", "maintenance")
    opened = connect(make_conninfo("", **parameters), application=application, timeouts=_DEFAULTS)
    # Rows come as JSON; Decimal keeps all digits of numbers.
    set_json_loads(partial(json.loads, parse_float=Decimal), opened)
    return opened
