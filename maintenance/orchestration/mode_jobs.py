"""The jobs that pause a database and approve its retention, launched by hand with a form."""

from datetime import UTC, datetime
from enum import Enum

import dagster as dg
from pydantic import Field

from maintenance.names import parse_name
from maintenance.orchestration.form_job import form_job
from maintenance.orchestration.maintainer import MAINTAINER
from maintenance.orchestration.naming import name_of
from maintenance.policy import Policy, read_duration


class PauseAction(Enum):
    """The actions, as the launchpad offers them: by name."""

    pause = "pause"
    resume = "resume"


class PauseConfig(dg.Config):
    """The form of a pause; the launchpad shows the descriptions."""

    action: PauseAction = Field(
        default=PauseAction.pause, description="pause: nothing is changed until resume, or its end."
    )
    duration: str = Field(
        default="",
        alias="for",
        description="Length, such as 4 hours; empty: until it is resumed.",
    )
    reason: str = Field(default="", description="Shown wherever the pause is.")


class ApproveConfig(dg.Config):
    """The form of an approval."""

    table: str = Field(
        default="", description="Partitioned table, such as public.events; empty: all tables."
    )


def pause_job(policy: Policy) -> dg.JobDefinition:
    """Build the job `<db>_pause`."""

    @dg.op(name=name_of(policy, "set_pause"))
    def set_pause(context: dg.OpExecutionContext, config: PauseConfig) -> None:
        if config.action is PauseAction.resume:
            report = MAINTAINER.resume(policy)
        else:
            report = MAINTAINER.pause(policy, _end(config.duration), config.reason)
        context.log.info("%s: %s", policy.database.name, report.pause or "not paused")
        context.add_output_metadata(report.as_json())

    description = (
        "Pauses the database, or ends a pause: while it is paused it is observed and alerts are"
        " sent, but no run changes anything. A run at work finishes its current action."
    )
    return form_job(policy, "pause", set_pause, description)


def approve_job(policy: Policy) -> dg.JobDefinition:
    """Build the job `<db>_approve`."""

    @dg.op(name=name_of(policy, "approve_retention"))
    def approve_retention(context: dg.OpExecutionContext, config: ApproveConfig) -> None:
        report = MAINTAINER.approve(policy, parse_name(config.table) if config.table else None)
        approved = [each.as_json() for each in report.approved]
        context.add_output_metadata({"approved": dg.MetadataValue.json(approved)})

    description = (
        "Approves the retention of one table or of all: from then on scheduled runs archive,"
        " detach and drop expired partitions, as the policy says. Shows what it approved."
    )
    return form_job(policy, "approve", approve_retention, description)


def _end(duration: str) -> datetime | None:
    """Return the end of a pause that begins now; None without a duration."""
    if not duration.strip():
        return None
    try:
        return datetime.now(UTC) + read_duration(duration)
    except ValueError as exc:
        raise dg.Failure(description=f"for: {exc}", allow_retries=False) from None
