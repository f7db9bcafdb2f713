"""Lock retries: short lock timeouts, pauses with jitter, a deadline.

A lock that blocks writers is waited for at most `lock_timeout`, because all later sessions
queue behind the waiting request, and not asked for again while a transaction that was in the way
goes on: that would make others wait in vain. A lock that does not block writers is waited for
longer, since autovacuum gives way only after a second.
Source: PostgreSQL manual, 13.3 Explicit Locking.
"""

import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import repeat
from typing import Any, Self

import psycopg

from maintenance.engine.actions import Lock, Step
from maintenance.errors import LockNotAcquiredError, MaintenanceError
from maintenance.formatting import counted_noun, readable_span
from maintenance.names import literal
from maintenance.policy import LocksPolicy
from maintenance.server.owner_code import name_owner_code
from maintenance.server.owner_rights import OwnerSession, with_rights
from maintenance.server.session import (
    Connection,
    fetch,
    milliseconds,
    pinned_settings,
    rollback_quietly,
    run_sql,
    to_error,
)
from maintenance.server.statements import Ours

MAX_PAUSE_S = 2.0
_MAX_DOUBLINGS = 16
_FIRST_SHARE = 5
"""The first attempt waits for a fifth of `lock_timeout`: who is in the way is not known yet."""
MAX_SLOW_TRIES = 10
"""Attempts of a step that holds blocking locks and exceeds its statement timeout."""

_TAKE_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT"
_TRY = "one_try"
_SHOW_TIMEOUTS = "SHOW lock_timeout; SHOW statement_timeout"

_AT_LEAST = (
    "pg_catalog.set_config('statement_timeout', pg_catalog.ceil(GREATEST({}, 1000 * EXTRACT("
    "epoch FROM pg_catalog.current_setting('statement_timeout')::pg_catalog.interval"
    ")))::pg_catalog.text, true)"
)
"""Raises the statement timeout to this many milliseconds, if it is lower."""

Progress = Callable[[str], None]
"""Takes one line of progress."""


