"""How assets and jobs work on databases, with progress in the log of the run."""

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import dagster as dg

from maintenance.alerts.models import Alert
from maintenance.alerts.trial_message import SinkReport, check_sinks
from maintenance.engine.actions import Action
from maintenance.engine.executor import Outcome
from maintenance.engine.gate import Origin
from maintenance.engine.lock_retry import Progress, silent
from maintenance.engine.scope import EVERYTHING, Request
from maintenance.engine.target import Target
from maintenance.errors import HeldError, MaintenanceError, UsageError
from maintenance.formatting import visible, visible_lines
from maintenance.monitoring import Overview, freshness, observe_overview
from maintenance.names import QualifiedName, parse_name
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.acknowledge import AlertAction, acknowledge, read_until
from maintenance.pipeline.approve import ApproveReport, approve
from maintenance.pipeline.by_hand import keep_up
from maintenance.pipeline.pause import PauseReport, pause, resume
from maintenance.pipeline.restore import RestoreReport, restore_period
from maintenance.pipeline.run import Report
from maintenance.pipeline.undo import UndoReport, undo
from maintenance.policy import Policy
from maintenance.redaction import redact_error
from maintenance.redis_client.models import CacheFacts
from maintenance.server.session import Connection


class Maintainer:
    """Runs subjects on a database and writes progress to the run's log.

    It has no settings, so it is no Dagster resource: a project that hosts us may name its own
    resources as it likes.
    """

    def apply(
        self,
        context: dg.OpExecutionContext | dg.AssetExecutionContext,
        policy: Policy,
        subject: str,
        request: Request = EVERYTHING,
        *,
        first: Sequence[str] = (),
        also: Progress = silent,
    ) -> Report:
        """Apply one subject of a policy.

        Args:
            context: of the asset.
            policy: of the database.
            subject: its name.
            request: work beyond the policy.
            first: subjects that act before it, in the same run.
            also: takes each line of progress too.

        Raises:
            dagster.Failure: the server can't be reached, or an error that a retry does not fix.
        """
        with _as_failure():
            return pipeline.apply(
                policy,
                only=[*first, subject],
                request=request,
                progress=_both(_log_of(context), also),
                origin=origin_of(context.run.tags),
            )

    def plan(
        self,
        context: dg.OpExecutionContext | dg.AssetExecutionContext,
        policy: Policy,
        subject: str,
        request: Request = EVERYTHING,
    ) -> Report:
        """Plan one subject of a policy; change nothing.

        Raises:
            dagster.Failure: as `apply`.
        """
        context.log.info("planning %s of %s (dry run)", subject, policy.database.name)
        with _as_failure():
            origin = origin_of(context.run.tags)
            return pipeline.plan(policy, only=[subject], request=request, origin=origin)

    def sizes(self, policy: Policy, names: Collection[QualifiedName]) -> dict[QualifiedName, int]:
        """Return the sizes of relations in bytes, with their indexes, where they can be read.

        Raises:
            dagster.Failure: the server can't be reached.
        """
        with _as_failure():
            return freshness.sizes(policy, names)

    def view_rows(self, policy: Policy) -> dict[QualifiedName, int]:
        """Return the row count of each view after its newest refresh, where known.

        Raises:
            dagster.Failure: the store's variable is not set.
        """
        with _as_failure():
            return freshness.view_rows(policy)

    def cache_facts(self, policy: Policy) -> CacheFacts | None:
        """Return the newest cache reading; None if there is none.

        Raises:
            dagster.Failure: the store's variable is not set.
        """
        with _as_failure():
            return freshness.cache_facts(policy)

    def overview(self, policy: Policy) -> Overview:
        """Return the health overview of a database; what can't be read is reported in it.

        Raises:
            dagster.Failure: a variable is not set.
        """
        with _as_failure():
            return observe_overview(policy)

    @contextmanager
    def history(self, policy: Policy) -> Generator[Connection]:
        """Open the store to read the history of earlier runs.

        Raises:
            dagster.Failure: as `apply`.
        """
        with _as_failure(), Target(policy).store() as store:
            yield store

    def approve(self, policy: Policy, table: QualifiedName | None) -> ApproveReport:
        """Approve the retention of a table, or of all tables.

        Raises:
            dagster.Failure: the table has no such retention, or the store can't be written.
        """
        with _as_failure():
            return approve(policy, table, how="dagster")

    def pause(self, policy: Policy, until: datetime | None, reason: str) -> PauseReport:
        """Pause a database until a time, or without an end.

        Raises:
            dagster.Failure: the time is in the past, or the store can't be written.
        """
        with _as_failure():
            return pause(policy, until, reason)

    def resume(self, policy: Policy) -> PauseReport:
        """End the pause of a database.

        Raises:
            dagster.Failure: the store can't be written.
        """
        with _as_failure():
            return resume(policy)

    def restore(
        self,
        context: dg.OpExecutionContext,
        policy: Policy,
        table: QualifiedName,
        period: str,
        *,
        into: QualifiedName | None,
        hold: timedelta,
    ) -> RestoreReport:
        """Restore an archived period.

        Raises:
            dagster.Failure: the archive does not exist or can't be restored.
        """
        with _as_failure():
            return restore_period(
                policy, table, period, into=into, hold=hold, progress=_log_of(context)
            )

    def keep_up(
        self, context: dg.OpExecutionContext, policy: Policy, table: str, *, vacuum: bool
    ) -> Report:
        """Analyze one table, with `vacuum` also vacuum it, whether it is due or not.

        Raises:
            dagster.Failure: the name is none, the policy or a pause says that nothing is changed,
                or the server can't be reached.
        """
        with _as_failure():
            return keep_up(
                policy,
                _table_of(table),
                vacuum=vacuum,
                progress=_log_of(context),
                origin=origin_of(context.run.tags),
            )

    def undo(self, context: dg.OpExecutionContext, policy: Policy, run: str) -> UndoReport:
        """Undo what a run changed.

        Raises:
            dagster.Failure: there is no such run, the database is paused, or can't be reached.
        """
        with _as_failure():
            return undo(policy, run, progress=_log_of(context))

    def check_sinks(self, policy: Policy, only: str | None) -> SinkReport:
        """Send a test message through one sink of a policy, or through all of them.

        Raises:
            dagster.Failure: no sink has that name.
        """
        with _as_failure():
            return check_sinks(Target(policy), only)

    def acknowledge(
        self, policy: Policy, kind: str, object_: str, action: AlertAction, until: str
    ) -> Alert:
        """Acknowledge, mute or clear an open alert, until a time or for a duration.

        Raises:
            dagster.Failure: no such alert is open, or the time can't be read.
        """
        with _as_failure():
            end = None if action is AlertAction.CLEAR else read_until(until)
            alerts, _ = acknowledge(policy, kind, object_, action, end)
        return next(each for each in alerts if each.identity[1:] == (kind, object_))


