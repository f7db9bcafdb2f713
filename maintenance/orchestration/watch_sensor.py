"""The sensors that watch what may change in a minute; they launch no run.

A tick costs Dagster's daemon about twenty times what a look costs, for its own records. So few
databases have a sensor each, and many share one.
"""

from collections.abc import Sequence

import dagster as dg

from maintenance.errors import MaintenanceError
from maintenance.formatting import readable_span
from maintenance.orchestration.naming import name_of
from maintenance.orchestration.turns import LIMIT, Turns
from maintenance.pipeline.watch import watch
from maintenance.pipeline.watch_report import WatchReport, line_of
from maintenance.policy import Placement, Policy

SHARED = "watch"
"""The name of the sensor that many databases share."""
MOST_SENSORS = 20
"""With more databases, they share one sensor."""
SIDE_BY_SIDE = 32
"""Looks at once in the shared sensor: databases out of reach delay no others."""
EARLY = 0.1
"""A look may come earlier than its interval by this share: ticks do not come to the second."""

_ABOUT = (
    "Looks at connections, open transactions, locks, statements at work, replication and Redis, and"
    " raises and resolves alerts. Takes milliseconds, launches no run."
)
_Told = tuple[str, Sequence[str]]


def watch_sensors(policies: Sequence[Policy], placement: Placement) -> list[dg.SensorDefinition]:
    """Build a sensor `<db>_watch` for each database that is watched, or one for all of many."""
    watched = [policy for policy in policies if policy.schedules.watch_interval]
    if len(watched) > MOST_SENSORS:
        return [_shared_sensor(watched, placement)]
    return [_sensor(policy) for policy in watched]


def _sensor(policy: Policy) -> dg.SensorDefinition:
    @dg.sensor(
        name=name_of(policy, "watch"),
        minimum_interval_seconds=_interval_s(policy),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=_ABOUT,
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        line, warnings = _look(policy)
        return _said(context, line, warnings)

    return tick


def _shared_sensor(policies: Sequence[Policy], placement: Placement) -> dg.SensorDefinition:
    turns = Turns(SIDE_BY_SIDE)

    @dg.sensor(
        name=placement.name(SHARED),
        minimum_interval_seconds=min(map(_interval_s, policies)),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"{_ABOUT} One sensor for all databases, since there are many.",
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        told, late = turns.take((each for each in policies if _is_due(turns, each)), _look)
        lines = [f"{name}: {line}" for name, (line, _) in told.items()]
        if late:
            lines.insert(0, f"{late} databases not observed within {readable_span(LIMIT)}")
        warnings = [f"{name}: {each}" for name, (_, said) in told.items() for each in said]
        return _said(context, "\n".join(lines) or "no look is due", warnings)

    return tick


def _is_due(turns: Turns, policy: Policy) -> bool:
    return turns.waits_for(policy) >= _interval_s(policy) * (1 - EARLY)


def _interval_s(policy: Policy) -> int:
    return round(policy.schedules.watch_interval.total_seconds())


def _look(policy: Policy) -> _Told:
    """Return one line of numbers, and warnings for the log; never an error."""
    try:
        report = watch(policy)
    except MaintenanceError as exc:
        return exc.with_hint, ()
    return line_of(report), _warnings(report)


def _said(context: dg.SensorEvaluationContext, line: str, warnings: Sequence[str]) -> dg.SkipReason:
    for warning in warnings:
        context.log.warning(warning)
    return dg.SkipReason(line)


def _warnings(report: WatchReport) -> list[str]:
    if report.round is None:
        return [f"alerts not processed: {report.not_processed}"] if report.not_processed else []
    failed = [each for each in report.round.delivered if each.error]
    return [
        *(f"delivery to {each.sink} failed: {each.error}" for each in failed),
        *report.round.notices,
    ]
