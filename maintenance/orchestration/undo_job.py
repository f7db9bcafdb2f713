"""The job that undoes a run of declared indexes or a conversion, launched by hand with a form."""

import dagster as dg
from pydantic import Field

from maintenance.formatting import visible_lines
from maintenance.orchestration.form_job import form_job
from maintenance.orchestration.maintainer import MAINTAINER
from maintenance.orchestration.naming import name_of
from maintenance.orchestration.pools import pool_of
from maintenance.pipeline.undo import LAST
from maintenance.policy import Policy
from maintenance.redaction import redact_values


class UndoConfig(dg.Config):
    """The run to undo; the launchpad shows the description."""

    run: str = Field(
        description="Id of the run, or its beginning, as `maintenance history` shows it; last: the"
        " newest run that can be undone."
    )


def undo_job(policy: Policy) -> dg.JobDefinition:
    """Build the job `<db>_undo`."""

    @dg.op(name=name_of(policy, "undo_run"), pool=pool_of(policy, "ddl"))
    def undo_run(context: dg.OpExecutionContext, config: UndoConfig) -> None:
        report = MAINTAINER.undo(context, policy, config.run or LAST)
        context.add_output_metadata(redact_values(report.as_json()))
        failed = [f"{r.action.object}: {r.error}" for r in report.results if r.error]
        failed += [f"{each.object}: kept: {each.reason}" for each in report.kept if each.is_refused]
        if not report.ok:
            raise dg.Failure(description=visible_lines("\n".join(failed)), allow_retries=False)

    description = (
        "Undoes what a run of declared indexes and constraints changed: what it made is dropped,"
        " what it dropped is made again, concurrently. A conversion is taken back in every state,"
        " after the swap as long as the later partitions are empty. Set `run`. What was undone is"
        " not carried out again until its declaration changes, or `maintenance apply --again`."
    )
    return form_job(policy, "undo", undo_run, description, alerts=True)
