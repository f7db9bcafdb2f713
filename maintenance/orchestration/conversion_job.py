"""The job that converts tables, launched by hand with a form; a dry run by default."""

import dagster as dg
from pydantic import Field

from maintenance.engine.scope import Request
from maintenance.names import parse_name
from maintenance.orchestration.conversion_metadata import LiveProgress, show_conversions
from maintenance.orchestration.form_job import form_job
from maintenance.orchestration.maintainer import MAINTAINER, fail_if_undone
from maintenance.orchestration.naming import name_of
from maintenance.orchestration.pools import pool_of
from maintenance.orchestration.run_mode import Mode
from maintenance.policy import Policy
from maintenance.subjects.conversion import CONVERSION


class ConvertConfig(dg.Config):
    """The form of a conversion; the launchpad shows the descriptions."""

    mode: Mode = Field(
        default=Mode.PLAN,
        description="PLAN is a dry run: it shows the steps, or all reasons against it. APPLY"
        " converts.",
    )
    table: str = Field(
        default="", description="Table, such as public.events; empty: all tables to convert."
    )
    again: bool = Field(
        default=False, description="Also convert a table whose conversion was undone."
    )


def convert_job(policy: Policy) -> dg.JobDefinition:
    """Build the job `<db>_convert`."""

    @dg.op(name=name_of(policy, "convert_tables"), pool=pool_of(policy, "ddl"))
    def convert_tables(context: dg.OpExecutionContext, config: ConvertConfig) -> None:
        named = parse_name(config.table) if config.table else None
        request = Request(named, again=config.again)
        if config.mode is Mode.APPLY:
            live = LiveProgress(policy, context)
            report = MAINTAINER.apply(context, policy, CONVERSION.name, request, also=live)
        else:
            report = MAINTAINER.plan(context, policy, CONVERSION.name, request)
        shown = show_conversions(policy, context, report)
        context.add_output_metadata(
            {f"{name}: {key}": value for name, each in shown.items() for key, value in each.items()}
            or {"conversions": "nothing to convert: every table is partitioned"}
        )
        fail_if_undone(report)

    description = (
        "Converts tables with `convert: online` to partitioned ones, without copying their rows,"
        " with `mode: APPLY`; else shows the steps with their locks, or all reasons against it. A"
        f" run that was stopped is continued by the next one; `{name_of(policy, 'undo')}` takes"
        " it back. How far it is stands on the table's asset."
    )
    return form_job(policy, "convert", convert_tables, description, alerts=True)
