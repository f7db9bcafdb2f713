"""The sensor of the watch: its interval, one line of numbers, no run and no error."""

import re
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.orchestration.build import build
from maintenance.orchestration.turns import Turns
from maintenance.orchestration.watch_sensor import MOST_SENSORS, SHARED
from maintenance.policy import Policy
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


def test_who_waited_longest_is_first_and_an_error_of_one_is_told_after_the_others(
    tmp_path: Path,
) -> None:
    policies = [make_policy(tmp_path, URL, name=f"db{n}") for n in range(3)]
    now, seen = time.monotonic(), list[str]()
    turns = Turns(1, {"db0": now - 3590, "db1": now - 60, "db2": now - 9000})

    def look(policy: Policy) -> str:
        seen.append(policy.database.name)
        if len(seen) == 1:
            raise ValueError(seen[0])
        return policy.database.name.upper()

    with pytest.raises(ValueError, match="db2"):
        turns.take(policies, look)
    assert seen == ["db2", "db0", "db1"]
    ready, late = turns.take(policies, look)
    assert (dict(ready), late) == ({"db2": "DB2", "db0": "DB0", "db1": "DB1"}, 0)
    assert turns.waits_for(policies[0]) < 60


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
