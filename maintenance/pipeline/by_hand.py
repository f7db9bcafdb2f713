"""ANALYZE and VACUUM of one table by hand, whether it is due or named by the policy or not."""

from maintenance.engine.actions import HeldBy
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Severity
from maintenance.engine.gate import Origin
from maintenance.engine.lock_retry import Progress, silent
from maintenance.engine.scope import Request
from maintenance.errors import UsageError
from maintenance.names import QualifiedName
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from maintenance.policy import Policy, StatisticsPolicy


def keep_up(
    policy: Policy,
    table: QualifiedName,
    *,
    vacuum: bool,
    progress: Progress = silent,
    origin: Origin = Origin.COMMAND,
) -> Report:
    """Analyze one table now, with its partitions; with `vacuum` also vacuum it.

    Args:
        policy: of the database.
        table: any table of it.
        vacuum: whether it is vacuumed too.
        progress: takes each line of progress.
        origin: who asks for it.

    Raises:
        UsageError, UnreachableError, MaintenanceError, HeldError: as `run.apply`; or the policy
            says that nothing is analyzed.
    """
    if policy.statistics is not None and policy.statistics.mode == "report":
        raise UsageError(
            f"{table}: nothing was done: statistics.mode of policy {policy.database.name} is"
            " report",
            hint="set it to act, or remove it from the policy",
            reason=HeldBy.REPORT_MODE.value,
        )
    return pipeline.apply(
        _with_statistics(policy),
        only=("statistics",),
        request=Request(table, forced=True, vacuum=vacuum),
        progress=progress,
        origin=origin,
    )


def reasons_undone(report: Report) -> list[str]:
    """Return why a request by hand was not carried out, in whole or in part; empty if it was."""
    undone = [each for each in report.results if each.outcome is not Outcome.DONE]
    reasons = [f"{each.action.object}: {each.error}" for each in undone]
    reasons += [f"{each.object}: not done: {each.reason}" for each in report.plan.skipped]
    if reasons or report.results:
        return reasons
    found = [each.message for each in report.findings if each.severity is Severity.ERROR]
    return found or ["nothing was done, and no reason was found"]


def _with_statistics(policy: Policy) -> Policy:
    """Return a policy with the section of statistics, with its defaults if it has none."""
    if policy.statistics is not None:
        return policy
    return policy.model_copy(update={"statistics": StatisticsPolicy()})