MAINTAINER = Maintainer()

_AUTOMATIC = frozenset(
    {
        "dagster/schedule_name",
        "dagster/sensor_name",
        "dagster/auto_materialize",
        "dagster/from_automation_condition",
    }
)
"""Tags of runs that were launched by a schedule or a sensor."""


def origin_of(tags: Mapping[str, str]) -> Origin:
    """Return who started a run, by its tags."""
    return Origin.LAUNCHED if _AUTOMATIC.isdisjoint(tags) else Origin.SCHEDULED


def _log_of(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> Progress:
    return lambda line: context.log.info("%s", visible(line))


def _table_of(text: str) -> QualifiedName:
    try:
        return parse_name(text)
    except ValueError as exc:
        raise UsageError(f"table: {exc}") from None


def _both(first: Progress, second: Progress) -> Progress:
    def tell(line: str) -> None:
        first(line)
        second(line)

    return tell


@contextmanager
def _as_failure() -> Generator[None]:
    try:
        yield
    except MaintenanceError as exc:
        # Dagster's event log keeps the whole chain of errors, and a driver's text may have a URL.
        raise dg.Failure(
            description=redact_error(f"{exc}\n{exc.hint}" if exc.hint else str(exc)),
            allow_retries=exc.retryable,
        ) from None


def is_held(report: Report) -> bool:
    """Whether an action was not executed by mode, approval or pause."""
    return any(isinstance(result.cause, HeldError) for result in report.results)


def _name(action: Action) -> str:
    """Return the object of an action; of one on a period, the table with the period."""
    is_of_period = action.table is not None and action.period is not None
    return f"{action.table} {action.period}" if is_of_period else action.object


def fail_if_undone(report: Report) -> None:
    """Fail the run if an action failed or was refused.

    Raises:
        dagster.Failure: names every such action, with the reason.
    """
    undone = [
        f"{result.action.kind} {_name(result.action)} {result.outcome}: {result.error}"
        for result in report.results
        if result.outcome in (Outcome.FAILED, Outcome.REFUSED)
    ]
    if undone:
        raise dg.Failure(description=visible_lines("\n".join(undone)), allow_retries=False)
    if report.snapshot is None:
        raise dg.Failure(
            description="\n".join(finding.message for finding in report.findings),
            allow_retries=False,
        )
