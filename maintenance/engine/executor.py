"""Execution of a plan: record the intent, run the steps with lock retries, record the outcome."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from maintenance.engine.action_context import ActionContext, BuildWaits, Executor
from maintenance.engine.action_order import is_upkeep, rounds
from maintenance.engine.actions import UNSEEN, Action, ActionKind, Hold
from maintenance.engine.kept_steps import step_as_json
from maintenance.engine.lock_retry import Progress
from maintenance.engine.parallel import Opener, run_parallel
from maintenance.engine.steps import run_steps
from maintenance.engine.time_budget import Budget
from maintenance.errors import (
    BudgetError,
    ContinuedError,
    HeldError,
    LockNotAcquiredError,
    MaintenanceError,
    NotNeededError,
    UnreachableError,
)
from maintenance.server.owner_code import name_owner_code
from maintenance.server.owner_sessions import OwnerSessions
from maintenance.server.session import Connection, report_counters, set_right, to_error
from maintenance.store import Journal

_NO_FAILURE = (NotNeededError, BudgetError, ContinuedError)


class Outcome(StrEnum):
    """The outcome of an action."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Result:
    """An action and its outcome."""

    action: Action
    outcome: Outcome
    attempts: int = 0
    duration_ms: float = 0.0
    error: str | None = None
    cause: MaintenanceError | None = None
    detail: dict[str, Any] = field(default_factory=dict[str, Any])

    def as_json(self) -> dict[str, Any]:
        """The executed action as JSON for the command line."""
        return {
            **self.action.as_json(),
            "outcome": self.outcome.value,
            "duration_ms": round(self.duration_ms, 1),
            "attempts": self.attempts,
            "error": self.error,
            "error_reason": self.cause.reason if self.cause is not None else "",
            "detail": {**self.action.detail, **self.detail},
        }


def held(action: Action, hold: Hold) -> Result:
    """Return the result of an action that is not executed by mode, approval or pause."""
    cause = HeldError(hold.text, reason=hold.by.value)
    marked = replace(action, held=hold)
    return Result(marked, Outcome.SKIPPED, error=hold.text, cause=cause)


def never_paused() -> Hold | None:
    """Return that nothing is paused: for work that no pause concerns, such as the store's."""
    return None


@dataclass(frozen=True, slots=True)
class ExecutorRegistry:
    """The executors of action kinds, and how many actions of a kind run in parallel.

    A kind without an executor runs its steps; a kind without a concurrency runs one action at
    a time. Kinds that share a budget share its time.
    """

    executors: Mapping[ActionKind, Executor] = field(default_factory=dict[ActionKind, Executor])
    widths: Mapping[ActionKind, int] = field(default_factory=dict[ActionKind, int])
    budgets: Mapping[ActionKind, Budget] = field(default_factory=dict[ActionKind, Budget])

    def concurrency(self, action: Action) -> int:
        """Return the number of such actions that may run in parallel."""
        return self.widths.get(action.kind, 1)


def run(
    actions: Sequence[Action],
    registry: ExecutorRegistry,
    journal: Journal,
    *,
    connection: Connection,
    opened: Opener,
    context: Callable[[Connection], ActionContext],
    progress: Progress,
    first_place: int = 0,
    paused: Callable[[], Hold | None] = never_paused,
) -> list[Result]:
    """Execute actions in order, ANALYZE and VACUUM last.

    A failed action stops only the actions that depend on it.

    Args:
        actions: in order; neighbors run in parallel where that is allowed.
        registry: the executors.
        journal: records the intents before, and the outcomes afterwards.
        connection: the session for actions that run one at a time, and the first of parallel ones.
        opened: opens a further session for parallel actions.
        context: makes the context of one action.
        progress: called with each outcome.
        first_place: number of actions that this run has executed before.
        paused: asked before each action, so that a pause given during the run stops the rest.

    Raises:
        UnreachableError: a connection was lost; the outcomes so far are in the journal.
    """
    work, upkeep = rounds(actions)
    ordered = (*work, *upkeep)
    journal.intend([_record(action, place) for place, action in enumerate(ordered, first_place)])
    results: list[Result] = []
    owners, builds = OwnerSessions(), BuildWaits()

    def perform(connection: Connection, action: Action) -> Result:
        action_context = context(connection)
        action_context.budget = registry.budgets.get(action.kind)
        action_context.owners = owners
        action_context.builds = builds
        return _perform(action_context, action, registry.executors.get(action.kind, run_steps))

    try:
        for result in _each(ordered, registry, connection, opened, perform, paused):
            results.append(result)
            progress(_line(result, len(results), len(actions)))
            journal.conclude(_conclusion(result))
            # The catalog does not show the outcome, and later actions may depend on it.
            if result.action.kind in UNSEEN:
                journal.flush()
        # The second observation must see the changes.
        report_counters(connection)
    finally:
        owners.close()
        journal.flush()
    return results


