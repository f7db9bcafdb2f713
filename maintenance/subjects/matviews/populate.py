"""Populate a view in one transaction, and record the refresh in the ledger."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, LockMode, Step
from maintenance.errors import MaintenanceError
from maintenance.names import literal
from maintenance.server.owner_code import name_owner_code
from maintenance.server.session import (
    Connection,
    milliseconds,
    owner_path,
    rollback_quietly,
    to_error,
)
from maintenance.store import Refresh, add_refresh, newest_refreshes
from maintenance.subjects.matviews.ddl import CONCURRENTLY
from maintenance.subjects.matviews.measure import (
    count_null_keys,
    count_rows,
    server_time,
    temp_bytes,
)
from maintenance.subjects.matviews.models import Counters, Matview


@dataclass(frozen=True, slots=True)
class Written:
    """The state of a view at the end of a transaction, read before COMMIT.

    Attributes:
        began_at: the view contains all commits before this moment.
        state: filenode and counters after COMMIT.
        n_inserted: rows inserted by this transaction.
        n_deleted: rows deleted by this transaction.
    """

    began_at: datetime
    state: Counters
    n_inserted: int
    n_deleted: int


def fill(context: ActionContext, step: Step, *, index_optional: bool = False) -> Written:
    """Run a step that populates the view, in one transaction without statement timeout.

    Readers and writers of its source tables are not blocked. The lock timeout is short if readers
    of the view would queue behind the lock.

    Args:
        context: gives the session and the limits.
        step: populates the view, and may build its unique index.
        index_optional: whether the view is populated without that index if there are duplicates.

    Raises:
        LockNotAcquiredError, MaintenanceError: nothing was changed.
    """
    statements = map(unless_duplicates, step.statements) if index_optional else step.statements
    blocks = any(lock.mode is LockMode.ACCESS_EXCLUSIVE for lock in step.locks)
    limit = context.lock_retry.lock_timeout if blocks else context.lock_retry.patient_lock_timeout
    text = ";\n".join(
        (
            "BEGIN",
            "SET LOCAL statement_timeout = 0",
            f"SET LOCAL lock_timeout = {milliseconds(limit)}",
            f"SET LOCAL search_path = {owner_path(context.policy.database.search_path)}",
            "SET LOCAL row_security = on",  # as in a refresh by the owner
            "SELECT pg_catalog.statement_timestamp()",
            *statements,
            counting(step.locks[0].object),
            "COMMIT",
        )
    )
    found: list[Written] = []

    def attempt() -> None:
        found.append(run_counted(context.connection, text))

    taken = context.lock_retry.run_with(context.connection, step, context.progress, attempt)
    context.attempts = max(context.attempts, taken)
    return found[-1]


def unless_duplicates(statement: str) -> str:
    """Return a statement that builds a unique index, or does nothing if there are duplicates.

    The view is then populated without its index; the next observation reports the duplicates.
    """
    if not statement.startswith("CREATE UNIQUE INDEX "):
        return statement
    body = f"BEGIN EXECUTE {literal(statement)}; EXCEPTION WHEN unique_violation THEN NULL; END"
    return f"DO {literal(body)}"


def counting(view: str) -> str:
    """Return the query for the state of a view at the end of this transaction.

    The shared counters hold the counts reported by all transactions so far; those of the
    transaction hold the counts it will report itself.
    """
    oid = f"pg_catalog.to_regclass({literal(view)})"
    counters = ("tuples_inserted", "tuples_updated", "tuples_deleted")
    shared = [f"pg_catalog.pg_stat_get_{counter}({oid})" for counter in counters]
    own = [f"pg_catalog.pg_stat_get_xact_{counter}({oid})" for counter in counters]
    filenode = f"pg_catalog.pg_relation_filenode({oid})::pg_catalog.int8"
    return f"SELECT {', '.join((filenode, *shared, *own))}"


def run_counted(connection: Connection, text: str) -> Written:
    """Run statements, one of which returns the time and a later one `counting`; return both.

    Raises:
        MaintenanceError: it was canceled by another session.
        psycopg.Error: the server refused; the transaction is still open.
    """
    try:
        cursor = connection.execute(text.encode())
    except psycopg.errors.QueryCanceled as exc:
        # There is no timeout, so a person canceled it, and it is not retried.
        rollback_quietly(connection)
        raise MaintenanceError(str(to_error(exc, "the refresh"))) from exc
    rows: list[Any] = []
    while True:
        if cursor.description is not None:
            rows.append(cursor.fetchone())
        if not cursor.nextset():
            break
    ((began_at,), (filenode, *counts)) = rows
    shared, own = [int(n or 0) for n in counts[:3]], [int(n or 0) for n in counts[3:]]
    totals = (a + b for a, b in zip(shared, own, strict=True))
    return Written(began_at, (int(filenode), *totals), n_inserted=own[0], n_deleted=own[2])


@dataclass(frozen=True, slots=True)
class Entry:
    """One ledger entry under construction.

    Attributes:
        view: its state before, with the fingerprint that becomes the new baseline.
        mode: see `Refresh`.
    """

    context: ActionContext
    action: Action
    view: Matview
    mode: str

    def about(self, work: Callable[[], Written]) -> Refresh:
        """Run the work and record its result in the ledger, failures too.

        Raises:
            MaintenanceError: as raised by the work.
        """
        connection = self.context.connection
        before = temp_bytes(connection)
        began = server_time(connection)
        try:
            written = work()
        except MaintenanceError as exc:
            error = self._naming_owner_code(exc)
            self._note_failure(began, error)
            raise error from exc.__cause__
        used = max(0, temp_bytes(connection) - before)
        entry = self._measured(replace(self._begun(began), temp_bytes=used), written)
        return replace(entry, id=self._write(entry))

    def _begun(self, began: datetime) -> Refresh:
        return Refresh(
            view=self.action.object,
            run_id=self.context.run_id,
            started_at=began,
            ended_at=server_time(self.context.connection),
            mode=self.mode,
            reason=self.action.reason,
        )

    def _naming_owner_code(self, error: MaintenanceError) -> MaintenanceError:
        """Add to the error the owner's function that raised it, if any."""
        connection, cause = self.context.connection, error.__cause__
        idle = connection.info.transaction_status is TransactionStatus.IDLE
        if not isinstance(cause, psycopg.Error) or not idle:
            return error
        path = self.context.policy.database.search_path
        return name_owner_code(connection, cause, error, path)

    def _note_failure(self, began: datetime, exc: MaintenanceError) -> None:
        # The failure itself is reported, even if it can't be recorded.
        with suppress(psycopg.Error):
            text = exc.with_hint
            self._write(replace(self._begun(began), error=text, changed=False))

    def _measured(self, entry: Refresh, written: Written) -> Refresh:
        view, is_concurrent = self.view, self.mode == CONCURRENTLY
        n_updated = min(written.n_inserted, written.n_deleted)
        if is_concurrent:
            entry = replace(
                entry,
                changed=written.n_inserted + written.n_deleted > 0,
                n_inserted=written.n_inserted - n_updated,
                n_updated=n_updated,
                n_deleted=written.n_deleted - n_updated,
            )
        return replace(
            entry,
            n_rows=self._n_rows(written, is_concurrent=is_concurrent),
            n_null_keys=self._n_null_keys(written, is_concurrent=is_concurrent),
            state=written.state,
            fingerprint=view.fingerprint.as_json() if view.fingerprint else None,
            as_of=no_later_than_sources(self.context, view, written.began_at),
        )

    def _n_rows(self, written: Written, *, is_concurrent: bool) -> int | None:
        if not is_concurrent:
            return written.n_inserted
        base = self.view.baseline
        if base is not None and base.n_rows is not None and base.state == self.view.state:
            return base.n_rows + written.n_inserted - written.n_deleted
        return count_rows(self.context.connection, self.context.policy, self.view)

    def _n_null_keys(self, written: Written, *, is_concurrent: bool) -> int | None:
        """Count rows with a NULL in the key, which every concurrent refresh rewrites."""
        if is_concurrent and not (written.n_inserted and written.n_deleted):
            return 0
        return count_null_keys(self.context.connection, self.context.policy, self.view)

    def _write(self, entry: Refresh) -> int:
        return add_refresh(self.context.store, self.context.policy.database.name, entry)


def no_later_than_sources(context: ActionContext, view: Matview, moment: datetime) -> datetime:
    """Return the moment up to which a view is fresh, limited by the views it reads."""
    known = newest_refreshes(context.store, context.policy.database.name)
    upstream = [known[str(name)].fresh_as_of for name in view.reads if str(name) in known]
    return min([moment, *(until for until in upstream if until is not None)])


def detail_of(entry: Refresh) -> dict[str, Any]:
    """Return a ledger entry as the detail of its action."""
    numbers = {
        "rows": entry.n_rows,
        "rows_inserted": entry.n_inserted,
        "rows_updated": entry.n_updated,
        "rows_deleted": entry.n_deleted,
        "temp_bytes": entry.temp_bytes,
    }
    return {
        "mode": entry.mode,
        "changed": entry.changed,
        "as_of": entry.as_of.isoformat() if entry.as_of else None,
        **{key: value for key, value in numbers.items() if value is not None},
    }
