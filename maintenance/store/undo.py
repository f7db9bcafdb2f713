"""What runs left to undo, and what was undone."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from maintenance.server.session import Connection, fetch, run_statement


class UndoableRun(NamedTuple):
    """A run, and how many of its actions can be undone, or were undone."""

    id: str
    command: str
    started_at: datetime
    n_to_undo: int
    n_undone: int


class PastChange(NamedTuple):
    """An action that may have changed something.

    Attributes:
        run_id: of the run that it belongs to: the one in question, or an earlier one whose
            unfinished work that run completed.
        goal: what it brought about, as a hash; empty if it can't be undone.
        outcome: done or failed; None if the run ended before the action.
        detail: of a completed action: what it did.
        undo: the steps that undo it; None if it can't be undone.
        undone_at: when it was undone; None if it was not.
        later_run: a later run that did the same, and was not undone.
    """

    run_id: str
    action_id: str
    goal: str
    kind: str
    object: str
    table: str | None
    outcome: str | None
    detail: Mapping[str, Any] | None
    undo: list[Mapping[str, Any]] | None
    undone_at: datetime | None
    later_run: str | None


def find_runs(connection: Connection, database: str, prefix: str = "") -> list[UndoableRun]:
    """Return the runs whose id begins with a text, newest first."""
    about = {"database": database, "prefix": prefix}
    return [UndoableRun(*row) for row in fetch(connection, "store", "find_runs_to_undo", about)]


def changes_of(connection: Connection, run_id: str) -> list[PastChange]:
    """Return what a run may have changed, the last change first."""
    rows = fetch(connection, "store", "list_actions_to_undo", {"run_id": UUID(run_id)})
    return [PastChange(*row) for row in rows]


def undone_goals(connection: Connection, database: str) -> Mapping[str, str]:
    """Return the runs that undid what is not to be done again by itself, by `Action.goal`."""
    rows = fetch(connection, "store", "list_undone_goals", {"database": database})
    return {row.goal: row.undone_by for row in rows}


def note_undo(
    connection: Connection, run_id: str, action_id: str, undone_by: str, *, is_complete: bool
) -> None:
    """Record that a run begins to undo an action of a run, or has undone it."""
    about = {
        "run_id": UUID(run_id),
        "action_id": action_id,
        "undone_by": UUID(undone_by),
        "is_complete": is_complete,
    }
    run_statement(connection, "store", "note_undo", about)


def note_made(connection: Connection, run_id: str, action_id: str, made: Mapping[str, int]) -> None:
    """Record what an action has made so far: the OIDs of relations, by name."""
    about = {"run_id": UUID(run_id), "action_id": action_id, "made": Jsonb(dict(made))}
    run_statement(connection, "store", "note_made", about)
