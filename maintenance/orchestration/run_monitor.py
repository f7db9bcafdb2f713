"""Findings from Dagster's run history: jobs whose last run failed, and jobs that do not run.

Only the current state counts: a missed evaluation loses nothing, a failure fixed by a retry or
a later run is resolved, and evaluating twice gives the same result.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.orchestration.dagster_internals import WILL_RETRY_TAG
from maintenance.orchestration.run_history import RunHistory
from maintenance.policy.cron import next_tick

LOOKED_AT = 5
"""Number of a job's newest runs that are read; retries may still be queued."""
LATE = timedelta(hours=1)
"""A schedule's tick counts as missed after this, or after half an interval if that is less."""
SHORTEST_GRACE = timedelta(minutes=10)
INTERRUPTED = timedelta(minutes=10)
"""Without a round for so long, the daemon was down."""
LONGEST_WAIT = timedelta(hours=5)
"""A queued run may wait for one that runs, which is terminated after four hours."""
SHARED_FOR = timedelta(seconds=5)
LOADED_AT = datetime.now(UTC)
"""When this process loaded the definitions."""

_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_WAITING = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
)
_FAILED = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}


def failure_of(instance: dg.DagsterInstance, job: str) -> Finding | None:
    """Return a finding if the last run of a job failed and is not retried."""
    newest = _newest_ended(instance, job)
    if newest is None or newest.dagster_run.status is not dg.DagsterRunStatus.FAILURE:
        return None
    return _failed(instance, job, newest)


@dataclass(frozen=True, slots=True)
class Scheduling:
    """What Dagster's daemons recorded about schedules, read once for all databases.

    Attributes:
        states: of schedules, by name; a schedule that no daemon has seen yet has none.
        first_seen: when the daemon began to evaluate the sensor that asks; None if it did not.
        last_round: when it last evaluated that sensor.
    """

    states: Mapping[str, Any]
    first_seen: datetime | None = None
    last_round: datetime | None = None

    def was_interrupted(self, now: datetime) -> bool:
        """Whether the daemon was down: it may be about to start the runs that are missing."""
        return self.last_round is not None and now - self.last_round > INTERRUPTED


def unkept_storage(
    check: dg.AssetCheckKey, instance: dg.DagsterInstance, job: str
) -> Finding | None:
    """Return a finding if the newest night could not delete old runs from Dagster's storage.

    Args:
        check: of the asset that deletes them.
        instance: of Dagster.
        job: that does it; the object of the finding.
    """
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])
    evaluation = latest[check].evaluation if check in latest else None
    if evaluation is None or evaluation.passed:
        return None
    message = evaluation.description or f"{job}: old runs not deleted"
    return Finding(FindingKind.DAGSTER_UNKEPT, Severity.WARN, job, message)


def read_scheduling(instance: dg.DagsterInstance, sensor: str) -> Scheduling:
    """Read the state of all schedules, and since when a sensor is evaluated."""
    known = instance.all_instigator_state()
    asking = next((each for each in known if each.instigator_name == sensor), None)
    about = asking.instigator_data if asking is not None else None
    return Scheduling(
        {s.instigator_name: s for s in known if s.instigator_type.value == "SCHEDULE"},
        _moment(getattr(about, "last_sensor_start_timestamp", None)),
        _moment(getattr(about, "last_tick_timestamp", None)),
    )


class SharedScheduling:
    """The state of all schedules, read once for all databases that are evaluated together."""

    def __init__(self, sensor: str) -> None:
        self._sensor = sensor
        self._lock = Lock()
        self._read_at = datetime.min.replace(tzinfo=UTC)
        self._known: tuple[dg.DagsterInstance, Scheduling] | None = None

    def read(self, instance: dg.DagsterInstance, now: datetime) -> Scheduling:
        """Return the state as of a few seconds ago."""
        with self._lock:
            is_recent = timedelta() <= now - self._read_at < SHARED_FOR
            if self._known is None or self._known[0] is not instance or not is_recent:
                self._known = instance, read_scheduling(instance, self._sensor)
                self._read_at = now
            return self._known[1]


def overdue_jobs(
    instance: dg.DagsterInstance,
    schedules: Sequence[dg.ScheduleDefinition],
    now: datetime,
    scheduling: Scheduling,
    history: RunHistory,
) -> Iterator[Finding]:
    """Yield a finding for each job that has missed a tick of its schedule.

    Ticks are counted from the newest run, or from when the schedule was turned on or first seen.
    Where none of these is known, nothing was due.
    """
    for schedule in schedules:
        newest = history.of(instance, schedule.job_name, _newest)
        if newest is not None and newest.dagster_run.status in _WAITING:
            yield from _waiting(instance, schedule, now)
            continue
        since = _due_since(schedule, newest, scheduling)
        if since is not None:
            yield from _overdue(instance, schedule, since, newest is not None, now, scheduling)


def _newest(instance: dg.DagsterInstance, job: str) -> dg.RunRecord | None:
    return next(iter(instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)), None)


def _due_since(
    schedule: dg.ScheduleDefinition, newest: dg.RunRecord | None, scheduling: Scheduling
) -> datetime | None:
    """Return the moment after which the next tick of a schedule was due."""
    state = scheduling.states.get(schedule.name)
    data = state.instigator_data if state is not None else None
    known = [
        newest.create_timestamp.astimezone(UTC) if newest is not None else None,
        _moment(getattr(data, "start_timestamp", None)),
    ]
    # Dagster keeps the old cron; since when the new one counts is not known better than this.
    if data is not None and data.cron_schedule != schedule.cron_schedule:
        known.append(LOADED_AT)
    return max((each for each in known if each is not None), default=scheduling.first_seen)


