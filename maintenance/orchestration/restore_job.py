"""The job that restores an archived period, launched by hand with its config."""

from datetime import timedelta

import dagster as dg
from pydantic import Field

from maintenance.names import parse_name
from maintenance.orchestration.form_job import form_job
from maintenance.orchestration.maintainer import MAINTAINER
from maintenance.orchestration.naming import name_of
from maintenance.orchestration.pools import pool_of
from maintenance.policy import Policy


class RestoreConfig(dg.Config):
    """The archived period to restore; the launchpad shows the descriptions."""

    table: str = Field(description="Partitioned table, such as public.events.")
    period: str = Field(description="Archived period, such as 2024-01.")
    into: str = Field(
        default="", description="New table to restore into; empty: attach to the table."
    )
    hold_days: int = Field(
        default=30, description="Days for which retention skips the attached period."
    )


def restore_job(policy: Policy) -> dg.JobDefinition:
    """Build the job `<db>_restore`."""

    @dg.op(name=name_of(policy, "restore_period"), pool=pool_of(policy, "ddl"))
    def restore_period(context: dg.OpExecutionContext, config: RestoreConfig) -> None:
        report = MAINTAINER.restore(
            context,
            policy,
            parse_name(config.table),
            config.period,
            into=parse_name(config.into) if config.into else None,
            hold=timedelta(days=config.hold_days),
        )
        context.add_output_metadata(report.as_json())

    description = (
        "Restores an archived period and verifies every row: attached to its table and excluded"
        " from retention for `hold_days`, or into a new table. Set `table` and `period`."
    )
    return form_job(policy, "restore", restore_period, description, alerts=True)
