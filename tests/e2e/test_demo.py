"""The demo refuses invalid starting conditions, and a signal at any time stops all of it.

What it shows, and that it ends and serves again, is in `test_ui.py`, which starts it once.
"""

import errno
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenance.demo.jobs import ROLLED_OUT
from tests.builders import unique
from tests.declared import declared
from tests.e2e.demos import PATIENCE_S, Demo, wait_until

pytestmark = pytest.mark.timeout(2 * PATIENCE_S)

COUNT = "SELECT count(*) FROM public.analytics_events"
ALERTS = {
    "unpuzzle": "index_duplicate",
    "lms": "setting_differs",
    "nova": "not_partitioned",
    "learning_platform": "retention_unapproved",
    "proposals": "retention_unapproved",
}
"""The one alert that stands in each system, as docs/demo.md says."""
EXPIRING = {"learning_platform": "analytics_events", "proposals": "audit_logs"}
HISTORY = """
SELECT (SELECT count(*) FROM maintenance.run WHERE outcome = 'done'),
  (SELECT array_agg(kind) FROM maintenance.alert)
"""
INDEXES = "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'"
DECLARED = {
    system: {each.name: each.wave for each in declared(system) if each.creates} for system in ALERTS
}


@pytest.fixture
def demo(folder: Path) -> Iterator[Demo]:
    """A demo of this test's own, not started."""
    demo = Demo(folder / unique("demo"))
    yield demo
    demo.close()


@pytest.fixture(scope="module")
def killed(folder: Path) -> Iterator[Demo]:
    """A demo whose first start was killed while the main job ran, and that then ran once."""
    demo = Demo(folder / "killed")
    demo.start()
    demo.wait_for(demo.url)
    demo.send(signal.SIGKILL)
    demo.wait()
    assert demo.run("--once") == 0, demo.stderr
    yield demo
    demo.close()


def test_taken_port_is_refused_before_anything_is_started(demo: Demo) -> None:
    with socket.create_server(("127.0.0.1", demo.port)):
        assert demo.run() == 2
    assert str(demo.port) in demo.stderr
    assert str(os.getpid()) in demo.stderr, "who has it"
    assert "--port" in demo.stderr
    assert not (demo.data / "postgres").exists()


def test_impossible_port_is_refused(demo: Demo) -> None:
    demo.port = 70_000
    assert demo.run() == 2
    assert "--port 70000" in demo.stderr
    assert "65535" in demo.stderr


def test_folder_with_other_files_is_left_alone(demo: Demo) -> None:
    demo.data.mkdir()
    (demo.data / "thesis.txt").write_text("mine")
    assert demo.run() == 2
    assert str(demo.data) in demo.stderr
    assert "--data" in demo.stderr
    assert [each.name for each in demo.data.iterdir()] == ["thesis.txt"]


def test_folder_that_cannot_be_made_is_one_clear_line(demo: Demo) -> None:
    demo.data.write_text("a file")
    demo.data /= "below"
    assert demo.run() == 2
    assert os.strerror(errno.ENOTDIR).lower() in demo.stderr
    assert "--data" in demo.stderr
    assert "Traceback" not in demo.stderr


@pytest.mark.slow
def test_killed_demo_starts_again_as_if_nothing_had_been(killed: Demo) -> None:
    assert {line.database for line in killed.table} == {"learning_platform", "proposals"}
    assert killed.n_passed > 0


@pytest.mark.slow
def test_demo_that_ended_runs_once_more_with_the_same_rows(killed: Demo) -> None:
    rows = killed.at_rest("learning_platform", COUNT)
    assert killed.run("--once") == 0, killed.stderr
    assert killed.n_passed > 0
    assert killed.leftovers() == []
    assert killed.at_rest("learning_platform", COUNT) == rows


@pytest.mark.slow
def test_failed_run_shows_its_error_and_exits_1(killed: Demo) -> None:
    month = f"audit_logs_{killed.table[-1].period.replace('-', '_')}"
    killed.at_rest("proposals", f"DROP TABLE {month}", f"CREATE TABLE {month} (n int)")
    assert killed.run("--once") == 1
    assert "proposals_monthly_partitions" in killed.stderr
    assert month in killed.stderr
    assert "Traceback" not in killed.stderr
    assert killed.leftovers() == []
    killed.at_rest("proposals", f"DROP TABLE {month}")


@pytest.mark.slow
def test_all_five_systems_have_something_to_see_and_to_do(demo: Demo) -> None:
    demo.systems = ()
    assert demo.run("--once") == 0, demo.stderr
    assert demo.failed_checks <= set(ALERTS.values())
    for system, kind in ALERTS.items():
        runs, alerts = demo.at_rest(system, HISTORY)[0]
        assert runs >= 2, system
        assert alerts == [kind], system
        built = {name for (name,) in demo.at_rest(system, INDEXES)} & DECLARED[system].keys()
        waves = {DECLARED[system][name] for name in built}
        assert waves == set(ROLLED_OUT.get(system, ())), "the other waves are left to be built"
    for system, table in EXPIRING.items():
        past = f"SELECT count(*) FROM pg_inherits WHERE inhparent = '{table}'::regclass"
        assert demo.at_rest(system, past) == [(24 + 1 + 3 + 2,)], "two expired"
    assert not list(demo.data.glob("policies/archive/*")), "nothing was approved"


def test_unknown_system_is_refused(demo: Demo) -> None:
    demo.systems = ("novae",)
    assert demo.run() == 2
    assert "learning_platform" in demo.stderr
    assert not demo.data.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_starting_stops_everything(demo: Demo, number: signal.Signals) -> None:
    demo.start()
    demo.wait_for("PostgreSQL 1")
    demo.send(number)
    assert demo.wait() == 130
    assert demo.leftovers() == []


def test_second_signal_kills_and_nothing_lingers(demo: Demo) -> None:
    demo.start()
    demo.wait_for("PostgreSQL 1")
    demo.send(signal.SIGINT)
    demo.wait_for("Ctrl-C")
    demo.send(signal.SIGINT)
    assert demo.wait() in (-signal.SIGINT, 130)  # the latter where all had ended by then
    wait_until(lambda: not demo.leftovers())
