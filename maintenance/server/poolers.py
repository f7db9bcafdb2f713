"""Recognizing a connection pool between us and the server, before anything is set.

A pool in transaction or statement mode hands each transaction to another server process: a
setting of ours would stay behind on a connection that the application gets next, and a lock of
ours would be held by a process that we can't reach any more. In session mode a process is ours
until we leave, as without a pool.

What tells them apart changes nothing on the server: its process ids. PostgreSQL's protocol hands
out the id of the process at the start; a pool makes up one of its own. In session mode our id
stays the same, and no second connection ever has it.
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
"""Looks at two connections in turn. In a busy pool of two connections that shares them, each look
shows it with a probability of more than a half; in an idle one the first does."""

ANSWER_LIMIT_S = 10.0
"""How long the pool may take to find a server process for a connection."""

_HINT = (
    "point the url at PostgreSQL itself, or at a pool in session mode"
    " (PgBouncer: pool_mode = session)"
)
_WHY = (
    "the settings and locks of one session would be left to the application's sessions."
    " Nothing was set"
)
_PID = b"SELECT pg_catalog.pg_backend_pid()"

Raw = psycopg.Connection[Any]


def find_process(connection: Raw, second: Callable[[], Raw], where: str, *, flagged: bool) -> int:
    """Return the id of the server process that is this connection's for as long as it stands.

    Where it differs from the protocol's, there is a pool in session mode in between.

    Args:
        connection: a new one, on which nothing was set.
        second: opens another like it.
        where: names the server in messages.
        flagged: the url says that a pool is in between (`pgbouncer=true`).

    Raises:
        UnreachableError: a pool hands each transaction or statement to another process, or it
            can't be told whether it does.
    """
    pid = _process_of(connection, where)
    again = _process_of(connection, where)
    if again != pid:
        raise _shared(where, f"one connection's statements ran in processes {pid} and {again}")
    if pid != connection.info.backend_pid or flagged:
        _compare(connection, second, where, pid)
    return pid


def _compare(connection: Raw, second: Callable[[], Raw], where: str, pid: int) -> None:
    """See that no other connection ever gets a process, and that this one keeps it."""
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
        raise _unclear(
            where, f"it had no second connection within {ANSWER_LIMIT_S:.0f} s"
        ) from None
    except psycopg.Error as exc:
        raise UnreachableError(
            f"{where}: a connection pool answers there and refuses transactions, as in statement"
            f" mode ({exc.sqlstate or type(exc).__name__}): {_WHY}",
            hint=_HINT,
            reason="shared_pool",
        ) from None


def _process_of(connection: Raw, where: str) -> int:
    try:
        return int(_ask(connection, _PID, where) or 0)
    except TimeoutError:
        raise UnreachableError(
            f"{where}: no answer to a first statement within {ANSWER_LIMIT_S:.0f} s",
            hint="is a connection pool there, and has it run out of connections?",
            retryable=True,
            reason="no_answer",
        ) from None


def _ask(connection: Raw, statements: bytes, where: str) -> bytes | None:
    """Return the last value that statements give, within the time limit.

    Raises:
        TimeoutError: it was over.
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
        f"{where}: a connection pool in transaction mode answers there ({fact}): {_WHY}",
        hint=_HINT,
        reason="shared_pool",
    )


def _unclear(where: str, reason: str) -> UnreachableError:
    return UnreachableError(
        f"{where}: a connection pool answers there, and whether it is in session mode can't be"
        f" told: {reason}; in any other mode {_WHY}",
        hint=f"{_HINT}, with room for at least three connections of ours",
        retryable=True,
        reason="unclear_pool",
    )
