"""Carry out the steps that undo an action: each only if there is something for it to do."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Step
from maintenance.engine.build_preflight import await_drop, refuse_copies
from maintenance.engine.index_build import build_index, oids_of
from maintenance.engine.steps import run_step
from maintenance.errors import LockNotAcquiredError, MaintenanceError, UnreachableError
from maintenance.names import is_helper
from maintenance.server.session import (
    Connection,
    owner_search_path,
    to_error,
)


def run_undo(
    context: ActionContext, steps: Sequence[Step], made: Mapping[str, int]
) -> tuple[int, list[str]]:
    """Undo an action.

    Args:
        context: of the action that undoes.
        steps: that undo, in their order.
        made: the OIDs of what the action made, by name, as far as they were noted.

    Returns:
        The number of steps that were carried out, and the names of what was kept, because others
        have made it since.

    Raises:
        LockNotAcquiredError: something was in use until the wait ended.
        MaintenanceError: the server refused.
    """
    n_run = 0
    kept: list[str] = []
    built: list[Step] = []
    for step in steps:
        if not _applies(context.connection, step):
            continue
        if step.removes is not None and _is_another(context.connection, step.removes, made):
            kept.append(step.removes)
            continue
        try:
            _run(context, step)
        except (UnreachableError, LockNotAcquiredError):
            raise
        except MaintenanceError as exc:
            _drop_helpers(context, built, exc)
            raise
        n_run += 1
        if step.builds_index:
            built.append(step)
    return n_run, kept


def _drop_helpers(context: ActionContext, built: Sequence[Step], cause: MaintenanceError) -> None:
    """Drop indexes under reserved names, which serve only a later step that was refused."""
    for step in built:
        if step.makes is None or not is_helper(step.makes):
            continue
        statement = f"DROP INDEX CONCURRENTLY IF EXISTS {step.makes}"
        try:
            run_step(context, Step((statement,), locks=step.locks, concurrent=True))
        except MaintenanceError as exc:
            cause.add_note(f"{step.makes} was not dropped: {exc}")


def _run(context: ActionContext, step: Step) -> None:
    if step.copies:
        refuse_copies(context, step.copies)
    if step.builds_index:
        build_index(context, step, is_urgent=True)
    elif step.drops_index:
        await_drop(context, str(step.removes), step.locks[0].object)
        run_step(context, step)
    elif not step.concurrent:
        context.run(step)
    else:  # ANALYZE evaluates the owner's expressions
        with owner_search_path(context.connection, context.policy.database.search_path):
            context.run(step)


def why_kept(connection: Connection, steps: Sequence[Step]) -> str | None:
    """Return why nothing of an action is undone, as its steps tell; None if it can be.

    Raises:
        MaintenanceError: the catalog could not be read.
    """
    for condition in dict.fromkeys(step.kept_if for step in steps if step.kept_if is not None):
        reason = _asked(connection, condition)
        if reason is not None:
            return str(reason)
    return None


def _applies(connection: Connection, step: Step) -> bool:
    """Whether the catalog shows that a step has something to do."""
    return step.when is None or bool(_asked(connection, step.when))


def _asked(connection: Connection, expression: str) -> Any:
    try:
        row = connection.execute(f"SELECT ({expression})".encode()).fetchone()
    except psycopg.Error as exc:
        raise to_error(exc, "looking for what is to be undone") from exc
    return row[0] if row else None


def _is_another(connection: Connection, name: str, made: Mapping[str, int]) -> bool:
    """Whether a relation is not the one that the action made."""
    oid = made.get(name)
    return oid is not None and oids_of(connection, [name]).get(name) != oid