def _moment(timestamp: float | None) -> datetime | None:
    return datetime.fromtimestamp(timestamp, UTC) if timestamp else None


def _newest_ended(instance: dg.DagsterInstance, job: str) -> dg.RunRecord | None:
    ended = dg.RunsFilter(job_name=job, statuses=_ENDED)
    records = instance.get_run_records(ended, limit=LOOKED_AT)
    final = [record for record in records if _is_final(instance, record.dagster_run)]
    return max(final, key=lambda record: record.end_time or 0.0, default=None)


def _is_final(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run is not retried; Dagster sets the tag shortly after the failure."""
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return True
    unsaid = "true" if instance.run_retries_enabled else "false"
    return run.tags.get(WILL_RETRY_TAG, unsaid) != "true"


def _failed(instance: dg.DagsterInstance, job: str, record: dg.RunRecord) -> Finding:
    run_id = record.dagster_run.run_id
    ended_at = datetime.fromtimestamp(record.end_time or 0.0, UTC)
    reasons = list(dict.fromkeys(_reasons(instance, run_id)))
    what = "; ".join(reasons) or "Dagster recorded no reason"
    return Finding(
        FindingKind.RUN_FAILED,
        Severity.ERROR,
        job,
        f"{job}: run {run_id[:8]} failed at {ended_at:%Y-%m-%d %H:%M} UTC and is not retried:"
        f" {what}",
        data={"run_id": run_id},
    )


def _reasons(instance: dg.DagsterInstance, run_id: str) -> Iterator[str]:
    """Yield the errors of failed steps; the text of a foreign error may contain a secret."""
    for record in instance.get_records_for_run(run_id, of_type=_FAILED, limit=20).records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        if not event.is_step_failure:
            yield event.message or event.event_type_value
            continue
        data = event.step_failure_data
        told = data.user_failure_data.description if data.user_failure_data else None
        yield f"step {event.step_key}: {told or _type_of(data.error)}"


def _type_of(error: SerializableErrorInfo | None) -> str:
    """Return the type name of the root cause of an error."""
    while error is not None and error.cause is not None:
        error = error.cause
    return (error.cls_name if error is not None else None) or "failed"


def grace(cron: str, tick: datetime) -> timedelta:
    """Return how long after a tick its run may be missing: half the interval, at most an hour.

    A run that starts within it has caught up by itself, such as after a restart of the daemon.
    """
    interval = next_tick(cron, tick) - tick
    return min(LATE, max(interval / 2, SHORTEST_GRACE))


def _overdue(
    instance: dg.DagsterInstance,
    schedule: dg.ScheduleDefinition,
    since: datetime,
    has_run: bool,
    now: datetime,
    scheduling: Scheduling,
) -> Iterator[Finding]:
    cron = str(schedule.cron_schedule)
    due = next_tick(cron, since)
    latest = due + grace(cron, due)
    state = scheduling.states.get(schedule.name)
    if latest >= now or (state is not None and _was_skipped(instance, state, due)):
        return
    name, is_off = schedule.job_name, state is not None and state.status.value == "STOPPED"
    ran = f"no run since {since:%Y-%m-%d %H:%M} UTC" if has_run else "it has never run"
    remedy = (
        "its schedule is turned off; turn it on in Dagster (Automation), or take its section out"
        " of the policy"
        if is_off
        else "check that the Dagster daemon is running and look at the schedule's last tick"
    )
    yield Finding(
        FindingKind.RUN_OVERDUE,
        Severity.WARN if is_off else Severity.ERROR,
        name,
        f"{name}: {ran}; it was due at {due:%Y-%m-%d %H:%M} UTC ({cron}): {remedy}",
        value=round((now - since).total_seconds()),
        threshold=round((latest - since).total_seconds()),
        data={
            "reason": "schedule_off" if is_off else "missed_tick" if has_run else "never_ran",
            "due_at": due.isoformat(),
        },
    )


def _was_skipped(instance: dg.DagsterInstance, state: Any, due: datetime) -> bool:
    """Whether the schedule itself asked for no run since a tick was due, as it may."""
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    return any(
        tick.status.value == "SKIPPED" and tick.timestamp >= due.timestamp() for tick in ticks
    )


def _waiting(
    instance: dg.DagsterInstance, schedule: dg.ScheduleDefinition, now: datetime
) -> Iterator[Finding]:
    """Report a run that was requested long ago and has not started."""
    name = schedule.job_name
    asked = dg.RunsFilter(job_name=name, statuses=list(_WAITING))
    oldest = next(iter(instance.get_run_records(asked, limit=1, ascending=True)), None)
    since = oldest.create_timestamp.astimezone(UTC) if oldest is not None else now
    if now - since > LONGEST_WAIT:
        yield Finding(
            FindingKind.RUN_OVERDUE,
            Severity.ERROR,
            name,
            f"{name}: a run waits since {since:%Y-%m-%d %H:%M} UTC and does not start; look for"
            " a run that hangs, and at the limits of pools and of the run queue",
            value=round((now - since).total_seconds()),
            threshold=round(LONGEST_WAIT.total_seconds()),
            data={"reason": "not_started", "run_id": oldest.dagster_run.run_id if oldest else None},
        )
