"""Dagster's calendar of a policy with a fast clock: its ticks, and the runs that they request.

The server keeps its own time; everything that we compare with "now" gets the time of the tick.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest

from maintenance.monitoring.rollout_watch import WatchTime, watch_time
from maintenance.orchestration import maintainer, rollout_watch
from maintenance.orchestration.build import build
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy, load_policy
from maintenance.policy.cron import matches

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


class Tick(NamedTuple):
    """A minute in which a schedule fires."""

    at: datetime
    schedule: str


class Done(NamedTuple):
    """A run that a tick requested."""

    at: datetime
    job: str
    tags: Mapping[str, str]
    result: dg.ExecuteInProcessResult


@dataclass
class Calendar:
    """The definitions of a policy, loaded once as a code location does, and the time."""

    policy: Path
    instance: dg.DagsterInstance
    now: datetime
    done: list[Done] = field(default_factory=list[Done])

    def __post_init__(self) -> None:
        self.definitions = build([self.policy], self.now)
        self.repository = self.definitions.get_repository_def()

    @property
    def schedules(self) -> Mapping[str, dg.ScheduleDefinition]:
        return {each.name: each for each in self.repository.schedule_defs}

    def ticks(self, until: datetime) -> Iterator[Tick]:
        """Yield the ticks of all schedules after now, minute by minute."""
        crons = {name: str(each.cron_schedule) for name, each in self.schedules.items()}
        at = self.now.replace(second=0, microsecond=0) + MINUTE
        while at <= until:
            yield from (Tick(at, name) for name, cron in crons.items() if matches(cron, at))
            at += MINUTE

    def requests(self, tick: Tick) -> list[dg.RunRequest]:
        """Evaluate a schedule as Dagster's daemon does at a tick."""
        with dg.build_schedule_context(
            self.instance, scheduled_execution_time=tick.at, repository_def=self.repository
        ) as context:
            evaluated = self.schedules[tick.schedule].evaluate_tick(context)
        return list(evaluated.run_requests or ())

    def run(self, job: str, at: datetime, request: dg.RunRequest, **tags: str) -> Done:
        """Carry out a requested run at a time; it must succeed."""
        self.now = at
        tags = {**request.tags, **tags}
        with dg.partition_loading_context(effective_dt=at):
            result = self.repository.get_job(job).execute_in_process(
                instance=self.instance,
                run_config=request.run_config,
                tags=tags,
                asset_selection=list(request.asset_selection or ()) or None,
                raise_on_error=False,
            )
        assert result.success, (at, job, failures(result))
        self.done.append(Done(at, job, tags, result))
        return self.done[-1]

    def carry_out(self, until: datetime, matter: Callable[[Tick], bool]) -> None:
        """Evaluate the ticks that matter until a time, in order, and run what they request."""
        for tick in list(self.ticks(until)):
            if matter(tick):
                for request in self.requests(tick):
                    name = tick.schedule
                    self.run(name, tick.at, request, **{"dagster/schedule_name": name})
        self.now = until


def failures(result: dg.ExecuteInProcessResult) -> list[Any]:
    return [event.event_specific_data for event in result.all_events if event.is_step_failure]


def make_calendar(
    policy: Path, instance: dg.DagsterInstance, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> Calendar:
    """Build a calendar; everything that runs from here on takes its time for now.

    Its store is made before, with room for what the server stamps with its own time.
    """
    pipeline.apply(load_policy(policy), only=["statistics"])
    calendar = Calendar(policy, instance, now)
    for module, name in (
        (pipeline, "apply"),
        (pipeline, "plan"),
        (maintainer, "observe_overview"),
    ):
        monkeypatch.setattr(module, name, _at_its_time(getattr(module, name), calendar))

    def reached(policy: Policy, _now: datetime) -> WatchTime | None:
        return watch_time(policy, calendar.now)

    monkeypatch.setattr(rollout_watch, "watch_time", reached)
    return calendar


def _at_its_time(work: Callable[..., Any], calendar: Calendar) -> Callable[..., Any]:
    def worked(*arguments: Any, **named: Any) -> Any:
        return work(*arguments, **{"now": calendar.now, **named})

    return worked


def next_february(now: datetime) -> datetime:
    """The 15th of the next February, at noon: two months from it include changes to summer time."""
    year = now.year + (now >= datetime(now.year, 2, 14, tzinfo=UTC))
    return datetime(year, 2, 15, 12, tzinfo=UTC)
