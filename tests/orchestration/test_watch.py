"""The sensor of the watch: its interval, one line of numbers, no run and no error."""

import re
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.orchestration.build import build
from maintenance.orchestration.watch_sensor import MOST_SENSORS, SHARED, Turns
from tests.builders import Database
from tests.orchestration.test_alert_sensors import evaluate
from tests.policies import make_policy, write_policy
from tests.receivers import Receiver

pytestmark = pytest.mark.pg("== 18")
URL = "postgresql://nobody:secret@127.0.0.1:9/gone"


def sensors(folder: Path) -> dict[str, int | None]:
    found = build([folder]).sensors or ()
    return {each.name: each.minimum_interval_seconds for each in found}


def test_each_policy_is_watched_as_often_as_it_says(tmp_path: Path) -> None:
    intervals: dict[str, dict[str, Any]] = {
        "usual": {},
        "often": {"watch_interval": "5 seconds"},
        "nightly": {"watch_interval": "never"},
    }
    for name, schedules in intervals.items():
        write_policy(tmp_path, URL, name=name, schedules=schedules)
    found = sensors(tmp_path)
    assert (found["usual_watch"], found["often_watch"]) == (60, 5)
    assert "nightly_watch" not in found


def test_many_databases_share_a_sensor_in_which_each_keeps_its_interval(
    database: Database, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Those that are down are said to be, and the others are observed nevertheless."""
    for n in range(MOST_SENSORS):
        write_policy(tmp_path, URL, name=f"gone_{n}", schedules={"watch_interval": "1 hour"})
    assert SHARED not in sensors(tmp_path)
    often = {"watch_interval": "5 seconds"}
    write_policy(tmp_path, database.url, name="here", schedules=often)
    found = sensors(tmp_path)
    assert found[SHARED] == 5
    assert not [name for name in found if name.endswith("_watch")]
    said = evaluate(tmp_path, SHARED, instance)
    assert len(said.splitlines()) == MOST_SENSORS + 1
    assert re.search(r"^here: \d+ of \d+ connections", said, re.MULTILINE)
    assert "secret" not in said


def test_look_is_due_once_its_interval_is_over_and_who_waited_longest_is_first(
    tmp_path: Path,
) -> None:
    rarely = {"watch_interval": "1 hour"}
    policies = [make_policy(tmp_path, URL, name=f"db{n}", schedules=rarely) for n in range(3)]
    now = time.monotonic()
    turns = Turns(policies, {"db0": now - 3590, "db1": now - 60, "db2": now - 9000})
    assert [policy.database.name for policy in turns.due()] == ["db2", "db0"]


def test_watch_runs_by_default_and_requests_no_run(
    database: Database, tmp_path: Path, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    """A session idle in transaction is raised by the next tick, and then resolved by one."""
    limits = {"idle_in_transaction": "0 seconds"}
    alerts = {"sinks": [receiver.webhook()]}
    write_policy(tmp_path, database.url, workload=limits, alerts=alerts)
    sensor = build([tmp_path]).get_repository_def().get_sensor_def("app_watch")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING

    def tick() -> list[tuple[str, str]]:
        evaluate(tmp_path, "app_watch", instance)
        return [(each["state"], each["kind"]) for each in receiver.events()]

    assert tick() == []
    holder = database.connect(autocommit=False)
    holder.execute("SELECT 1")
    raised = [("raised", "idle_in_transaction")]
    assert tick() == tick() == raised
    holder.rollback()
    assert tick() == tick() == [*raised, ("resolved", "idle_in_transaction")]
    assert re.search(r"\d+ of \d+ connections", evaluate(tmp_path, "app_watch", instance))
    assert instance.get_runs() == []


def test_database_that_is_down_is_one_line_and_no_error_of_the_daemon(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    write_policy(tmp_path, URL, name="gone")
    said = evaluate(tmp_path, "gone_watch", instance)
    assert "127.0.0.1:9/gone" in said
    assert "secret" not in said
