"""Jobs that do not run as their schedules ask are told: one missed tick, one alert, one cause."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from maintenance.engine.findings import Finding, Severity
from maintenance.orchestration.run_history import RunHistory
from maintenance.orchestration.run_monitor import grace, overdue_jobs, read_scheduling

HOUR = timedelta(hours=1)
DAY = 24 * HOUR
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SENSOR = "alert_on_freshness"
JOB = "app_retention"


@dg.op
def act() -> None:
    """Nothing."""


@dg.job(name=JOB)
def work() -> None:
    act()


def a_schedule(cron: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(name=JOB, job=work, cron_schedule=cron)


def a_state(
    name: str,
    kind: InstigatorType,
    status: InstigatorStatus,
    data: ScheduleInstigatorData | SensorInstigatorData,
) -> InstigatorState:
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(), location_name="maintenance")
    repository = RemoteRepositoryOrigin(location, "__repository__")
    return InstigatorState(RemoteInstigatorOrigin(repository, name), kind, status, data)


def on_since(
    instance: dg.DagsterInstance,
    cron: str,
    since: datetime | None,
    status: InstigatorStatus = InstigatorStatus.DECLARED_IN_CODE,
) -> InstigatorState:
    data = ScheduleInstigatorData(cron, since.timestamp() if since else None)
    state = a_state(JOB, InstigatorType.SCHEDULE, status, data)
    return instance.add_instigator_state(state)


def sensor_since(instance: dg.DagsterInstance, since: datetime, last: datetime) -> None:
    data = SensorInstigatorData(
        last_tick_timestamp=last.timestamp(), last_sensor_start_timestamp=since.timestamp()
    )
    running = InstigatorStatus.DECLARED_IN_CODE
    instance.add_instigator_state(a_state(SENSOR, InstigatorType.SENSOR, running, data))


def overdue(instance: dg.DagsterInstance, cron: str, now: datetime) -> Sequence[Finding]:
    known, history = read_scheduling(instance, SENSOR), RunHistory()
    history.refresh(instance, now)
    return list(overdue_jobs(instance, [a_schedule(cron)], now, known, history))


@pytest.mark.parametrize(
    ("cron", "most"),
    [
        ("*/5 * * * *", timedelta(minutes=10)),
        ("0 * * * *", timedelta(minutes=30)),
        ("30 2 * * *", HOUR),
        ("0 3 1 * *", HOUR),
    ],
)
def test_grace_is_half_an_interval_and_at_most_an_hour(cron: str, most: timedelta) -> None:
    assert grace(cron, datetime(2026, 12, 1, 3, tzinfo=UTC)) == most


def test_one_missed_tick_is_told_after_the_grace(instance: dg.DagsterInstance) -> None:
    """A monthly run that did not come is told on the same day."""
    work.execute_in_process(instance=instance)
    ran_at = datetime.now(UTC)
    due = ran_at.replace(day=1, hour=3, minute=0, second=0)
    if due <= ran_at:
        due = (due + 32 * DAY).replace(day=1)
    assert overdue(instance, "0 3 1 * *", due + HOUR / 2) == []
    (finding,) = overdue(instance, "0 3 1 * *", due + 2 * HOUR)
    assert (finding.object, finding.severity) == (JOB, Severity.ERROR)
    assert finding.data["reason"] == "missed_tick"
    assert finding.data["due_at"].startswith(f"{due:%Y-%m-%dT%H:%M}")


@pytest.mark.parametrize("known_by", ["schedule", "sensor"])
def test_job_that_never_ran_although_it_was_due_is_late(
    instance: dg.DagsterInstance, known_by: str
) -> None:
    assert overdue(instance, "0 * * * *", NOW + 99 * DAY) == []
    if known_by == "schedule":
        on_since(instance, "30 2 * * *", NOW)
    else:
        sensor_since(instance, NOW, NOW)
    assert overdue(instance, "30 2 * * *", NOW + 14 * HOUR) == []
    (finding,) = overdue(instance, "30 2 * * *", NOW + 16 * HOUR)
    assert finding.data["reason"] == "never_ran"


def test_schedule_that_was_turned_off_is_said_as_such(instance: dg.DagsterInstance) -> None:
    sensor_since(instance, NOW, NOW)
    on_since(instance, "30 2 * * *", None, InstigatorStatus.STOPPED)
    (finding,) = overdue(instance, "30 2 * * *", NOW + 16 * HOUR)
    assert (finding.data["reason"], finding.severity) == ("schedule_off", Severity.WARN)


def test_tick_before_the_schedule_was_turned_on_again_is_not_missed(
    instance: dg.DagsterInstance,
) -> None:
    work.execute_in_process(instance=instance)
    on_again = datetime.now(UTC).replace(hour=12) + 9 * DAY
    on_since(instance, "30 2 * * *", on_again, InstigatorStatus.RUNNING)
    assert overdue(instance, "30 2 * * *", on_again + 2 * HOUR) == []
    assert len(overdue(instance, "30 2 * * *", on_again + 16 * HOUR)) == 1


def test_tick_that_asked_for_no_run_is_not_missed(instance: dg.DagsterInstance) -> None:
    state = on_since(instance, "30 2 * * *", NOW)
    assert len(overdue(instance, "30 2 * * *", NOW + 16 * HOUR)) == 1
    skipped = TickData(
        state.instigator_origin_id,
        JOB,
        InstigatorType.SCHEDULE,
        TickStatus.SKIPPED,
        (NOW + 15 * HOUR).timestamp(),
        selector_id=state.selector_id,
    )
    instance.create_tick(skipped)
    assert overdue(instance, "30 2 * * *", NOW + 16 * HOUR) == []


def test_cron_that_changed_counts_from_when_it_was_loaded(instance: dg.DagsterInstance) -> None:
    """Ticks of the new cron before anybody wrote it were never missed."""
    on_since(instance, "0 3 1 * *", datetime.now(UTC) - 9 * DAY)
    assert overdue(instance, "30 2 * * *", datetime.now(UTC)) == []


def test_run_that_was_asked_for_and_never_starts_is_told(instance: dg.DagsterInstance) -> None:
    instance.create_run_for_job(work, status=dg.DagsterRunStatus.NOT_STARTED)
    assert overdue(instance, "0 * * * *", datetime.now(UTC) + 4 * HOUR) == []
    (finding,) = overdue(instance, "0 * * * *", datetime.now(UTC) + 6 * HOUR)
    assert finding.data["reason"] == "not_started"


def test_after_the_daemon_was_down_it_may_catch_up_first(instance: dg.DagsterInstance) -> None:
    sensor_since(instance, NOW, NOW)
    known = read_scheduling(instance, SENSOR)
    assert not known.was_interrupted(NOW + timedelta(minutes=2))
    assert known.was_interrupted(NOW + HOUR)
