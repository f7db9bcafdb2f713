"""Monitoring of an index build from a second session: its index, and the session it waits for."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from maintenance.engine.action_context import ActionContext
from maintenance.engine.progress import BuildProgress
from maintenance.errors import BuildPostponedError, LockNotAcquiredError, MaintenanceError
from maintenance.server.owner_code import name_owner_code
from maintenance.server.session import (
    Connection,
    Timeouts,
    connect,
    fetch,
    milliseconds,
    pin,
    process_of,
    run_sql,
    to_error,
)

EVERY_S = 0.2
FIRST_AFTER_S = 1.0
"""Seconds before the session is opened, unless the OID of the new index is wanted: most builds have
ended by then."""

TELL_EVERY_S = 5.0
"""Seconds between two lines on how far a build is."""


WINDOW_ENDED = "window_ended"


def always(_moment: datetime) -> bool:
    """Let a build run at any time."""
    return True


@dataclass(slots=True)
class Watch:
    """The state of the monitoring session.

    Attributes:
        gave_up: why the build was canceled.
        holder: facts about the session that it waited for then.
        window_ended: whether it was canceled because its hours were over.
        index_oid: of the new index, as soon as it is known.
        over: set when the build has ended.
    """

    gave_up: str | None = None
    holder: dict[str, Any] = field(default_factory=dict[str, Any])
    window_ended: bool = False
    index_oid: int | None = None
    over: threading.Event = field(default_factory=threading.Event)
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _may_cancel: bool = False

    @contextmanager
    def statement(self) -> Generator[None]:
        """Allow a cancel in the block, in which the monitored statement runs.

        At its end a request that is under way is waited for: it would end the next statement.
        """
        with self._turn:
            self._may_cancel = True
        try:
            yield
        finally:
            with self._turn:
                self._may_cancel = False

    def cancel(
        self,
        connection: Connection,
        reason: str,
        *,
        holder: dict[str, Any] | None = None,
        window_ended: bool = False,
    ) -> None:
        """Cancel the monitored statement, unless it has ended."""
        with self._turn:
            if not self._may_cancel:
                return
            self.gave_up, self.holder, self.window_ended = reason, holder or {}, window_ended
            connection.cancel_safe()

    def error(self, statement: str) -> LockNotAcquiredError | BuildPostponedError:
        """Return why a statement was canceled."""
        text = f"{statement}: {self.gave_up}"
        if self.window_ended:
            hint = "lengthen indexes.window, or build it by hand; begun anew in the next hours"
            return BuildPostponedError(text, hint=hint, reason=WINDOW_ENDED)
        hint = "end that session; retried on the next run"
        return LockNotAcquiredError(text, hint=hint, holder=self.holder)


@contextmanager
def watched(
    context: ActionContext,
    note_index: Callable[[int], None] | None = None,
    may_run: Callable[[datetime], bool] = always,
) -> Generator[Watch]:
    """Monitor the index build that the context's session runs in the block.

    A build that waits for the same session longer than `locks.give_up_after` is canceled, and so
    is one that still runs when it may not. If the second session can't be opened, the build
    continues without monitoring.

    Args:
        context: the session of the build, and its limits.
        note_index: called with the OID of the new index as soon as it is known.
        may_run: whether it may run at a time.
    """
    watch = Watch()
    arguments = (context, note_index, may_run, watch)
    thread = threading.Thread(target=_watch, args=arguments, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.over.set()
        thread.join()


@contextmanager
def without_timeouts(context: ActionContext) -> Generator[None]:
    """Disable the timeouts in the block: a timeout would leave an invalid index."""
    policy = context.policy
    usual = {
        "lock_timeout": str(milliseconds(policy.locks.lock_timeout)),
        "statement_timeout": str(milliseconds(policy.observe.time_cap)),
    }
    pin(context.connection, dict.fromkeys(usual, "0"))
    try:
        yield
    finally:
        if not context.connection.closed and not context.connection.broken:
            pin(context.connection, usual)


def run_watched(context: ActionContext, statement: str, watch: Watch) -> None:
    """Run the monitored statement.

    Raises:
        LockNotAcquiredError, BuildPostponedError: the monitor canceled it.
        MaintenanceError: the server rejected it.
    """
    connection = context.connection
    try:
        with watch.statement():
            run_sql(connection, statement)
    except psycopg.Error as exc:
        if watch.gave_up is not None and not connection.broken:
            raise watch.error(statement) from exc
        error = to_error(exc, statement)
        path = context.policy.database.search_path
        raise name_owner_code(connection, exc, error, path) from exc


def _watch(
    context: ActionContext,
    note_index: Callable[[int], None] | None,
    may_run: Callable[[datetime], bool],
    watch: Watch,
) -> None:
    if watch.over.wait(EVERY_S if note_index is not None else FIRST_AFTER_S):
        return
    policy = context.policy
    url = policy.database.url
    timeouts = Timeouts(policy.locks.lock_timeout, policy.observe.time_cap)
    name = f"maintenance watch {policy.database.name}"
    try:
        address = context.target.resolve(url)
        with closing(
            connect(address, application=name, timeouts=timeouts, setting=url.setting)
        ) as session:
            _follow(context, session, note_index, may_run, watch)
    except MaintenanceError as exc:
        context.progress(f"Build continues without monitoring: {exc}")
    except psycopg.Error as exc:
        context.progress(f"Build continues without monitoring: {type(exc).__name__}")


def _follow(
    context: ActionContext,
    session: Connection,
    note_index: Callable[[int], None] | None,
    may_run: Callable[[datetime], bool],
    watch: Watch,
) -> None:
    pid = process_of(context.connection)
    patience = context.policy.locks.give_up_after.total_seconds()
    waited_for, since = None, time.monotonic()
    told_at = since
    while not watch.over.is_set():
        (row,) = fetch(session, "bloat", "find_build", {"pid": pid})
        if row.index_oid is not None and row.index_oid != watch.index_oid:
            if note_index is not None:
                note_index(row.index_oid)
            watch.index_oid = row.index_oid
        if row.locker_pid != waited_for:
            waited_for, since = row.locker_pid, time.monotonic()
            if waited_for is not None:
                context.progress(f"the index build waits for pid {waited_for} ({row.locker})")
        if row.phase is not None and time.monotonic() - told_at >= TELL_EVERY_S:
            told_at = time.monotonic()
            context.progress(BuildProgress.of(row.phase, row.done_fraction))
        if waited_for is not None and time.monotonic() - since > patience:
            reason = f"canceled after waiting {patience:.0f} s for pid {waited_for} ({row.locker})"
            watch.cancel(context.connection, reason, holder=_facts(row))
            since = time.monotonic()
        if row.phase is not None and watch.gave_up is None and not may_run(datetime.now(UTC)):
            reason = "canceled at the end of indexes.window"
            watch.cancel(context.connection, reason, window_ended=True)
        watch.over.wait(EVERY_S)


def _facts(row: Any) -> dict[str, Any]:
    """Return what is known of the session that a build waits for, without its query."""
    start = row.locker_query_start
    return {
        "pid": row.locker_pid,
        "role": row.locker_role,
        "application": row.locker,
        "query_start": start.isoformat() if start is not None else None,
    }