def _each(
    actions: Sequence[Action],
    registry: ExecutorRegistry,
    connection: Connection,
    opened: Opener,
    perform: Callable[[Connection, Action], Result],
    paused: Callable[[], Hold | None],
) -> Iterator[Result]:
    undone: set[str] = set()

    def attempt(connection: Connection, action: Action) -> Result:
        if action.refused is not None:
            return Result(action, Outcome.REFUSED, error=action.refused)
        if (hold := paused()) is not None:
            return held(action, hold)
        if undone.intersection(action.after):
            return Result(action, Outcome.SKIPPED, error="not run: a required action failed")
        return perform(connection, action)

    for (_, width), group in groupby(
        actions, lambda each: (is_upkeep(each), registry.concurrency(each))
    ):
        if width > 1:
            results = run_parallel(list(group), width, connection, opened, attempt)
        else:
            results = ((action, attempt(connection, action)) for action in group)
        for action, result in results:
            if result.outcome is not Outcome.DONE and not _was_needless(result):
                undone.add(action.id)
            yield result


def _was_needless(result: Result) -> bool:
    """Whether the goal of an action was already reached without it."""
    return isinstance(result.cause, NotNeededError)


def _perform(context: ActionContext, action: Action, execute: Executor) -> Result:
    began = time.perf_counter()

    def took_ms() -> float:
        return (time.perf_counter() - began) * 1000

    try:
        if context.budget is not None:
            context.budget.begin()
        detail = _executed(context, action, execute)
    except UnreachableError:
        raise
    except MaintenanceError as failure:
        exc = _naming_owner_code(context, failure)
        outcome = Outcome.SKIPPED if isinstance(exc, _NO_FAILURE) else Outcome.FAILED
        return Result(
            action,
            outcome,
            context.attempts,
            took_ms(),
            error=_text(exc),
            cause=exc,
            detail=_blocked(exc),
        )
    return Result(action, Outcome.DONE, context.attempts, took_ms(), detail=dict(detail))


def _executed(context: ActionContext, action: Action, execute: Executor) -> Mapping[str, Any]:
    """Execute an action; an error that it did not expect is its failure too, and ends no run."""
    try:
        return execute(context, action)
    except psycopg.Error as exc:
        error = to_error(exc, action.object)
        if not isinstance(error, UnreachableError):
            context.owners.drop(context.connection)
            set_right(context.connection, context.target.timeouts)
        raise error from exc


BLOCKED_BY = "blocked_by"
"""In the details of an action that waited for a lock in vain: facts about the session."""


def _blocked(exc: MaintenanceError) -> dict[str, Any]:
    """Return by whom a failed action was blocked; nothing if it was not."""
    return {BLOCKED_BY: exc.holder} if isinstance(exc, LockNotAcquiredError) else {}


def _naming_owner_code(context: ActionContext, failure: MaintenanceError) -> MaintenanceError:
    """Name the owner's code behind a failure, if the executor did not use the lock retry."""
    cause = failure.__cause__
    idle = context.connection.info.transaction_status is TransactionStatus.IDLE
    if not isinstance(cause, psycopg.Error) or not idle:
        return failure
    path = context.policy.database.search_path
    return name_owner_code(context.connection, cause, failure, path)


def _text(exc: MaintenanceError) -> str:
    return exc.with_hint


def _line(result: Result, place: int, total: int) -> str:
    action = result.action
    error = f": {result.error}" if result.error else ""
    return f"[{place}/{total}] {action.kind} {action.object}: {result.outcome}{error}"


def _record(action: Action, place: int) -> dict[str, Any]:
    return {
        "action_id": action.id,
        "place": place,
        "kind": action.kind.value,
        "object": action.object,
        "table_name": action.table,
        "period": action.period,
        "sql": list(action.sql),
        "reason": action.reason,
        "destructive": action.destructive,
        "relation_oid": action.preconditions.get("oid"),
        "goal": action.goal if action.undo else None,
        "undo": [step_as_json(step) for step in action.undo] or None,
    }


def _conclusion(result: Result) -> dict[str, Any]:
    return {
        "action_id": result.action.id,
        "outcome": result.outcome.value,
        "attempts": result.attempts,
        "duration_ms": result.duration_ms,
        "error": result.error,
        "detail": result.detail or None,
    }
