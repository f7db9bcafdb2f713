"""Findings from Dagster's run history: jobs whose last run failed, and jobs that do not run.

Only the current state counts: a missed evaluation loses nothing, a failure fixed by a retry or
a later run is resolved, and evaluating twice gives the same result.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.orchestration.dagster_internals import WILL_RETRY_TAG
from maintenance.policy.cron import next_tick

LOOKED_AT = 5
"""Number of a job's newest runs that are read; retries may still be queued."""
LATE = timedelta(hours=1)
"""A schedule's tick counts as missed after this."""

_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_FAILED = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}


def failed_jobs(instance: dg.DagsterInstance, jobs: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding for each job whose last run failed and is not retried."""
    for job in jobs:
        newest = _newest_ended(instance, job)
        if newest is not None and newest.dagster_run.status is dg.DagsterRunStatus.FAILURE:
            yield _failed(instance, job, newest)


def overdue_jobs(
    instance: dg.DagsterInstance, schedules: Sequence[dg.ScheduleDefinition], now: datetime
) -> Iterator[Finding]:
    """Yield a finding for each job that has missed two ticks of its schedule.

    A job that never ran is not reported.
    """
    for schedule in schedules:
        asked_of = dg.RunsFilter(job_name=schedule.job_name)
        last = next(iter(instance.get_run_records(asked_of, limit=1)), None)
        if last is not None:
            yield from _overdue(schedule, last.create_timestamp, now)


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


def _overdue(
    schedule: dg.ScheduleDefinition, last_at: datetime, now: datetime
) -> Iterator[Finding]:
    since = last_at.astimezone(UTC)
    cron = str(schedule.cron_schedule)
    second = next_tick(cron, next_tick(cron, since))
    if second + LATE < now:
        name = schedule.job_name
        yield Finding(
            FindingKind.RUN_OVERDUE,
            Severity.ERROR,
            name,
            f"{name}: no run since {since:%Y-%m-%d %H:%M} UTC; its schedule ({cron}) has missed"
            " at least two ticks; check that the schedule is on, the Dagster daemon is running"
            " and queued runs start",
            value=round((now - since).total_seconds()),
            threshold=round((second + LATE - since).total_seconds()),
        )
