"""Carrying out a plan: intent journaled, steps run under the ladder, outcome journaled."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from maintenance.engine.actions import Action
from maintenance.engine.ladder import Ladder, Progress
from maintenance.errors import MaintenanceError, UnreachableError
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
    ladder: Ladder,
    journal: Journal,
    progress: Progress,
) -> list[Result]:
    """Carry out actions in order; one that fails stops only those that wait for it.

    Raises:
        UnreachableError: the connection is gone; what was done so far is in the journal.
    """
    journal.intend([_record(action, place) for place, action in enumerate(actions)])
    results: list[Result] = []
    try:
        for result in _each(connection, actions, ladder, progress):
            results.append(result)
            progress(_line(result, len(results), len(actions)))
            journal.conclude(_conclusion(result))
    finally:
        journal.flush()
    return results


def _each(
    connection: Connection, actions: Sequence[Action], ladder: Ladder, progress: Progress
) -> Iterator[Result]:
    undone: set[str] = set()
    for action in actions:
        if action.refused is not None:
            result = Result(action, Outcome.REFUSED, error=action.refused)
        elif undone.intersection(action.after):
            result = Result(action, Outcome.SKIPPED, error="waits for an action that failed")
        else:
            result = _perform(connection, action, ladder, progress)
        if result.outcome is not Outcome.DONE:
            undone.add(action.id)
        yield result


def _perform(connection: Connection, action: Action, ladder: Ladder, progress: Progress) -> Result:
    began = time.perf_counter()
    attempts = 0
    try:
        for step in action.steps:
            attempts = max(attempts, ladder.run(connection, step, progress))
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        took = (time.perf_counter() - began) * 1000
        return Result(action, Outcome.FAILED, attempts, took, error=_text(exc), cause=exc)
    return Result(action, Outcome.DONE, attempts, (time.perf_counter() - began) * 1000)


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