def silent(_line: str) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class LockRetry:
    """The limits of lock waits, and the clock and random numbers that tests replace.

    Attributes:
        statement_timeout: of a statement that makes its own transactions; zero means none.
        search_path: the policy's search_path for the owner's code; named in its errors.
    """

    lock_timeout: timedelta
    patient_lock_timeout: timedelta
    give_up_after: timedelta
    statement_timeout: timedelta = timedelta(0)
    search_path: str = ""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    rng: Callable[[], float] = field(default=random.random)

    @classmethod
    def from_policy(cls, locks: LocksPolicy, search_path: str = "") -> Self:
        """Return the limits that a policy sets."""
        return cls(
            locks.lock_timeout,
            locks.patient_lock_timeout,
            locks.give_up_after,
            search_path=search_path,
        )

    def run(
        self,
        connection: Connection,
        step: Step,
        progress: Progress = silent,
        *,
        owner: OwnerSession | None = None,
    ) -> int:
        """Execute one step, retrying while locks are busy.

        Args:
            connection: a session of ours.
            step: the step.
            progress: called once with the blocking sessions.
            owner: the session with the owner's rights; None if our own role runs the step.

        Returns:
            The number of attempts.

        Raises:
            LockNotAcquiredError: the deadline passed; names the blocking sessions.
            MaintenanceError: the server rejected it for a reason that a retry does not fix.
        """
        if owner is not None:
            return self._run_as(owner, connection, step, progress)
        if step.concurrent:
            return self.run_with(
                connection, step, progress, lambda: self.run_concurrent(connection, step)
            )
        messages = self._messages(step)

        def attempt_once() -> None:
            run_sql(connection, next(messages))

        if not step.one_snapshot:
            return self.run_with(connection, step, progress, attempt_once)
        run_sql(connection, _TAKE_SNAPSHOT)
        _let_a_transaction_pass(connection)
        try:
            return self.run_with(connection, step, progress, attempt_once)
        except BaseException:
            rollback_quietly(connection)
            raise

    def _run_as(
        self, owner: OwnerSession, connection: Connection, step: Step, progress: Progress
    ) -> int:
        assert not step.concurrent, "a concurrent statement can't run in a function"
        assert not step.one_snapshot, "attempts do not share a transaction"
        messages = self._messages(step, owner=owner)

        def attempt_once() -> None:
            try:
                run_sql(owner.connection, next(messages))
            except psycopg.Error:
                rollback_quietly(owner.connection)
                raise

        return self.run_with(connection, step, progress, attempt_once)

    def run_with(
        self,
        connection: Connection,
        step: Step,
        progress: Progress,
        attempt_once: Callable[[], None],
    ) -> int:
        """Execute a step with the caller's own function, retrying while locks are busy.

        Returns:
            The number of attempts.

        Raises:
            LockNotAcquiredError, MaintenanceError: as `run`.
        """
        deadline = self.clock() + self.give_up_after.total_seconds()
        slow_tries = 0
        attempt = 1
        pauses = self._pauses(deadline)
        while True:
            try:
                attempt_once()
                return attempt
            except psycopg.Error as exc:
                _undo(connection, step)
                error = to_error(exc, step.statements[-1])
                slow = exc.sqlstate == psycopg.errors.QueryCanceled.sqlstate
                slow_tries += slow and not step.one_snapshot
                if not error.retryable or slow_tries >= MAX_SLOW_TRIES:
                    raise name_owner_code(connection, exc, error, self.search_path) from exc
                if self.clock() >= deadline:
                    raise self._given_up(connection, step.locks, attempt) from exc
                if attempt == 1:
                    progress(f"waiting for a lock: {_holders(connection, step.locks)}")
                if not self._wait(connection, step, pauses):
                    raise self._given_up(connection, step.locks, attempt) from exc
            attempt += 1

    def _wait(self, connection: Connection, step: Step, pauses: Iterator[float]) -> bool:
        """Pause, and again while a transaction that is in the way goes on.

        Returns:
            Whether to ask once more: not if the deadline passes while it goes on.
        """
        in_the_way = _transactions(connection, step)
        for pause_s in pauses:
            self.sleep(pause_s)
            if not in_the_way & _transactions(connection, step):
                return True
        return False

    def _pauses(self, deadline: float) -> Iterator[float]:
        """Yield the seconds to wait each time, until the deadline."""
        n_pauses = 1
        while (left := deadline - self.clock()) > 0:
            yield min(self.pause(n_pauses), left)
            n_pauses += 1

    @contextmanager
    def holding(
        self, connection: Connection, step: Step, progress: Progress = silent
    ) -> Generator[None]:
        """Execute one step, and keep its transaction and locks for the length of a block.

        Only for locks on tables that applications no longer use: a client that freezes in the
        block keeps them.

        Raises:
            LockNotAcquiredError, MaintenanceError: as `run`.
        """
        messages = self._messages(step, "SET LOCAL statement_timeout = 0")
        self.run_with(connection, step, progress, lambda: run_sql(connection, next(messages)))
        try:
            yield
            run_sql(connection, "COMMIT")
        except BaseException:
            rollback_quietly(connection)
            raise

    def run_concurrent(self, connection: Connection, step: Step) -> None:
        """Execute a statement that makes its own transactions, once.

        Raises:
            psycopg.Error: from the server.
        """
        # Waits for older transactions are lock waits too, and writers may queue behind them.
        with session_timeouts(connection, self.lock_timeout, self.statement_timeout):
            run_sql(connection, step.statements[0])

    def _messages(
        self, step: Step, end: str = "COMMIT", *, owner: OwnerSession | None = None
    ) -> Iterator[str]:
        """Yield the message of each attempt; the first waits for a lock more briefly."""
        first = self.lock_timeout / _FIRST_SHARE
        yield self.transaction(step, end, owner=owner, lock_timeout=first)
        yield from repeat(self.transaction(step, end, owner=owner))

    def transaction(
        self,
        step: Step,
        end: str = "COMMIT",
        *,
        owner: OwnerSession | None = None,
        lock_timeout: timedelta | None = None,
    ) -> str:
        """Return a transaction as one message, so that a dead client can't keep its locks."""
        patient = milliseconds(self.patient_lock_timeout)
        short = milliseconds(lock_timeout or self.lock_timeout)
        whole = milliseconds(self.give_up_after)
        harmless = [lock for lock in step.locks if not lock.mode.blocks_writers]
        blocking = [lock for lock in step.locks if lock.mode.blocks_writers]
        # One statement may wait for several locks; they share one lock timeout.
        limit = milliseconds(self.lock_timeout * 1.2) if blocking else whole
        taken = blocking if step.is_long else ()
        parts = [
            f"SAVEPOINT {_TRY}" if step.one_snapshot else "BEGIN",
            f"SET LOCAL lock_timeout = {patient}",
            f"SET LOCAL statement_timeout = {whole}",
            *(f"LOCK TABLE ONLY {lock.object} IN {lock.mode} MODE" for lock in harmless),
            f"SET LOCAL lock_timeout = {short}",
            *_as_wanted(step.prepare, owner, whole),
            f"SET LOCAL statement_timeout = {limit}",
            *(f"LOCK TABLE {lock.object} IN {lock.mode} MODE" for lock in taken),
            *(["SET LOCAL statement_timeout = 0"] if step.is_long else []),
            *_as_wanted(step.statements, owner, 0 if step.is_long else limit),
            end,
        ]
        return ";\n".join(parts)

    def pause(self, attempt: int) -> float:
        """Return the seconds to wait after an attempt, counted from 1, before the next one."""
        doublings = min(attempt, _MAX_DOUBLINGS)
        longest = min(MAX_PAUSE_S, self.lock_timeout.total_seconds() * 2**doublings)
        return longest * (0.5 + 0.5 * self.rng())

    def _given_up(
        self, connection: Connection, locks: Sequence[Lock], attempts: int
    ) -> MaintenanceError:
        wanted = ", ".join(f"{lock.mode} on {lock.object}" for lock in locks)
        rows = _find_holders(connection, locks)
        return LockNotAcquiredError(
            f"{wanted}: not acquired in {counted_noun(attempts, 'attempt')} over"
            f" {readable_span(self.give_up_after)}; {_described(rows)}",
            hint="end that session, or wait for it; retried on the next run",
            holder=_facts(rows[0]) if rows else None,
        )


