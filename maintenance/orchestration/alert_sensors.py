"""Sensors that make alerts of what runs have found and of how they went, and deliver them.

What was judged and what was told is in the store, and what a sensor sees it sees under the lock
of the alerts: nothing is lost with a cursor, and two daemons tell nothing twice.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import dagster as dg

from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import FindingKind
from maintenance.errors import MaintenanceError
from maintenance.monitoring import freshness
from maintenance.monitoring.outdated import overlooked_analytics
from maintenance.orchestration.run_monitor import failed_jobs, overdue_jobs
from maintenance.pipeline.notify import FindingSets, RoundReport, tell
from maintenance.policy import Policy
from maintenance.subjects.matviews.dependencies import declared_reads

ROUND_S = 30
"""Seconds between two rounds."""
FRESHNESS_S = 60
SIDE_BY_SIDE = 8
"""Databases served at a time: one whose sinks are slow holds up no other."""

_Round = Callable[[Policy, dg.DagsterInstance], RoundReport]


class Watched(NamedTuple):
    """A database, with the jobs and schedules that Dagster runs for it."""

    policy: Policy
    jobs: Sequence[str]
    schedules: Sequence[dg.ScheduleDefinition]


def alert_on_findings(policies: Sequence[Policy]) -> dg.SensorDefinition:
    """Make the sensor that judges the findings of all ended runs, and delivers what waits."""

    def round_(policy: Policy, _instance: dg.DagsterInstance) -> RoundReport:
        return tell(policy, [], patient=True)

    return _sensor(
        "alert_on_findings",
        ROUND_S,
        policies,
        round_,
        "Each round: findings of ended runs become alerts, which are raised, repeated and resolved"
        " at the sinks of their policy. A sink that is down delays, and never loses. The dead"
        " man's switch is called.",
    )


def alert_on_run_failure(watched: Sequence[Watched]) -> dg.SensorDefinition:
    """Make the sensor that alerts of jobs whose newest run failed for good."""
    jobs = {each.policy.database.name: each.jobs for each in watched}

    def round_(policy: Policy, instance: dg.DagsterInstance) -> RoundReport:
        name = policy.database.name

        def observe_overview() -> FindingSet:
            found = list(failed_jobs(instance, jobs[name]))
            return FindingSet(name, found, frozenset({FindingKind.RUN_FAILED}))

        return _glance(policy, [(datetime.now(UTC), observe_overview)])

    return _sensor(
        "alert_on_run_failure",
        ROUND_S,
        [each.policy for each in watched],
        round_,
        "Each round: a job whose newest run failed, and is not retried, is alerted of; resolved"
        " once a run of it succeeds. Runs that belong to no job of a policy are left alone.",
    )


def alert_on_freshness(watched: Sequence[Watched]) -> dg.SensorDefinition:
    """Make the sensor that alerts of views older than `max_age`, and of jobs that don't run.

    How old a view is, the ledger of refreshes knows. Dagster's own state of freshness counts from
    the end of the newest materialization, not from the moment its data is right up to, and only
    where a daemon is turned on for it.
    """
    schedules = {each.policy.database.name: each.schedules for each in watched}

    def round_(policy: Policy, instance: dg.DagsterInstance) -> RoundReport:
        now, name = datetime.now(UTC), policy.database.name

        def overdue() -> FindingSet:
            found = list(overdue_jobs(instance, schedules[name], now))
            return FindingSet(name, found, frozenset({FindingKind.RUN_OVERDUE}))

        looks = (
            overdue,
            partial(staleness, policy, now),
            partial(overlooked_analytics, policy, now),
        )
        return _glance(policy, [(now, look) for look in looks])

    return _sensor(
        "alert_on_freshness",
        FRESHNESS_S,
        [each.policy for each in watched],
        round_,
        "Each minute: views older than their policy allows, and jobs that their schedules asked"
        " for in vain, are alerted of; resolved once they are fresh, or ran.",
    )


def staleness(policy: Policy, now: datetime) -> FindingSet:
    """Look at the ages of a policy's views; where nobody can know them, nothing is over."""
    ages = freshness.views(policy, declared_reads(policy))
    if ages is None:
        return FindingSet(policy.database.name, [], frozenset())
    stale = list(freshness.stale_views(ages, now))
    return FindingSet(policy.database.name, stale, frozenset({FindingKind.MATVIEW_STALE}))


def _glance(policy: Policy, sights: FindingSets) -> RoundReport:
    return tell(policy, sights, patient=True, ping=False)


def _sensor(
    name: str, every_s: int, policies: Sequence[Policy], round_: _Round, description: str
) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        minimum_interval_seconds=every_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def alert(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        serve = partial(_served, round_, context.instance)
        with ThreadPoolExecutor(SIDE_BY_SIDE) as crew:
            answers = list(crew.map(serve, policies))
        for _, warnings in answers:
            for warning in warnings:
                context.log.warning(warning)
        return dg.SkipReason("; ".join(told for told, _ in answers))

    return alert


def _served(
    round_: _Round, instance: dg.DagsterInstance, policy: Policy
) -> tuple[str, Sequence[str]]:
    """One round of one database, in words; what breaks it leaves the others alone."""
    name = policy.database.name
    try:
        report = round_(policy, instance)
    except MaintenanceError as exc:
        return f"{name}: {exc}", [f"alerts of {name}: {exc}"]
    warnings = [f"{each.sink}: {each.error}" for each in report.delivered if each.error]
    if report.heartbeat_error is not None:
        warnings.append(f"dead man's switch of {name}: {report.heartbeat_error}")
    n_told = sum(each.n_told for each in report.delivered)
    return f"{name}: {len(report.alerts)} alerts stand, {n_told} told", warnings
