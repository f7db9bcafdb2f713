"""Carrying out a plan: intent journaled, steps run under the ladder, outcome journaled."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from maintenance.engine.actions import IRREVERSIBLE, Action, ActionKind
from maintenance.engine.ladder import Ladder, Progress
from maintenance.engine.workbench import Executor, Workbench, run_steps
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.policy import Policy
from maintenance.server.session import Connection
from maintenance.store import Journal


class Outcome(StrEnum):
    """What came of an action."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Result:
    """An action and what came of it."""

    action: Action
    outcome: Outcome
    attempts: int = 0
    duration_ms: float = 0.0
    error: str | None = None
    cause: MaintenanceError | None = None
    detail: dict[str, Any] = field(default_factory=dict[str, Any])

    def as_json(self) -> dict[str, Any]:
        """The action as the command line prints it after it ran."""
        return {
            **self.action.as_json(),
            "outcome": self.outcome.value,
            "duration_ms": round(self.duration_ms, 1),
            "attempts": self.attempts,
            "error": self.error,
            "detail": self.detail,
        }


def run(
    connection: Connection,
    actions: Sequence[Action],
    *,
    executors: Mapping[ActionKind, Executor],
    policy: Policy,
    ladder: Ladder,
    journal: Journal,
    progress: Progress,
) -> list[Result]:
    """Carry out actions in order; one that fails stops only those that wait for it.

    A kind without an executor of its own is carried out by running its steps.

    Raises:
        UnreachableError: the connection is gone; what was done so far is in the journal.
    """
    journal.intend([_record(action, place) for place, action in enumerate(actions)])
    results: list[Result] = []

    def perform(action: Action) -> Result:
        # The intent of something that can't be undone stands next to all outcomes before it.
        if action.kind in IRREVERSIBLE:
            journal.flush()
        bench = Workbench(connection, policy, ladder, progress, str(journal.run_id))
        return _perform(bench, action, executors.get(action.kind, run_steps))

    try:
        for result in _each(actions, perform):
            results.append(result)
            progress(_line(result, len(results), len(actions)))
            journal.conclude(_conclusion(result))
    finally:
        journal.flush()
    return results


def _each(actions: Sequence[Action], perform: Callable[[Action], Result]) -> Iterator[Result]:
    undone: set[str] = set()
    for action in actions:
        if action.refused is not None:
            result = Result(action, Outcome.REFUSED, error=action.refused)
        elif undone.intersection(action.after):
            result = Result(action, Outcome.SKIPPED, error="waits for an action that failed")
        else:
            result = perform(action)
        if result.outcome is not Outcome.DONE:
            undone.add(action.id)
        yield result


def _perform(bench: Workbench, action: Action, execute: Executor) -> Result:
    began = time.perf_counter()

    def took_ms() -> float:
        return (time.perf_counter() - began) * 1000

    try:
        detail = execute(bench, action)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        return Result(
            action, Outcome.FAILED, bench.attempts, took_ms(), error=_text(exc), cause=exc
        )
    return Result(action, Outcome.DONE, bench.attempts, took_ms(), detail=dict(detail))


def _text(exc: MaintenanceError) -> str:
    return f"{exc} ({exc.hint})" if exc.hint else str(exc)


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
