"""Detect a connection pool between us and the server, before any setting is changed.

A pool in transaction or statement mode may run each transaction in another server process: our
settings would remain on a connection that the application uses next, and our locks would be held by
a process that we can't reach. In session mode we keep one process until we disconnect.

The modes are distinguished by process ids, without any change on the server. PostgreSQL's protocol
sends the pid at the start; a pool sends its own number. In session mode our pid does not change,
and no second connection ever has it.
Source: PostgreSQL manual, 55.7 BackendKeyData; PgBouncer, pool_mode.
"""

import select
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.pq import ExecStatus

from maintenance.errors import UnreachableError

ROUNDS = 20
"""How often two connections are compared. In a busy pool of two shared connections each comparison
detects sharing with a probability above one half; in an idle pool the first one does."""

ANSWER_LIMIT_S = 10.0
"""Seconds that the pool may take to assign a server process."""

_HINT = (
    "set the url to PostgreSQL itself, or to a pool in session mode"
    " (PgBouncer: pool_mode = session)"
)
SHARED_POOL = "shared_pool"
"""Reason of the error that a connection pool shares its sessions."""
_WHY = (
    "settings and locks of this session would affect the application's sessions."
    " Nothing was changed"
)
_PID = b"SELECT pg_catalog.pg_backend_pid()"

Raw = psycopg.Connection[Any]


def find_process(connection: Raw, second: Callable[[], Raw], where: str, *, flagged: bool) -> int:
    """Return the pid of the server process that serves this connection until it is closed.

    If it differs from the protocol's pid, there is a pool in session mode.

    Args:
        connection: a new one without changed settings.
        second: opens another one to the same server.
        where: name of the server in messages.
        flagged: whether the url declares a pool (`pgbouncer=true`).

    Raises:
        UnreachableError: the pool is in transaction or statement mode, or its mode is unknown.
    """
    pid = _process_of(connection, where)
    again = _process_of(connection, where)
    if again != pid:
        raise _shared(where, f"statements of one connection ran in processes {pid} and {again}")
    if pid != connection.info.backend_pid or flagged:
        _compare(connection, second, where, pid)
    return pid


def _compare(connection: Raw, second: Callable[[], Raw], where: str, pid: int) -> None:
    """Verify that this connection keeps its process and no other connection gets it."""
    try:
        other = second()
    except psycopg.OperationalError as exc:
        raise _unclear(where, f"a second connection was refused ({type(exc).__name__})") from None
    try:
        for _ in range(ROUNDS):
            theirs = _in_transaction(other, where)
            if theirs == pid:
                raise _shared(where, f"two open connections were served by process {pid}")
            ours = _process_of(connection, where)
            if ours != pid:
                raise _shared(where, f"one connection was served by processes {pid} and {ours}")
            _ask(other, b"ROLLBACK", where)
    finally:
        other.close()


def _in_transaction(connection: Raw, where: str) -> int:
    """Return the process that serves a transaction, and leave the transaction open."""
    try:
        return int(_ask(connection, b"BEGIN; " + _PID, where) or 0)
    except TimeoutError:
        raise _unclear(where, f"no second connection within {ANSWER_LIMIT_S:.0f} s") from None
    except psycopg.Error as exc:
        raise UnreachableError(
            f"{where}: connection pool refuses transactions, as in statement mode"
            f" ({exc.sqlstate or type(exc).__name__}): {_WHY}",
            hint=_HINT,
            reason=SHARED_POOL,
        ) from None


def _process_of(connection: Raw, where: str) -> int:
    try:
        return int(_ask(connection, _PID, where) or 0)
    except TimeoutError:
        raise UnreachableError(
            f"{where}: no response to the first statement within {ANSWER_LIMIT_S:.0f} s",
            hint="if this is a connection pool, check whether it has no free connections",
            retryable=True,
            reason="no_answer",
        ) from None


def _ask(connection: Raw, statements: bytes, where: str) -> bytes | None:
    """Run statements and return their last value, within the time limit.

    Raises:
        TimeoutError: the time limit was exceeded.
        psycopg.Error: a statement was refused.
        UnreachableError: the connection was closed.
    """
    pgconn = connection.pgconn
    deadline = time.monotonic() + ANSWER_LIMIT_S
    value: bytes | None = None
    try:
        pgconn.send_query(statements)
        pgconn.flush()
        while True:
            pgconn.consume_input()
            if pgconn.is_busy():
                left_s = deadline - time.monotonic()
                if left_s <= 0 or not select.select([pgconn.socket], [], [], left_s)[0]:
                    raise TimeoutError
                continue
            result = pgconn.get_result()
            if result is None:
                return value
            if result.status == ExecStatus.TUPLES_OK:
                value = result.get_value(0, 0)
            elif result.status != ExecStatus.COMMAND_OK:
                raise psycopg.errors.error_from_result(result)
    except psycopg.OperationalError as exc:
        if exc.sqlstate is not None:
            raise
        raise UnreachableError(f"{where}: the connection was closed at its first use") from None


def _shared(where: str, fact: str) -> UnreachableError:
    return UnreachableError(
        f"{where}: connection pool in transaction mode ({fact}): {_WHY}",
        hint=_HINT,
        reason=SHARED_POOL,
    )


def _unclear(where: str, reason: str) -> UnreachableError:
    return UnreachableError(
        f"{where}: connection pool in unknown mode: {reason}; in any mode but session mode {_WHY}",
        hint=f"{_HINT}, with at least four free connections",
        retryable=True,
        reason="unclear_pool",
    )
