"""Removal of the invalid index that a failed, canceled or interrupted build left, at once.

Such an index is maintained on writes and not usable. It is dropped concurrently, by its OID and
without a lock timeout, but within a time: the drop waits for the transactions that use the table.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import psycopg
from psycopg.pq import TransactionStatus

from maintenance.engine.action_context import ActionContext
from maintenance.engine.lock_retry import session_timeouts
from maintenance.errors import LockNotAcquiredError, MaintenanceError, UnreachableError
from maintenance.server.session import Connection, fetch, run_sql, to_error

INTERRUPTED = timedelta(seconds=10)
"""How long the end of an interrupted process is held up at most."""

ASK_EVERY_S = 0.2
"""Seconds between two looks whether the session of the build has ended."""

CleanUp = Callable[[ActionContext, timedelta], None]
"""Removes what a build left, within a time; raises MaintenanceError if it can't."""


@contextmanager
def cleaned_up(context: ActionContext, clean_up: CleanUp) -> Generator[None]:
    """Remove what the build in the block leaves if it fails or is interrupted.

    If that fails too, the error says so, and the next run removes it. So it is after a lost
    connection.

    Args:
        context: of the action.
        clean_up: called with a context whose session can be used, and the time that it has.
    """
    try:
        yield
    except UnreachableError:
        raise
    except MaintenanceError as cause:
        try:
            clean_up(context, context.policy.locks.give_up_after)
        except MaintenanceError as exc:
            left = f"an invalid index is left, which only slows down writes: {exc.with_hint}"
            cause.hint = "; ".join(each for each in (cause.hint, left) if each)
            context.progress(left)
        raise
    except BaseException:  # Ctrl-C, or the end of a Dagster run
        _after_interruption(context, clean_up)
        raise


def drop_unusable(context: ActionContext, oid: int, within: timedelta) -> None:
    """Drop an index, unless it is valid or gone.

    Args:
        context: of the action.
        oid: of the index.
        within: how long it may take.

    Raises:
        LockNotAcquiredError: it was in use until the end of that time.
        MaintenanceError: the server refused.
    """
    connection, clock = context.connection, context.lock_retry.clock
    deadline = clock() + within.total_seconds()
    while rows := fetch(connection, "server", "find_unusable_index", {"index_oid": oid}):
        (row,) = rows
        left = timedelta(seconds=max(deadline - clock(), 0.001))
        if not row.is_building:
            context.progress(f"{row.name}: dropping the invalid index of an incomplete build")
            _drop(connection, row.name, left)
            return
        if clock() >= deadline:
            raise LockNotAcquiredError(
                f"{row.name}: not dropped: another session builds an index of its table",
                hint="retried on the next run",
                reason="other_build",
            )
        context.lock_retry.sleep(ASK_EVERY_S)


def _drop(connection: Connection, name: str, within: timedelta) -> None:
    statement = f"DROP INDEX CONCURRENTLY {name}"
    try:
        with session_timeouts(connection, timedelta(0), within):
            run_sql(connection, statement)
    except psycopg.errors.QueryCanceled as exc:
        raise LockNotAcquiredError(
            f"{name}: not dropped within {within.total_seconds():.0f} s: a transaction uses its"
            " table",
            hint=f"retried on the next run; by hand: {statement}",
            reason="leftover_in_use",
        ) from exc
    except psycopg.Error as exc:
        raise to_error(exc, statement) from exc


def _after_interruption(context: ActionContext, clean_up: CleanUp) -> None:
    """Remove what an interrupted build left, in a session of its own: the other may be unusable."""
    try:
        _end(context.connection)
        with context.target.database("cleanup") as session:
            clean_up(replace(context, connection=session), INTERRUPTED)
    except (MaintenanceError, psycopg.Error) as exc:
        context.progress(f"an invalid index may be left; the next run removes it: {exc}")


def _end(connection: Connection) -> None:
    """End what a session does; close it if it can't be used any more."""
    if connection.closed or connection.info.transaction_status is TransactionStatus.IDLE:
        return
    try:
        connection.cancel_safe(timeout=INTERRUPTED.total_seconds())
    finally:
        connection.close()
