"""Facts about jobs are read again after a run of theirs has changed, and after a while anyway."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from maintenance.orchestration.run_history import SETTLES, WHOLE, RunHistory
from maintenance.orchestration.run_monitor import failure_of


@dg.op
def act() -> None:
    """Nothing."""


@dg.job
def first() -> None:
    act()


@dg.job
def second() -> None:
    act()


class Reader:
    """Counts the runs of jobs, and how often it was asked to."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def count(self, instance: dg.DagsterInstance, job: str) -> int:
        self.asked.append(job)
        return instance.get_runs_count(dg.RunsFilter(job_name=job))


@pytest.fixture
def reader() -> Reader:
    return Reader()


def look(
    history: RunHistory, reader: Reader, instance: dg.DagsterInstance, now: datetime
) -> list[int]:
    history.refresh(instance, now)
    reader.asked.clear()
    count = reader.count
    return [history.of(instance, job, count) for job in ("first", "second") for _ in range(2)]


def test_only_a_job_whose_run_changed_is_read_again(
    instance: dg.DagsterInstance, reader: Reader
) -> None:
    history, now = RunHistory(), datetime.now(UTC)
    assert look(history, reader, instance, now) == [0, 0, 0, 0]
    assert reader.asked == ["first", "second"]
    second.execute_in_process(instance=instance)
    assert look(history, reader, instance, now + SETTLES / 2) == [0, 0, 1, 1]
    assert reader.asked == ["second"]


def test_everything_is_read_again_after_a_while_or_if_the_clock_was_set_back(
    instance: dg.DagsterInstance, reader: Reader
) -> None:
    first.execute_in_process(instance=instance)
    second.execute_in_process(instance=instance)
    history, now = RunHistory(), datetime.now(UTC) + timedelta(days=1)
    look(history, reader, instance, now)
    for moment, asked in [
        (now + WHOLE / 2, []),
        (now + WHOLE, ["first", "second"]),
        (now + WHOLE + WHOLE / 2, []),
        (now, ["first", "second"]),
    ]:
        assert look(history, reader, instance, moment) == [1, 1, 1, 1]
        assert reader.asked == asked


def test_run_that_is_tagged_a_moment_after_its_end_is_read_again(
    instance: dg.DagsterInstance,
) -> None:
    """As Dagster does where it retries a run."""
    history, now = RunHistory(), datetime.now(UTC)

    @dg.op
    def fail() -> None:
        raise dg.Failure("no", allow_retries=False)

    @dg.job
    def failing() -> None:
        fail()

    result = failing.execute_in_process(instance=instance, raise_on_error=False)
    history.refresh(instance, now)
    assert history.of(instance, "failing", failure_of) is not None
    instance.add_run_tags(result.run_id, {"dagster/will_retry": "true"})
    history.refresh(instance, now + SETTLES / 2)
    assert history.of(instance, "failing", failure_of) is None
