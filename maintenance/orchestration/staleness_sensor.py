"""The sensor that requests refreshes of stale views every minute, from the store alone."""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg

from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError
from maintenance.monitoring import freshness
from maintenance.names import QualifiedName
from maintenance.orchestration.alert_sensors import staleness
from maintenance.orchestration.analytics_assets import analytics_key
from maintenance.orchestration.jobs import nightly_name, refresh_name
from maintenance.orchestration.matview_assets import matview_key
from maintenance.orchestration.naming import name_of
from maintenance.pipeline import notify
from maintenance.policy import Policy
from maintenance.server.session import Connection
from maintenance.store import RECENT
from maintenance.store.pauses import read_pause
from maintenance.subjects.matviews.dependencies import declared_reads

EVERY_S = 60
AGAIN_AFTER = timedelta(minutes=15)
"""A refresh that was requested without effect is requested again after this."""

_OPEN = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def staleness_sensor(policy: Policy, jobs: Iterable[dg.ScheduleDefinition]) -> dg.SensorDefinition:
    """Build the sensor `<db>_staleness`.

    A view that is older than its `max_age`, or was never refreshed, is refreshed by its job unless
    that job is already running. Computed rows are checked as often as they can become stale. Stale
    views raise alerts, which are resolved once the views are fresh.
    """
    name = name_of(policy, "staleness")

    @dg.sensor(
        name=name,
        jobs=[schedule.job for schedule in jobs],
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests a refresh of views older than `max_age`, and alerts on them.",
    )
    def tick(
        context: dg.SensorEvaluationContext,
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = datetime.now(UTC)
        try:
            requests = _requests(policy, now)
            look = (now, partial(staleness, policy, now))
            report = notify.run_round(policy, [], from_store=[look], patient=True, ping=False)
            for notice in report.notices:
                context.log.warning(notice)
        except MaintenanceError as exc:
            yield dg.SkipReason(exc.with_hint)
            return
        due = [request for request in requests if not _runs(context, request)]
        yield from due or [dg.SkipReason("nothing is stale, or its refresh is already running")]

    return tick


def _requests(policy: Policy, now: datetime) -> list[dg.RunRequest]:
    if policy.database.mode == "report":
        return []
    with Target(policy).optional_store(RECENT) as store:
        return list(_due_requests(store, policy, now)) if store is not None else []


def _due_requests(store: Connection, policy: Policy, now: datetime) -> Iterator[dg.RunRequest]:
    over: dict[str, list[dg.AssetKey]] = {}
    for age in freshness.views(store, policy, declared_reads(policy)):
        if age.is_over(now) and age.name not in _reported(policy):
            section = next(view for view in policy.matviews if view.name == age.name)
            over.setdefault(refresh_name(policy, section), []).append(matview_key(policy, age.name))
    if _is_due(store, policy, now):
        over.setdefault(nightly_name(policy), []).append(analytics_key(policy))
    if over and read_pause(store, policy.database.name) is not None:
        return
    spell = int(now.timestamp() // AGAIN_AFTER.total_seconds())
    for job, keys in over.items():
        what = ",".join(sorted(key.to_user_string() for key in keys))
        yield dg.RunRequest(run_key=f"{what}@{spell}", job_name=job, asset_selection=keys)


def _reported(policy: Policy) -> Collection[QualifiedName]:
    """Return the views that the policy says are never refreshed."""
    return [view.name for view in policy.matviews if view.mode == "report"]


def _is_due(store: Connection, policy: Policy, now: datetime) -> bool:
    """Whether the last check of computed rows is older than their `max_age`."""
    seen = freshness.analytics(store, policy)
    return any(
        section.table not in seen or now - seen[section.table].seen_at > section.max_age
        for section in policy.stale_analytics
        if section.mode != "report"
    )


def _runs(context: dg.SensorEvaluationContext, request: dg.RunRequest) -> bool:
    wanted = dg.RunsFilter(job_name=request.job_name, statuses=_OPEN)
    return bool(context.instance.get_runs(wanted, limit=1))
