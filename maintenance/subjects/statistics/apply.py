"""Execute ANALYZE and VACUUM without disturbing autovacuum, and verify the effect."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, ActionKind, Step
from maintenance.engine.lock_retry import LockRetry
from maintenance.errors import (
    EffectError,
    LockNotAcquiredError,
    MaintenanceError,
    NotNeededError,
    PrivilegeError,
)
from maintenance.names import QualifiedName
from maintenance.server.session import (
    fetch,
    local_owner_path,
    milliseconds,
    owner_search_path,
    run_sql,
)
from maintenance.subjects.statistics.history import settle
from maintenance.subjects.statistics.models import Counted

_SHOWN = ("rows", "pages", "changed", "live", "dead", "frozen_age")


def maintain_table(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Analyze or vacuum one table, verify it, and return its counters before and after.

    The table is identified by its OID, so it may have been renamed since the plan.

    Raises:
        NotNeededError: it no longer exists, or autovacuum is working on it.
        LockNotAcquiredError: another session holds its lock.
        BudgetError: the time budget was used up before it was done.
        PrivilegeError: the server only warned, because the role lacks the right.
        EffectError: the server did nothing although the role has the right.
        MaintenanceError: the server refused for another reason.
    """
    before = _present(context, action)
    name = _name(before)
    leaves = _leaves(context, action) if action.preconditions["parent"] else {}
    _run(context, action, _renamed(action, name))
    after = _proven(context, action, before)
    if leaves:
        oid, database = action.preconditions["oid"], context.policy.database.name
        settle(context.store, database, oid, name, after.analyzed_at, leaves)
    return {
        "before": _figures(before),
        "after": _figures(after),
        "analyzed_at": after.analyzed_at.isoformat() if after.analyzed_at else None,
    }


def _present(context: ActionContext, action: Action) -> Any:
    table = _describe(context, action)
    if table is None:
        raise _gone(action)
    if table.autovacuum_pid is not None:
        raise NotNeededError(
            f"{action.object}: autovacuum (pid {table.autovacuum_pid}) is working on it"
        )
    return table


def _gone(action: Action) -> NotNeededError:
    return NotNeededError(
        f"{action.object}: no longer exists: dropped or replaced since the plan was made"
    )


def _name(table: Any) -> str:
    return str(QualifiedName(table.schema, table.name))


def _renamed(action: Action, name: str) -> Step:
    """Return the action's step with the table's current name, which ends the statement."""
    (step,) = action.steps
    if name == action.object:
        return step
    (statement,) = step.statements
    locks = tuple(lock._replace(object=name) for lock in step.locks)
    return replace(
        step, statements=(f"{statement.removesuffix(action.object)}{name}",), locks=locks
    )


def _describe(context: ActionContext, action: Action) -> Any:
    parameters = {"relation": action.preconditions["oid"]}
    rows = fetch(context.connection, "statistics", "describe_table", parameters, often=True)
    return rows[0] if rows else None


def _leaves(context: ActionContext, action: Action) -> dict[int, Counted]:
    parameters = {"parent": action.preconditions["oid"]}
    rows = fetch(context.connection, "statistics", "list_leaves", parameters)
    return {row.oid: Counted(row.total, max(row.rows, row.live, 0)) for row in rows}


def _run(context: ActionContext, action: Action, step: Step) -> None:
    assert context.budget is not None, "the subject has a time budget"
    locks = context.policy.locks
    # Waiting for this lock blocks no writer, and has to outlast other locks of its mode.
    lock_retry = replace(
        context.lock_retry,
        lock_timeout=locks.patient_lock_timeout,
        give_up_after=min(locks.give_up_after, context.budget.left()),
        statement_timeout=context.budget.left(),
    )
    try:
        taken = _insist(lock_retry, context, action, step)
        context.attempts = max(context.attempts, taken)
    except LockNotAcquiredError as exc:
        if not context.budget.left():
            raise context.budget.exhausted() from exc
        raise
    except MaintenanceError as exc:
        if isinstance(exc.__cause__, psycopg.errors.UndefinedTable):
            raise _moved_away(context, action) from exc
        raise


def _moved_away(context: ActionContext, action: Action) -> MaintenanceError:
    """Return the error for a name that no longer exists: the table was dropped or renamed."""
    table = _describe(context, action)
    if table is None:
        return _gone(action)
    return NotNeededError(
        f"{action.object}: renamed to {_name(table)} meanwhile; retried on the next run"
    )


def _insist(lock_retry: LockRetry, context: ActionContext, action: Action, step: Step) -> int:
    """Run the statement with lock retries; the ANALYZE of one table in a single message.

    VACUUM, and an ANALYZE that includes partitions, make their own transactions.
    """
    path = context.policy.database.search_path
    if action.kind is not ActionKind.ANALYZE_TABLE or action.preconditions["parent"]:
        with owner_search_path(context.connection, path):
            return lock_retry.run(context.connection, step, context.progress)
    message = (
        f"BEGIN; SET LOCAL lock_timeout = {milliseconds(lock_retry.lock_timeout)};"
        f" SET LOCAL statement_timeout = {milliseconds(lock_retry.statement_timeout)};"
        f" {local_owner_path(path)};"
        f" {step.statements[0]}; COMMIT"
    )
    attempt = partial(run_sql, context.connection, message)
    return lock_retry.run_with(context.connection, step, context.progress, attempt)


def _proven(context: ActionContext, action: Action, before: Any) -> Any:
    """Verify the effect in the catalog: without the right the server only warns."""
    after = _describe(context, action)
    if after is None:
        raise _gone(action)
    if not after.counts or _moved(before.analyzed_at, after.analyzed_at):
        return after
    oid = action.preconditions["oid"]
    if fetch(context.connection, "statistics", "list_forbidden", {"relations": [oid]}):
        raise PrivilegeError(
            f"{action.object}: {action.sql[0]} changed nothing: the role lacks the privilege",
            hint="run maintenance check, which shows the GRANT to run",
        )
    raise EffectError(
        f"{action.object}: {action.sql[0]} changed nothing: the server skipped it",
        hint="see the warning in the server's log; retried on the next run",
    )


def _moved(before: Any, after: Any) -> bool:
    return after is not None and (before is None or after > before)


def _figures(table: Any) -> dict[str, Any]:
    return {name: getattr(table, name) for name in _SHOWN}
