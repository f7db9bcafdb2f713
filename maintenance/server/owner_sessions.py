"""Sessions beside one of ours, for statements that run with an owner's rights.

They are opened when the first such statement comes, and closed together. One that served an owner
forgets all that the owner's code may have left before it serves another.
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
    Connection,
    Timeouts,
    connect,
    milliseconds,
    rollback_quietly,
    to_error,
)

_DEFAULTS = Timeouts(timedelta(seconds=1), timedelta(minutes=1))
"""Of statements that set nothing of their own; ours all do."""


class OwnerSessions:
    """One session for each of ours that owners' statements were run beside."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._open: dict[int, OwnerSession] = {}
        self._lock = Lock()

    def __enter__(self) -> Self:
        """Return it, to be closed at the end of the block."""
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
            beside: whose server, database and role it has; used by one thread at a time.
            rights: whose.

        Raises:
            MaintenanceError: it can't be opened, or an event trigger would run code as us in it.
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

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            for session in self._open.values():
                session.connection.close()
            self._open.clear()


def needs_rights(connection: Connection, owner: str) -> bool:
    """Whether statements on an owner's table run with rights that are not ours anyway."""
    return owner != connection.info.user


def read_as(
    beside: Connection,
    rights: OwnerRights,
    query: str,
    time_cap: timedelta | None,
    doing: str,
    sessions: OwnerSessions | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of a query, by column as JSON has them, run with an owner's rights.

    Args:
        beside: a session of ours, whose server, database and role it has.
        sessions: one of which it uses; without them, one that is closed again.
        rights: whose.
        query: finished SQL whose names are qualified and whose columns have names.
        time_cap: for the query; None for that of the session.
        doing: what it is for, such as `counting rows`; errors begin with it.

    Raises:
        psycopg.Error: as the server raised it.
        MaintenanceError: we may not take such rights, or they don't suffice.
    """
    cap = milliseconds(time_cap) if time_cap is not None else _statement_timeout(beside)
    settings = ("SET LOCAL lock_timeout = '50ms'", f"SET LOCAL statement_timeout = {cap}")
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
            hint = error.hint or _grants(rights.owner, beside)
            raise PrivilegeError(f"{error}, with the rights of {rights.owner}", hint=hint) from exc


def _statement_timeout(connection: Connection) -> str:
    row = connection.execute("SHOW statement_timeout").fetchone()
    assert row is not None, "SHOW returns one row"
    return literal(row[0])


def _grants(owner: str, connection: Connection) -> str:
    role, database = quote(connection.info.user), quote(connection.info.dbname)
    is_superuser = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = %s"
    if connection.execute(is_superuser, (owner,)).fetchone() == (True,):
        return (
            f"{quote(owner)} is a superuser, whose rights we never take: give what it owns to the"
            f" application's own role, of which {role} is a member"
        )
    return (
        f"needed are GRANT {quote(owner)} TO {role} and"
        f" GRANT TEMPORARY ON DATABASE {database} TO {quote(owner)}"
    )


def _opened(beside: Connection, rights: OwnerRights) -> Connection:
    # The function is made before it can keep anything in.
    refuse_foreign_event_triggers(beside)
    try:
        return _beside(beside)
    except UnreachableError as exc:
        raise MaintenanceError(
            f"no second session could be opened, and what runs with the rights of"
            f" {quote(rights.owner)} needs one: {exc}",
            hint="is a limit of connections reached?",
            retryable=True,
        ) from exc


def _beside(connection: Connection) -> Connection:
    info = connection.info
    parameters = info.get_parameters()
    if info.password:
        parameters["password"] = info.password
    if any("," in parameters.get(name, "") for name in ("host", "hostaddr")):
        # of several servers the very same
        parameters.pop("hostaddr", None)
        parameters |= {"host": info.host, "port": str(info.port)}
    application = parameters.get("application_name", "maintenance")
    opened = connect(make_conninfo("", **parameters), application=application, timeouts=_DEFAULTS)
    # The rows of queries come as JSON: numbers in full.
    set_json_loads(partial(json.loads, parse_float=Decimal), opened)
    return opened
