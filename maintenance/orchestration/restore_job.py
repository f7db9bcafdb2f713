"""The job that brings an archived period back, launched by hand with its config."""

from datetime import timedelta

import dagster as dg
from pydantic import Field

from maintenance.names import parse_name
from maintenance.orchestration.resources import Maintainer
from maintenance.policy import Policy


class RestoreConfig(dg.Config):
    """What to restore; the launchpad shows the descriptions."""

    table: str = Field(description="The partitioned table, such as public.events.")
    period: str = Field(description="The archived period, such as 2024-01.")
    into: str = Field(
        default="", description="A table of its own to restore into; empty: attached again."
    )
    hold_days: int = Field(
        default=30, description="So many days retention leaves the attached period alone."
    )


def restore_job(policy: Policy) -> dg.JobDefinition:
    """Make the job `<db>_restore`."""

    @dg.op(name=f"{policy.database.name}_restore_period", pool=f"{policy.database.name}_ddl")
    def restore_period(
        context: dg.OpExecutionContext, config: RestoreConfig, maintainer: Maintainer
    ) -> None:
        report = maintainer.restore(
            context,
            policy,
            parse_name(config.table),
            config.period,
            into=parse_name(config.into) if config.into else None,
            hold=timedelta(days=config.hold_days),
        )
        context.add_output_metadata(report.as_json())

    @dg.job(
        name=f"{policy.database.name}_restore",
        executor_def=dg.in_process_executor,
        tags={"dagster/max_runtime": str(4 * 3600)},
        description=(
            "Brings an archived period back, every row verified: attached to its table and held"
            " from retention, or as a table of its own. Launch it with `table` and `period`."
        ),
    )
    def restore() -> None:
        restore_period()

    return restore
