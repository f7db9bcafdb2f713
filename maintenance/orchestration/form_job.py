"""Jobs that a person launches with a form: one op, without a schedule."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from maintenance.orchestration.jobs import job_tags
from maintenance.orchestration.naming import name_of
from maintenance.policy import Policy

_BY_HAND = {"maintenance/by_hand": "true"}
"""Tag of jobs whose failure concerns only the person who launched them, and is no alert."""


def form_job(
    policy: Policy,
    name: str,
    op: dg.OpDefinition,
    description: str,
    *,
    alerts: bool = False,
    shown: Mapping[str, Any] | None = None,
) -> dg.JobDefinition:
    """Build the job `<db>_<name>` that runs one op in the process of the run.

    Args:
        policy: of the database.
        name: what the job does.
        op: its config is the form.
        description: what the launchpad says of it.
        alerts: whether a failed run is an alert.
        shown: what the launchpad shows at first, to be filled in; None shows an empty form.
    """
    first: dict[str, Any] = {}
    if shown is not None:
        first["config"] = {"ops": {op.name: {"config": dict(shown)}}}

    @dg.job(
        name=name_of(policy, f"{name}"),
        executor_def=dg.in_process_executor,
        tags={**({} if alerts else _BY_HAND), **job_tags(policy)},
        description=description,
        **first,
    )
    def job() -> None:
        op()

    return job


def is_by_hand(tags: Mapping[str, str]) -> bool:
    """Whether the failure of a job with these tags is no alert."""
    return _BY_HAND.items() <= tags.items()
