"""Carrying out ANALYZE and VACUUM: autovacuum is not disturbed, and the catalog has to show it."""

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
    """Analyze or vacuum one table, prove it, and tell its counters before and after.

    The table is the one that was planned for, known by its OID, whatever its name is now.

    Raises:
        NotNeededError: it is gone, or autovacuum is at work on it.
        LockNotAcquiredError: somebody holds it.
        BudgetError: the time of all such actions was over before it was done.
        PrivilegeError: the server only warned, as it does where we lack the right.
        EffectError: the server did nothing although we have the right.
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
            f"{action.object}: autovacuum (pid {table.autovacuum_pid}) is at work on it"
        )
    return table


def _gone(action: Action) -> NotNeededError:
    return NotNeededError(
        f"{action.object}: it no longer exists: it was dropped or replaced since it was planned"
    )


def _name(table: Any) -> str:
    return str(QualifiedName(table.schema, table.name))


def _renamed(action: Action, name: str) -> Step:
    """Return the action's step for the name that the table has now; the statement ends with it."""
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
    assert context.budget is not None, "the subject has one"
    locks = context.policy.locks
    # What it waits for queues no writer, and has to outlast others of its kind.
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
    """Say why the server knows no relation of that name: it went, or was renamed just then."""
    table = _describe(context, action)
    if table is None:
        return _gone(action)
    return NotNeededError(
        f"{action.object}: renamed to {_name(table)} just now; the next run does it"
    )


def _insist(lock_retry: LockRetry, context: ActionContext, action: Action, step: Step) -> int:
    """Run it until its lock is free; the ANALYZE of one table in a single message.

    VACUUM, and the ANALYZE that goes on to partitions, make transactions of their own.
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
    """Read back what the catalog shows: without the right the server only warns."""
    after = _describe(context, action)
    if after is None:
        raise _gone(action)
    if not after.counts or _moved(before.analyzed_at, after.analyzed_at):
        return after
    oid = action.preconditions["oid"]
    if fetch(context.connection, "statistics", "list_forbidden", {"relations": [oid]}):
        raise PrivilegeError(
            f"{action.object}: {action.sql[0]} changed nothing; the role lacks the right",
            hint="maintenance check names the GRANT",
        )
    raise EffectError(
        f"{action.object}: {action.sql[0]} changed nothing: the server skipped it",
        hint="the server's log has its warning; the next run tries again",
    )


def _moved(before: Any, after: Any) -> bool:
    return after is not None and (before is None or after > before)


def _figures(table: Any) -> dict[str, Any]:
    return {name: getattr(table, name) for name in _SHOWN}
