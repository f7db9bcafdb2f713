"""Carry out the steps that undo an action: each only if there is something for it to do."""

from collections.abc import Mapping, Sequence

import psycopg

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Step
from maintenance.engine.build_preflight import await_drop
from maintenance.engine.index_build import build_index, oids_of
from maintenance.engine.steps import run_step
from maintenance.server.session import Connection, owner_search_path, to_error


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
    for step in steps:
        if not _applies(context.connection, step):
            continue
        if step.removes is not None and _is_another(context.connection, step.removes, made):
            kept.append(step.removes)
            continue
        _run(context, step)
        n_run += 1
    return n_run, kept


def _run(context: ActionContext, step: Step) -> None:
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


def _applies(connection: Connection, step: Step) -> bool:
    """Whether the catalog shows that a step has something to do."""
    if step.when is None:
        return True
    try:
        row = connection.execute(f"SELECT ({step.when})".encode()).fetchone()
    except psycopg.Error as exc:
        raise to_error(exc, "looking for what is to be undone") from exc
    return bool(row and row[0])


def _is_another(connection: Connection, name: str, made: Mapping[str, int]) -> bool:
    """Whether a relation is not the one that the action made."""
    oid = made.get(name)
    return oid is not None and oids_of(connection, [name]).get(name) != oid
