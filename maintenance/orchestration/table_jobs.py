"""Jobs launched by hand with a form: ANALYZE and VACUUM of one table, due or not."""

import dagster as dg
from pydantic import Field

from maintenance.formatting import visible_lines
from maintenance.orchestration.form_job import form_job
from maintenance.orchestration.maintainer import MAINTAINER
from maintenance.orchestration.naming import name_of
from maintenance.orchestration.pools import pool_of
from maintenance.orchestration.statistics_assets import statistics_metadata
from maintenance.pipeline.by_hand import reasons_undone
from maintenance.policy import Policy


class TableConfig(dg.Config):
    """The table; the launchpad shows the description."""

    table: str = Field(
        description="Any table of the database, such as public.events, whether the policy names it"
        " or not; a partitioned one with its partitions."
    )


def table_jobs(policy: Policy) -> list[dg.JobDefinition]:
    """Build the jobs `<db>_analyze` and `<db>_vacuum`."""
    refused = " Fails, and says why, if the database is paused or the policy only reports."
    return [
        _job(
            policy,
            "analyze",
            "Analyzes one table now, with its partitions, whether it is due or not. Set `table`."
            + refused,
            vacuum=False,
        ),
        _job(
            policy,
            "vacuum",
            "Vacuums and analyzes one table now, with its partitions, whether it is due or not;"
            " blocks no reader or writer, and leaves the size of its file. Set `table`." + refused,
            vacuum=True,
        ),
    ]


def _job(policy: Policy, name: str, description: str, *, vacuum: bool) -> dg.JobDefinition:
    @dg.op(name=name_of(policy, f"{name}_table"), pool=pool_of(policy, "work"))
    def keep_up(context: dg.OpExecutionContext, config: TableConfig) -> None:
        report = MAINTAINER.keep_up(context, policy, config.table, vacuum=vacuum)
        shown = statistics_metadata(report)
        context.add_output_metadata(shown)
        undone = reasons_undone(report)
        if undone:
            raise dg.Failure(
                description=visible_lines("\n".join(undone)), metadata=shown, allow_retries=False
            )

    return form_job(policy, name, keep_up, description, shown={"table": ""})
