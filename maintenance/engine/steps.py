"""Execution of steps: each by what its statement waits for."""

from collections.abc import Mapping
from typing import Any

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, Step
from maintenance.engine.index_build import drop_index


def run_step(context: ActionContext, step: Step) -> None:
    """Execute one step, with lock retries unless it drops an index concurrently.

    Such a drop waits for every query of the table and blocks none; with a lock timeout it would
    never end where queries overlap.

    Raises:
        MaintenanceError: see `ActionContext.run` and `drop_index`.
    """
    if step.drops_index:
        drop_index(context, step)
    else:
        context.run(step)


def run_steps(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Execute an action that consists only of its steps."""
    for step in action.steps:
        run_step(context, step)
    return {}
