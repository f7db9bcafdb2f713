"""Carrying out what adds helper CHECKs: where it gives up, they go."""

from collections.abc import Mapping
from typing import Any

from maintenance.engine.action_context import ActionContext, run_steps
from maintenance.engine.actions import Action
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName
from maintenance.server.session import fetch
from maintenance.subjects.partitions.helper_checks import removal


def run_guarded(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Run an action's steps; where one fails, remove the CHECKs that those before it added."""
    try:
        return run_steps(context, action)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        _remove_checks(context, action, exc)
        raise


def swap_default(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Let a default partition become the partition of its rows, unless it is more than that.

    Raises:
        MaintenanceError: the default partition has triggers or rules of its own.
    """
    own = fetch(context.connection, "partitions", "list_own_properties", _relation(action))
    if own:
        listed = ", ".join(f"{row.kind} {row.name}" for row in own)
        raise MaintenanceError(
            f"{action.table}: its default partition has {listed} of its own, a new one would not",
            hint=f"move them to {action.table}, or drop them",
            reason="default_has_objects",
        )
    return run_guarded(context, action)


def _remove_checks(context: ActionContext, action: Action, cause: MaintenanceError) -> None:
    if len(action.steps) == 1:
        return
    try:
        for row in fetch(context.connection, "partitions", "list_helper_checks", _relation(action)):
            table = QualifiedName(row.schema, row.relation)
            context.run(removal([table], [row.name]))
    except MaintenanceError as exc:
        cause.add_note(f"and a CHECK that refuses rows could not be removed: {exc}")


def _relation(action: Action) -> dict[str, Any]:
    return {"relation": action.preconditions.get("default_oid")}
