"""Services of the demo that end with it, and databases that are complete or not there."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from maintenance.demo import processes, storage, systems
from maintenance.demo.jobs import ROLLED_OUT
from maintenance.demo.postgres import PostgresServer
from maintenance.demo.services import Service
from maintenance.errors import MaintenanceError, UsageError
from maintenance.policy import load_policy
from tests.builders import ROOT, Database
from tests.sessions import until

NOW = datetime(2026, 11, 20, 11, 30, tzinfo=UTC)

SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
HAS_A_CHILD = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {SLEEPS!r}, sys.argv[1]]).wait()
"""


Make = Callable[[str], Service]


def _is_up(service: Service) -> Callable[[], bool]:
    return lambda: "up" in service.log.read_text()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes the service that runs a Python program; it is stopped after the test."""
    made: list[Service] = []

    def make(program: str) -> Service:
        command = [sys.executable, "-c", program, f"--mark={tmp_path}"]
        made.append(Service("test", command, tmp_path / "test.log"))
        return made[-1]

    yield make
    for service in made:
        service.stop()


def _running(service: Service) -> list[int]:
    return list(processes.find(service.command[-1]))


def test_service_inherits_what_it_is_given_and_nothing_else(make: Make) -> None:
    service = make("import os; print(sorted(os.environ), 'up', flush=True)")
    service.start({"GIVEN": "1", "LC_ALL": "C"})
    service.wait_until(_is_up(service))
    assert "['GIVEN', 'LC_ALL']" in service.log.read_text()


def test_service_can_be_stopped_gently_by_an_owner_in_the_background(make: Make) -> None:
    numbers = (signal.SIGINT, signal.SIGQUIT)
    handlers = f"[*map(signal.getsignal, {[*map(int, numbers)]})]"
    service = make(f"import signal; print({handlers}, 'up', flush=True)")
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        service.start({})
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    service.wait_until(_is_up(service))
    assert "SIG_IGN" not in service.log.read_text()


def test_service_that_ends_is_an_error_with_the_end_of_its_log(make: Make) -> None:
    service = make("print('\\033[31mno room\\033[0m'); raise SystemExit(1)")
    service.start({})
    with pytest.raises(MaintenanceError, match=r"^test: .*\nno room$") as caught:
        service.wait_until(lambda: False)
    assert caught.value.reason == "ended"


def test_service_that_never_answers_is_an_error(make: Make) -> None:
    service = make(SLEEPS)
    service.start({})
    with pytest.raises(MaintenanceError, match=r"^test: ") as caught:
        service.wait_until(lambda: False, limit_s=0.1)
    assert caught.value.reason == "not_ready"


def test_stop_ends_what_the_service_had_started(make: Make) -> None:
    service = make(HAS_A_CHILD)
    service.start({})
    service.wait_until(_is_up(service))
    assert len(_running(service)) == 3  # the keeper, the program, its child
    service.stop()
    assert _running(service) == []


def test_service_ends_with_a_killed_owner(make: Make) -> None:
    service = make(HAS_A_CHILD)
    with _owner(service) as owner:
        owner.kill()
    until(lambda: not _running(service))


def test_service_left_without_owner_and_keeper_is_ended_at_the_next_start(make: Make) -> None:
    service = make(HAS_A_CHILD)
    with _owner(service) as owner:
        keeper = int(service.log.with_suffix(".session").read_text())
        os.kill(keeper, signal.SIGKILL)
        owner.kill()
    until(lambda: not processes.command_line(keeper))
    assert len(_running(service)) == 2
    service.end_leftover()
    assert _running(service) == []


def test_session_that_is_no_longer_ours_is_left_alone(make: Make) -> None:
    service = make(SLEEPS)
    service.start({})
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    service.log.with_suffix(".session").write_text(str(other.pid))
    service.end_leftover()
    assert other.poll() is None
    other.kill()
    other.wait()


def _owner(service: Service) -> "subprocess.Popen[str]":
    """A process that started the service and only lives."""
    script = f"""
        import time
        from pathlib import Path
        from maintenance.demo.services import Service
        service = Service("test", {list(service.command)!r}, Path({str(service.log)!r}))
        service.start({{}})
        print("started", flush=True)
        time.sleep(600)
        """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    owner.stdout.readline()
    until(_is_up(service))
    return owner


@pytest.mark.pg("== 18")
def test_database_of_dagster_is_kept_once_complete(server: PostgresServer) -> None:
    assert storage.make(server)
    with psycopg.connect(server.url(storage.NAME)) as connection:
        connection.execute("CREATE TABLE half_made ()")
    assert storage.make(server)
    with psycopg.connect(server.url(storage.NAME)) as connection:
        assert connection.execute("SELECT to_regclass('half_made')").fetchone() == (None,)
        connection.execute("CREATE TABLE kept ()")
    storage.mark_complete(server)
    assert not storage.make(server)
    with psycopg.connect(server.url(storage.NAME)) as connection:
        assert connection.execute("SELECT to_regclass('kept')").fetchone() == ("kept",)


@pytest.mark.pg("== 18")
def test_killed_fill_is_done_again_and_doubles_nothing(database: Database) -> None:
    system = _system(database, "learning_platform")
    script = f"""
        from datetime import datetime
        from pathlib import Path
        from maintenance.demo.systems import System
        from maintenance.policy import load_policy
        policy = load_policy(Path({str(system.policy.path)!r}))
        System(policy, {system.url!r}).prepare(datetime.fromisoformat({NOW.isoformat()!r}))
        """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)]) as process:
        copying = "SELECT count(*) FROM pg_stat_progress_copy WHERE tuples_processed > 0"
        until(lambda: database.execute(copying) != [(0,)])
        process.kill()
    assert database.execute("SELECT count(*) FROM analytics_events") == [(0,)]
    assert system.prepare(NOW)
    rows = database.execute("SELECT count(*) FROM analytics_events")
    assert not system.prepare(NOW)
    assert database.execute("SELECT count(*) FROM analytics_events") == rows


@pytest.mark.pg("== 18")
def test_rows_are_counted_and_begin_where_the_policy_does(database: Database) -> None:
    _system(database, "proposals").prepare(NOW)
    first = "SELECT to_char(min(\"timestamp\"), 'YYYY-MM') FROM audit_logs"
    assert database.execute(first) == [("2024-01",)]
    uncounted = """
        SELECT count(*) FROM pg_class
        WHERE relname LIKE 'audit_logs_20%' AND relkind = 'r' AND reltuples <= 0
        """
    assert database.execute(uncounted) == [(0,)]


def test_policies_are_copied_and_a_changed_copy_stays(tmp_path: Path) -> None:
    assert [policy.database.name for policy in systems.load(tmp_path)] == list(systems.NAMES)
    copy = tmp_path / "policies" / "nova.yaml"
    assert "10 MB" in copy.read_text()
    changed = copy.read_text().replace("10 MB", "20 MB")
    copy.write_text(changed)
    (nova,) = systems.load(tmp_path, ["nova"])
    assert nova.path == copy
    assert copy.read_text() == changed


def test_what_the_demo_adapts_is_in_the_policies(tmp_path: Path) -> None:
    for policy in systems.load(tmp_path):
        original = (ROOT / "policies" / policy.path.name).read_text()
        copied = policy.path.read_text()
        assert [line for line in copied.splitlines() if line.startswith("  waves: {")]
        replaced = [line for line in original.splitlines() if line not in copied.splitlines()]
        is_adapted = policy.database.name in ("learning_platform", "nova", "proposals")
        assert bool(replaced) == is_adapted
        assert policy.database.replicas == ()


def test_every_wave_that_the_demo_does_not_build_is_left_for_a_later_day(tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    for policy in systems.load(tmp_path):
        assert policy.indexes is not None
        declared = {each.annotations.wave for each in policy.indexes.declarations}
        built = ROLLED_OUT.get(policy.database.name, [])
        assert policy.indexes.waves.keys() == declared - {*built}
        assert policy.indexes.waves
        assert min(policy.indexes.waves.values()) > today


def test_policy_with_a_literal_url_is_refused(tmp_path: Path) -> None:
    systems.load(tmp_path)
    copy = tmp_path / "policies" / "lms.yaml"
    copy.write_text(copy.read_text().replace("{env: LMS_URL}", "postgresql://real/db"))
    with pytest.raises(UsageError, match=r"database\.url: .*\{env: VARIABLE\}") as caught:
        systems.load(tmp_path)
    assert caught.value.reason == "literal_url"


def _system(database: Database, name: str) -> systems.System:
    policy = load_policy(ROOT / "policies" / f"{name}.yaml")
    return systems.System(policy, database.url)
