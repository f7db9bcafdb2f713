"""Executes actions that add helper CHECKs, and removes the CHECKs if an action fails."""

from collections.abc import Mapping
from typing import Any

import psycopg

from maintenance.engine.action_context import ActionContext
from maintenance.engine.action_order import GIVES_BACK
from maintenance.engine.actions import Action
from maintenance.engine.steps import run_steps
from maintenance.errors import MaintenanceError, NotNeededError, UnreachableError
from maintenance.names import QualifiedName
from maintenance.server.session import fetch
from maintenance.subjects.partitions.drain.older_transactions import released
from maintenance.subjects.partitions.helper_checks import removal
from maintenance.subjects.partitions.released_names import read_release


def run_guarded(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Run the steps of an action; if one fails, remove the CHECKs that earlier steps added."""
    try:
        return run_steps(context, action)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        _remove_checks(context, action, exc)
        raise


def swap_default(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Turn a default partition into the partition of its rows, if it has no objects of its own.

    Raises:
        MaintenanceError: the default partition has triggers or rules of its own.
        NotNeededError: rows of other periods have come into it since they were counted.
    """
    own = fetch(context.connection, "partitions", "list_own_properties", _relation(action))
    if own:
        listed = ", ".join(f"{row.kind} {row.name}" for row in own)
        raise MaintenanceError(
            f"{action.table}: its default partition has objects a new one would lack: {listed}",
            hint=f"move them to {action.table}, or drop them",
            reason="default_has_objects",
        )
    try:
        _swap(context, action)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        _remove_checks(context, action, exc)
        if isinstance(exc.__cause__, psycopg.errors.CheckViolation):
            raise NotNeededError(
                f"{action.table}: rows of other periods have come into its default partition since"
                " they were counted; the next run counts again",
                reason="rows_changed",
            ) from exc
        raise
    return {}


def _swap(context: ActionContext, action: Action) -> None:
    release, *rest = action.steps
    assert release.owner is not None, "tables of an owner are renamed"
    names = read_release(action.preconditions[GIVES_BACK], release.owner)
    deadline = context.lock_retry.clock() + context.lock_retry.give_up_after.total_seconds()
    with released(context, release, names, deadline):
        for step in rest:
            context.run(step)


def _remove_checks(context: ActionContext, action: Action, cause: MaintenanceError) -> None:
    if len(action.steps) == 1:
        return
    try:
        for row in fetch(context.connection, "partitions", "list_helper_checks", _relation(action)):
            table = QualifiedName(row.schema, row.relation)
            context.run(removal([table], [row.name]))
    except MaintenanceError as exc:
        cause.add_note(f"also, a CHECK that refuses rows could not be removed: {exc}")


def _relation(action: Action) -> dict[str, Any]:
    return {"relation": action.preconditions.get("default_oid")}