@contextmanager
def session_timeouts(
    connection: Connection, lock: timedelta, statement: timedelta
) -> Generator[None]:
    """Change a session's timeouts for the length of a block; outside a transaction."""
    shown = connection.execute(f"{_SHOW_TIMEOUTS}; {_set_timeouts(lock, statement)}".encode())
    (before_lock,) = shown.fetchone() or ("0",)
    shown.nextset()
    (before_statement,) = shown.fetchone() or ("0",)
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            run_sql(
                connection,
                f"SET lock_timeout = {literal(before_lock)};"
                f" SET statement_timeout = {literal(before_statement)}",
            )


def _as_wanted(
    statements: Sequence[str], owner: OwnerSession | None, limit_ms: int
) -> Sequence[str]:
    """Return the statements, wrapped into one call with an owner's rights if one is given."""
    if owner is None or not statements:
        return statements
    n_calls = sum(not isinstance(each, Ours) for each in statements)
    time = f"SELECT {_AT_LEAST.format(n_calls * limit_ms)}"
    return [time, *with_rights(statements, owner.rights, pinned_settings(owner.connection))]


def _set_timeouts(lock: timedelta, statement: timedelta) -> str:
    return (
        f"SET lock_timeout = {milliseconds(lock)};"
        f" SET statement_timeout = {milliseconds(statement)}"
    )


def _let_a_transaction_pass(connection: Connection) -> None:
    """Make sure that snapshots taken from now on are younger than ours.

    A snapshot is as old as the oldest transaction running when it was taken, or the next one to
    begin. On a quiet server that is our own, and all later snapshots would be as old as ours.
    """
    info = connection.info
    # Without it the wait is longer on a server without other writers, with the same result.
    with (
        suppress(psycopg.Error),
        psycopg.connect(info.dsn, password=info.password, autocommit=True) as other,
    ):
        other.execute("SELECT pg_catalog.pg_current_xact_id()")


def _undo(connection: Connection, step: Step) -> None:
    """Roll back a failed attempt, and the transaction too unless its snapshot is kept."""
    if not step.one_snapshot:
        rollback_quietly(connection)
    elif not connection.closed and not connection.broken:
        run_sql(connection, f"ROLLBACK TO {_TRY}; RELEASE {_TRY}")


def _holders(connection: Connection, locks: Sequence[Lock]) -> str:
    """Describe the blocking sessions, oldest transaction first."""
    return _described(_find_holders(connection, locks))


def _find_holders(connection: Connection, locks: Sequence[Lock]) -> Sequence[Any] | None:
    """Return the blocking sessions, oldest transaction first; None if they could not be read."""
    pairs = [(lock.object, mode) for lock in locks for mode in lock.mode.conflicts]
    parameters = {"relations": [name for name, _ in pairs], "modes": [mode for _, mode in pairs]}
    try:
        return fetch(connection, "catalog", "list_lock_holders", parameters)
    except psycopg.Error:
        return None


def _transactions(connection: Connection, step: Step) -> frozenset[str]:
    """Return the transactions in the way of the step's blocking locks.

    Without those of tables on which the step also waits patiently: autovacuum gives way to that. A
    concurrent statement begins beside them, and takes those locks later.
    """
    if step.concurrent:
        return frozenset()
    patient = {lock.object for lock in step.locks if not lock.mode.blocks_writers}
    locks = [lock for lock in step.locks if lock.object not in patient]
    return frozenset(row.transaction for row in _find_holders(connection, locks) or ())


def _facts(row: Any) -> dict[str, Any]:
    """Return what is known of a blocking session, without its query, which may have data."""
    return {
        "pid": row.pid,
        "prepared": row.gid,
        "role": row.role,
        "application": row.application or None,
        "state": row.state,
        "query_start": row.query_start.isoformat() if row.query_start is not None else None,
        "lock": row.mode,
        "relation": row.relation,
    }


def _described(rows: Sequence[Any] | None) -> str:
    if rows is None:
        return "holder unknown"
    return "; ".join(_holder(row) for row in rows) or "the holder has ended"


def _holder(row: Any) -> str:
    who = f"pid {row.pid}" if row.gid is None else f"prepared transaction {row.gid}"
    what = row.application or row.state or "no application name"
    since = f", transaction open for {row.age_s:.1f} s" if row.age_s is not None else ""
    return f"{who} ({row.role or 'system'}, {what}) holds {row.mode} on {row.relation}{since}"
