"""Sensors that turn findings and failed runs into alerts, and deliver them.

Their state is in the store and is read under the alert lock, so that a lost cursor loses no
alert and two daemons send no alert twice. What a process remembers only saves it looking again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import dagster as dg

from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import Finding, FindingKind
from maintenance.errors import MaintenanceError
from maintenance.formatting import readable_span
from maintenance.monitoring import freshness
from maintenance.monitoring.outdated import overlooked_analytics
from maintenance.orchestration.broken_policies import Hosts
from maintenance.orchestration.dagster_storage_asset import storage_check, storage_object
from maintenance.orchestration.pools import Pools
from maintenance.orchestration.run_history import RunHistory
from maintenance.orchestration.run_monitor import (
    SharedScheduling,
    failure_of,
    overdue_jobs,
    unkept_storage,
)
from maintenance.orchestration.turns import LIMIT, Turns
from maintenance.pipeline.notify import FindingSets, RoundReport, run_round
from maintenance.pipeline.reachability import probe
from maintenance.pipeline.relook import Relook
from maintenance.policy import BrokenPolicyError, Placement, Policy
from maintenance.server.session import Connection
from maintenance.subjects.matviews.dependencies import declared_reads

ROUND_S = 30
"""Seconds between two evaluations."""
FRESHNESS = "alert_on_freshness"
FRESHNESS_S = 60
SIDE_BY_SIDE = 8
"""Databases processed at once: one that hangs, or whose sinks are slow, delays no others."""

TELL_AGAIN = timedelta(minutes=10)
"""After so long the same failures are processed again: the store may have forgotten them."""

_Round = Callable[[Policy, dg.DagsterInstance], RoundReport | None]
"""Processes one database; None if there was nothing new to process."""


class Watched(NamedTuple):
    """A database with the jobs and schedules that Dagster runs for it."""

    policy: Policy
    jobs: Sequence[str]
    schedules: Sequence[dg.ScheduleDefinition]


def alert_on_findings(hosts: Hosts, placement: Placement) -> dg.SensorDefinition:
    """Build the sensor that processes the findings of finished runs and delivers alerts.

    It also tells of invalid policy files. Where no policy can tell of one, its ticks fail.
    """
    loaded = {policy.database.name for policy in hosts.loaded}

    def round_(policy: Policy, _: dg.DagsterInstance) -> RoundReport:
        looks = [*_reached(policy), (datetime.now(UTC), hosts.findings(policy))]
        is_whole = policy.database.name in loaded
        return run_round(policy, looks, patient=True, ping=is_whole, proves_room=True)

    return _sensor(
        placement.name("alert_on_findings"),
        ROUND_S,
        hosts.policies,
        round_,
        "Turns the findings of finished runs into alerts: raises, repeats and resolves them at the"
        " sinks of the policy, and calls the dead man's switch. Deliveries to a sink that is down"
        " are retried; none is lost. Tells of invalid policy files too. Gives a free slot of a pool"
        " to the step that waits for it. Runs every 30 seconds.",
        hosts.unheard,
        after=Pools(hosts.policies).tend,
    )


def alert_on_run_failure(
    watched: Sequence[Watched], placement: Placement, history: RunHistory
) -> dg.SensorDefinition:
    """Build the sensor that alerts on jobs whose last run failed and is not retried.

    A database is processed when its failures have changed; most ticks read Dagster's storage once.
    """
    jobs = {each.policy.database.name: each.jobs for each in watched}
    told = _Told()

    def round_(policy: Policy, instance: dg.DagsterInstance) -> RoundReport | None:
        now, name = datetime.now(UTC), policy.database.name
        failures = [history.of(instance, job, failure_of) for job in jobs[name]]
        found = [each for each in failures if each is not None]
        if told.knows(name, found, now):
            return None
        seen = FindingSet(name, found, frozenset({FindingKind.RUN_FAILED}))
        report = run_round(policy, [*_reached(policy), (now, seen)], patient=True, ping=False)
        if report.store_error is None:
            told.note(name, found, now)
        return report

    return _sensor(
        placement.name("alert_on_run_failure"),
        ROUND_S,
        [each.policy for each in watched],
        round_,
        "Alerts when the last run of a policy's job failed and is not retried. Resolved when a run"
        " of the job succeeds. Jobs that belong to no policy are ignored. Runs every 30 seconds.",
        before=history.refresh,
    )


@dataclass
class _Told:
    """The failures of each database that this process has stored, and when."""

    _last: dict[str, tuple[Sequence[Finding], datetime]] = field(
        default_factory=dict[str, tuple[Sequence[Finding], datetime]]
    )

    def knows(self, database: str, found: Sequence[Finding], now: datetime) -> bool:
        """Whether the same was stored, and not long ago."""
        if database not in self._last:
            return False
        last, at = self._last[database]
        return last == found and timedelta() <= now - at < TELL_AGAIN

    def note(self, database: str, found: Sequence[Finding], now: datetime) -> None:
        """Note what was stored."""
        self._last[database] = found, now


def alert_on_freshness(
    watched: Sequence[Watched], placement: Placement, history: RunHistory
) -> dg.SensorDefinition:
    """Build the sensor that alerts on stale views and on jobs that do not run.

    The age of a view comes from the refresh ledger. Dagster's own freshness counts from the end
    of the newest materialization, not from the time its data is complete to, and needs a daemon
    that is turned on for it.
    """
    schedules = {each.policy.database.name: each.schedules for each in watched}
    unkept = {
        each.policy.database.name: partial(unkept_storage, storage_check(each.policy))
        for each in watched
    }
    sensor = placement.name(FRESHNESS)
    known, relook = SharedScheduling(sensor), Relook()

    def round_(policy: Policy, instance: dg.DagsterInstance) -> RoundReport:
        now, name = datetime.now(UTC), policy.database.name

        def overdue() -> FindingSet:
            scheduling = known.read(instance, now)
            if scheduling.was_interrupted(now):
                return FindingSet(name, [], frozenset())
            found = list(overdue_jobs(instance, schedules[name], now, scheduling, history))
            return FindingSet(name, found, frozenset({FindingKind.RUN_OVERDUE}))

        def kept() -> FindingSet:
            found = history.of(instance, storage_object(policy), unkept[name])
            findings = [] if found is None else [found]
            return FindingSet(name, findings, frozenset({FindingKind.DAGSTER_UNKEPT}))

        looks = (partial(staleness, policy, now), partial(overlooked_analytics, policy, now))
        report = run_round(
            policy,
            [*_reached(policy), (now, overdue), (now, kept)],
            from_store=[(now, look) for look in looks],
            patient=True,
            ping=False,
        )
        if report.store_error is not None:
            return report
        again = relook.look(policy, report.alerts, now)
        if again is None:
            return report
        last = run_round(policy, [(now, again)], patient=True, ping=False)
        return replace(last, delivered=(*report.delivered, *last.delivered))

    return _sensor(
        sensor,
        FRESHNESS_S,
        [each.policy for each in watched],
        round_,
        "Alerts on views older than `max_age`, on jobs that missed a tick of their schedule, and on"
        " a Dagster storage that can't be kept small."
        " Resolved when the view is fresh again or the job has run. Looks again, every five"
        " minutes at most, at what open alerts on partitions, indexes and statistics are about, so"
        " that they end with their cause. Runs every minute.",
        before=history.refresh,
    )


def staleness(policy: Policy, now: datetime, store: Connection) -> FindingSet:
    """Return the findings for stale views."""
    ages = freshness.views(store, policy, declared_reads(policy))
    stale = list(freshness.stale_views(ages, now))
    return FindingSet(policy.database.name, stale, frozenset({FindingKind.MATVIEW_STALE}))


def _reached(policy: Policy) -> FindingSets:
    """Return whether the database can be used, where a round does not find out by itself.

    A round opens the store. Where that is another database, jobs fail and views get stale with the
    maintained one, and the round must know the one cause first.
    """
    if policy.store.url is None:
        return []
    return [(datetime.now(UTC), probe(policy))]


def _sensor(
    name: str,
    every_s: int,
    policies: Sequence[Policy],
    round_: _Round,
    description: str,
    unheard: Sequence[BrokenPolicyError] = (),
    before: Callable[[dg.DagsterInstance, datetime], None] | None = None,
    after: Callable[[dg.DagsterInstance], Sequence[str]] | None = None,
) -> dg.SensorDefinition:
    turns = Turns(SIDE_BY_SIDE)

    @dg.sensor(
        name=name,
        minimum_interval_seconds=every_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def alert(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if before is not None:
            before(context.instance, datetime.now(UTC))
        answers, late = turns.take(policies, partial(_evaluate, round_, context.instance))
        lines = [told for told, _ in answers.values() if told]
        if late:
            lines.insert(0, f"{late} databases not processed within {readable_span(LIMIT)}")
        for _, warnings in answers.values():
            for warning in warnings:
                context.log.warning(warning)
        if after is not None:
            lines += after(context.instance)
        if unheard:
            raise dg.Failure("; ".join(f"invalid policy {each}" for each in unheard))
        return dg.SkipReason("; ".join(lines) or "nothing new")

    return alert


def _evaluate(
    round_: _Round, instance: dg.DagsterInstance, policy: Policy
) -> tuple[str, Sequence[str]]:
    """Process one database and return a summary; its errors do not affect other databases.

    The summary is empty if there was nothing new.
    """
    name = policy.database.name
    try:
        report = round_(policy, instance)
    except MaintenanceError as exc:
        return f"{name}: {exc}", [f"alerts of {name} not processed: {exc}"]
    if report is None:
        return "", ()
    warnings = [
        f"delivery to {each.sink} failed: {each.error}" for each in report.delivered if each.error
    ]
    if report.heartbeat_error is not None:
        warnings.append(f"dead man's switch of {name} not called: {report.heartbeat_error}")
    warnings.extend(f"{name}: {notice}" for notice in report.notices)
    if report.store_error is not None:
        n_delivered = sum(each.n_delivered for each in report.delivered)
        told = f"{len(report.alerts)} open alerts, {n_delivered} delivered by the spool"
        return f"{name}: {told}; the store can't be used: {report.store_error}", warnings
    n_delivered = sum(each.n_delivered for each in report.delivered)
    return f"{name}: {len(report.alerts)} open alerts, {n_delivered} delivered", warnings
