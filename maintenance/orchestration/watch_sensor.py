"""The sensor that watches what may change in a minute; it launches no run."""

import dagster as dg

from maintenance.errors import MaintenanceError
from maintenance.pipeline.watch import watch
from maintenance.pipeline.watch_report import WatchReport, line_of
from maintenance.policy import Policy


def watch_sensor(policy: Policy) -> dg.SensorDefinition:
    """Build the sensor `<db>_watch`; each database has its own, so that none delays another."""

    @dg.sensor(
        name=f"{policy.database.name}_watch",
        minimum_interval_seconds=round(policy.schedules.watch_interval.total_seconds()),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks at connections, open transactions, locks, statements at work,"
        " replication and Redis, and raises and resolves alerts. Takes milliseconds, launches"
        " no run.",
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        try:
            report = watch(policy)
        except MaintenanceError as exc:
            return dg.SkipReason(f"{exc} ({exc.hint})" if exc.hint else str(exc))
        for warning in _warnings(report):
            context.log.warning(warning)
        return dg.SkipReason(line_of(report))

    return tick


def _warnings(report: WatchReport) -> list[str]:
    if report.round is None:
        return [f"alerts not processed: {report.not_told}"] if report.not_told else []
    failed = [each for each in report.round.delivered if each.error]
    return [
        *(f"delivery to {each.sink} failed: {each.error}" for each in failed),
        *report.round.notices,
    ]
