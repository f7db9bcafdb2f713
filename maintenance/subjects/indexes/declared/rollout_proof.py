"""The proof around a build, and the end of a build that made a query too slow.

A query that can't be measured never stops a build.
"""

from collections.abc import Mapping
from typing import Any

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action
from maintenance.engine.undo_steps import run_undo
from maintenance.errors import MaintenanceError, RegressionError, UnreachableError
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.store.undo import note_undo
from maintenance.subjects.indexes.declared import prove
from maintenance.subjects.indexes.declared.prove import Before


def measure_before(context: ActionContext, action: Action) -> Before | None:
    """Measure the queries of an index before its build; None if there are none.

    Raises:
        UnreachableError: the connection was lost.
    """
    try:
        return prove.measure_before(context, action)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        context.progress(f"{action.object}: its queries were not measured: {exc}")
        return None


def conclude(
    context: ActionContext, action: Action, before: Before, made: Mapping[str, int]
) -> dict[str, Any]:
    """Measure the same queries after the build, and return the proof.

    Args:
        context: of the action.
        action: that built the index.
        before: the measurements before the build.
        made: the OIDs of what was built, by name.

    Raises:
        RegressionError: a query became slower than `rollback_if` allows; the build was undone.
        MaintenanceError: it could not be undone.
    """
    try:
        proof = prove.measure_after(context, before)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        context.progress(f"{action.object}: its queries were not measured: {exc}")
        return {"verdict": None, "reason": "not_measured", "text": str(exc)}
    limit = (context.policy.indexes or IndexesPolicy()).rollback_if.slower_than
    worst = proof.slower_than(limit)
    if worst is None:
        return proof.as_json()
    slower = f"query {worst.key} became {worst.slower:.2f} times slower"
    context.progress(f"{action.object}: {slower}: dropping it again")
    note_undo(context.store, context.run_id, action.id, context.run_id, is_complete=False)
    run_undo(context, action.undo, made)
    note_undo(context.store, context.run_id, action.id, context.run_id, is_complete=True)
    raise RegressionError(
        f"{action.object}: built and dropped again: {slower}, and indexes.rollback_if.slower_than"
        f" is {limit:g}",
        hint="change its declaration, or build it all the same: maintenance apply --again",
        reason="query_regressed",
    )
