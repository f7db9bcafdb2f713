"""Alerts while the database or its store can't be used: told once each, from the spool."""

import itertools
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from maintenance.alerts.models import Alert, Event, FindingSet, Identity
from maintenance.alerts.state import due_events, update_alerts
from maintenance.alerts.store import lock_alerts
from maintenance.cli.commands import cli
from maintenance.demo.account import server_account
from maintenance.demo.postgres import PostgresServer, embedded_binaries
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.pipeline import notify
from maintenance.pipeline.alert_round import spool_of
from maintenance.pipeline.reachability import reachability
from maintenance.policy import Policy, load_policy
from tests.builders import ROOT, Role, make_role, server_folder
from tests.disks import small_disk
from tests.policies import make_policy, write_policy
from tests.receivers import Receiver, http_receiver
from tests.replicas import make_replica

KINDS = frozenset(FindingKind) - {FindingKind.DATABASE_UNREACHABLE}
FEW = {"max_connections": "12", "superuser_reserved_connections": "1", "wal_level": "replica"}
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DEAD = "postgresql://nobody@127.0.0.1:9/app"
MAINTENANCE = Path(sys.executable).with_name("maintenance")
OURS = re.compile(r"maintenance/(alerts/|pipeline/(alert_round|notify))")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with server_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def own_server(home: Path) -> Iterator[PostgresServer]:
    """A server that tests may stop, and that has few connections."""
    server = PostgresServer(embedded_binaries(18), home / "own", fsync=False, settings=FEW)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def own(own_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, running, with no store and no role's limits of other tests."""
    own_server.start()
    with psycopg.connect(own_server.url(), autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS maintenance CASCADE")
    yield own_server
    own_server.start()


def a_finding(name: str, kind: FindingKind = FindingKind.PARTITION_GAP) -> Finding:
    return Finding(kind, Severity.WARN, name, f"{name}: is unwell", 1, 0)


def tell(policy: Policy, *findings: Finding, minutes: float = 0) -> notify.RoundReport:
    moment = NOW + timedelta(minutes=minutes)
    finding_set = FindingSet(policy.database.name, list(findings), KINDS)
    return notify.run_round(policy, [(moment, finding_set)], now=moment)


def tick(policy: Policy, minutes: float) -> notify.RoundReport:
    return notify.run_round(policy, [], now=NOW + timedelta(minutes=minutes))


def told(receiver: Receiver) -> list[tuple[str, str, str]]:
    return [(e["state"], e["kind"], e["object"]) for e in receiver.events()]


def outages(receiver: Receiver) -> list[tuple[str, str]]:
    """The state and the reason of each message about an outage."""
    found = [e for e in receiver.events() if e["kind"] == "database_unreachable"]
    return [(e["state"], e["value"]) for e in found]


def a_policy(folder: Path, url: str, receiver: Receiver, **others: Any) -> Policy:
    alerts = {"sinks": [receiver.webhook()], **others.pop("alerts", {})}
    return make_policy(folder, url, alerts=alerts, **others)


def with_password(url: str, password: str) -> str:
    return re.sub(r":[^:@/]+@", f":{password}@", url)


@contextmanager
def all_connections(server: PostgresServer) -> Generator[None]:
    taken: list[psycopg.Connection[Any]] = []
    try:
        with suppress(psycopg.OperationalError):
            while len(taken) < 100:
                taken.append(psycopg.connect(server.url()))
        yield
    finally:
        for each in taken:
            each.close()


@contextmanager
def stopped(server: PostgresServer) -> Generator[None]:
    server.stop(immediate=True)
    yield
    server.start()


@pytest.mark.parametrize("outage", ["refused", "too_many_connections"])
def test_outage_is_raised_once_repeated_in_time_and_resolved_once(
    own: PostgresServer, tmp_path: Path, receiver: Receiver, outage: str
) -> None:
    policy = a_policy(tmp_path, own.url(), receiver)
    tell(policy, a_finding("a"))
    with stopped(own) if outage == "refused" else all_connections(own):
        reports = [tick(policy, minutes) for minutes in (1, 2, 3, 24 * 60 + 1, 24 * 60 + 2)]
    assert all(report.store_error for report in reports)
    tick(policy, 24 * 60 + 3)
    tick(policy, 24 * 60 + 4)
    assert outages(receiver) == [(s, outage) for s in ("raised", "repeated", "resolved")]
    states = Counter(told(receiver))
    assert states["raised", "partition_gap", "a"] == states["repeated", "partition_gap", "a"] == 1
    is_full = outage == "too_many_connections"
    assert states["raised", "connections_saturated", "app"] == int(is_full)


def test_wrong_password_is_an_outage(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    tell(a_policy(tmp_path, own.url(), receiver))
    wrong = a_policy(tmp_path, with_password(own.url(), "wrong"), receiver)
    for minutes in (1, 2):
        tick(wrong, minutes)
    for minutes in (3, 4):
        tick(a_policy(tmp_path, own.url(), receiver), minutes)
    assert outages(receiver) == [("raised", "authentication"), ("resolved", "authentication")]


def test_store_that_can_be_read_and_not_written_is_an_outage(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    """The store's owner lost the right to write its own tables."""
    role = make_role(own, "reader")
    policy = a_policy(tmp_path, url_of(own, role), receiver)
    with psycopg.connect(own.url(), autocommit=True) as connection:
        connection.execute(f"GRANT CREATE ON DATABASE postgres TO {role.name}".encode())
        tell(policy)
        tables = "ALL TABLES IN SCHEMA maintenance"
        connection.execute(f"REVOKE INSERT, UPDATE ON {tables} FROM {role.name}".encode())
        tell(policy, a_finding("a"), minutes=1)
        assert tick(policy, 2).store_error is not None
        connection.execute(f"GRANT INSERT, UPDATE ON {tables} TO {role.name}".encode())
    for minutes in (3, 4):
        assert tick(policy, minutes).store_error is None
    states = [state for state, _ in outages(receiver)]
    assert states == ["raised", "resolved"]
    assert Counter(told(receiver))["raised", "partition_gap", "a"] == 1


def url_of(server: PostgresServer, role: Role) -> str:
    return f"postgresql://{role.name}:{role.password}@127.0.0.1:{server.port}/postgres"


def test_full_disk_is_an_outage_until_there_is_room_again(
    own: PostgresServer, home: Path, tmp_path: Path, receiver: Receiver
) -> None:
    """The store is in a tablespace on a disk that fills up."""
    account = server_account()
    with small_disk(home / "disk", 40) as disk:
        if account:
            account.own(disk)
        with psycopg.connect(own.url(), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'".encode())
            connection.execute("CREATE DATABASE filled TABLESPACE small")
        policy = a_policy(tmp_path, own.url("filled"), receiver)
        tell(policy)
        free = shutil.disk_usage(disk).free
        (disk / "filler").write_bytes(b"x" * (free - free % 4096))
        idle = notify.run_round(policy, [], now=NOW + timedelta(minutes=1), proves_room=True)
        assert "53100" in str(idle.store_error), "although there is nothing to write"
        many = [a_finding(f"public.table_{n}" + "x" * 900) for n in range(300)]
        full = tell(policy, *many, minutes=2)
        assert "53100" in str(full.store_error)
        (disk / "filler").unlink()
        for minutes in (3, 4):
            assert tick(policy, minutes).store_error is None
        assert outages(receiver) == [("raised", "disk_full"), ("resolved", "disk_full")]
        raised = Counter(told(receiver))
        assert {raised["raised", "partition_gap", each.object] for each in many} == {1}
        with psycopg.connect(own.url(), autocommit=True) as connection:
            connection.execute("DROP DATABASE filled WITH (FORCE)")
            connection.execute("DROP TABLESPACE small")


def test_standby_is_an_outage_until_it_is_promoted(
    own: PostgresServer, home: Path, tmp_path: Path, receiver: Receiver
) -> None:
    tell(a_policy(tmp_path, own.url(), receiver), a_finding("a"))
    standby = make_replica(own, home / "standby", embedded_binaries(18))
    try:
        policy = a_policy(tmp_path, standby.url(), receiver)
        for minutes in (1, 2):
            tick(policy, minutes)
        with psycopg.connect(standby.url(), autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        for minutes in (3, 4):
            tick(policy, minutes)
    finally:
        standby.remove()
    assert outages(receiver) == [("raised", "standby"), ("resolved", "standby")]


def test_store_in_another_database_may_be_down_while_the_database_is_well(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    with psycopg.connect(own.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS store WITH (FORCE)")
        connection.execute("CREATE DATABASE store")
        policy = a_policy(tmp_path, own.url(), receiver, store={"url": own.url("store")})
        notify.notify(policy)
        connection.execute("ALTER DATABASE store RENAME TO lost")
        missing = {"table": "public.events", "column": "at"}
        store = {"url": own.url("store")}
        policy = a_policy(tmp_path, own.url(), receiver, store=store, partitions=[missing])
        for _ in range(2):
            notify.notify(policy)
        connection.execute("ALTER DATABASE lost RENAME TO store")
        for _ in range(2):
            notify.notify(policy)
    assert told(receiver) == [
        ("raised", "database_unreachable", "app/store"),
        ("raised", "no_such_table", "public.events"),
        ("resolved", "database_unreachable", "app/store"),
    ]
    assert outages(receiver)[0] == ("raised", "store_unreachable")


def test_routes_and_escalations_hold_while_the_store_is_away(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    with http_receiver() as pager:
        errors = {**pager.webhook(), "severities": ["error"]}
        alerts = {"sinks": [receiver.webhook(), errors], "repeat_after": "100 days"}
        policy = make_policy(tmp_path, own.url(), alerts=alerts)
        tell(policy, a_finding("a"), a_finding("b"))
        with stopped(own):
            worse = replace(a_finding("a"), severity=Severity.ERROR)
            tell(policy, worse, a_finding("b"), minutes=60)
            tell(policy, worse, a_finding("b"), minutes=25 * 60)
            tell(policy, worse, a_finding("b"), minutes=26 * 60)
            assert gaps(pager) == [("raised", "error", "a"), ("raised", "warn", "b")]
        tell(policy, minutes=27 * 60)
        tell(policy, minutes=28 * 60)
        assert gaps(pager)[2:] == [("resolved", "error", "a"), ("resolved", "warn", "b")]
    assert gaps(receiver) == [
        *[("raised", "warn", "a"), ("raised", "warn", "b"), ("raised", "error", "a")],
        *[("resolved", "error", "a"), ("resolved", "warn", "b")],
    ]


def gaps(receiver: Receiver) -> list[tuple[str, str, str]]:
    return [
        (each["state"], each["severity"], each["object"])
        for each in receiver.events()
        if each["kind"] == FindingKind.PARTITION_GAP
    ]


def test_warnings_wait_in_quiet_hours_while_the_store_is_away(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    hours = {(datetime.now(UTC) + timedelta(hours=each)).hour for each in (-1, 0, 1)}
    quiet = {"quiet": [f"* {hour} * * *" for hour in hours]}
    at_night = a_policy(tmp_path, own.url(), receiver, alerts=quiet)
    tell(at_night)
    with stopped(own):
        worse = replace(a_finding("c"), severity=Severity.ERROR)
        tell(at_night, a_finding("b"), worse, minutes=10)
        tick(at_night, 20)
        assert gaps(receiver) == [("raised", "error", "c")]
        by_day = a_policy(tmp_path, own.url(), receiver)
        tick(by_day, 30)
        assert gaps(receiver)[1:] == [("raised", "warn", "b")]
    tick(by_day, 40)
    tick(by_day, 50)
    assert len(gaps(receiver)) == 2


def test_what_waits_when_the_outage_begins_is_delivered_once_under_its_id(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, own.url(), receiver)
    receiver.statuses = [500]
    tell(policy, a_finding("a"))
    with stopped(own):
        receiver.statuses = [500]
        tick(policy, 1)
        tick(policy, 2)
    tick(policy, 3)
    assert told(receiver) == [
        ("raised", "partition_gap", "a"),
        ("raised", "database_unreachable", "app"),
        ("resolved", "database_unreachable", "app"),
    ]
    assert own_ids(own) == []


def own_ids(server: PostgresServer) -> list[Any]:
    """The events in the store that some sink still waits for."""
    with psycopg.connect(server.url()) as connection:
        cursor = connection.execute(
            "SELECT event_id FROM maintenance.delivery WHERE ended_at IS NULL"
        )
        return cursor.fetchall()


def test_event_that_is_delivered_while_the_store_goes_away_is_not_delivered_again(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, own.url(), receiver)
    tell(policy)
    receiver.on_post = lambda _: own.stop(immediate=True)
    tell(policy, a_finding("a"), minutes=1)
    receiver.on_post = lambda _: None
    tick(policy, 2)
    own.start()
    tick(policy, 3)
    assert told(receiver) == [
        ("raised", "partition_gap", "a"),
        ("raised", "database_unreachable", "app"),
        ("resolved", "database_unreachable", "app"),
    ]
    assert own_ids(own) == []


def test_consequences_of_an_outage_are_told_after_it_if_still_true(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, own.url(), receiver)
    failed = [a_finding(f"app_{n}", FindingKind.RUN_FAILED) for n in range(2)]
    stale = a_finding("public.totals", FindingKind.MATVIEW_STALE)
    tell(policy, stale)
    with stopped(own):
        tell(policy, *failed, stale, minutes=1)
        tell(policy, *failed, stale, minutes=2)
    tell(policy, failed[0], minutes=3)
    assert told(receiver) == [
        ("raised", "matview_stale", "public.totals"),
        ("raised", "database_unreachable", "app"),
        ("resolved", "database_unreachable", "app"),
        ("resolved", "matview_stale", "public.totals"),
        ("raised", "run_failed", "app_0"),
    ]


def run(*arguments: str) -> tuple[int, Any, str]:
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout else None, result.stderr


def test_commands_work_on_the_spool_while_the_store_is_away(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    path = write_policy(tmp_path, own.url(), alerts={"sinks": [receiver.webhook()]})
    tell(load_policy(path), a_finding("a"))
    with stopped(own):
        code, document, _ = run("notify", "--policy", str(path))
        assert code == 0
        assert document["store_error"]
        _, listed, _ = run("alerts", "--policy", str(path))
        assert [each["kind"] for each in listed["alerts"]] == [
            "database_unreachable",
            "partition_gap",
        ]
        assert listed["store_error"]
        tend = ["partition_gap", "a", "--until", "3 days", "--policy", str(path)]
        assert run("alerts", "ack", *tend)[0] == 0
        assert run("alerts", "ack", "partition_gap", "b", *tend[2:])[0] == 2
    tick(load_policy(path), 3)
    _, listed, _ = run("alerts", "--policy", str(path))
    assert [bool(each["acknowledged_until"]) for each in listed["alerts"]] == [True]
    assert listed["store_error"] is None


def test_notify_says_3_only_where_nothing_could_be_kept(
    tmp_path: Path, state_folder: Path, receiver: Receiver
) -> None:
    gone = "postgresql://nobody@127.0.0.1:9/app"
    path = write_policy(tmp_path, gone, alerts={"sinks": [receiver.webhook()]})
    state_folder.write_text("not a folder")
    code, _, errors = run("notify", "--policy", str(path))
    assert code == 3
    assert str(state_folder) in errors
    assert outages(receiver) == [("raised", "refused")]


def test_spool_that_cannot_be_written_is_said_once(
    own: PostgresServer,
    tmp_path: Path,
    state_folder: Path,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy = a_policy(tmp_path, own.url(), receiver)
    state_folder.write_text("not a folder")
    with stopped(own):
        notices = [tick(policy, minutes).notices for minutes in (1, 2)]
    notices += [tick(policy, minutes).notices for minutes in (3, 4)]
    assert [len(each) for each in notices] == [1, 0, 0, 0]
    assert [record.message for record in caplog.records] == [*notices[0]]
    assert outages(receiver) == [("raised", "refused"), ("resolved", "refused")]


@pytest.mark.parametrize("damage", ["bytes", "content"])
def test_damaged_spool_is_set_aside_and_said_once(
    own: PostgresServer, tmp_path: Path, state_folder: Path, receiver: Receiver, damage: str
) -> None:
    policy = a_policy(tmp_path, own.url(), receiver)
    tell(policy, a_finding("a"))
    path = spool_of(Target(policy, {"XDG_STATE_HOME": str(state_folder)})).path
    if damage == "bytes":
        path.write_bytes(b"\0" * 5000)
    else:
        spoil(path)
    with stopped(own):
        notices = [tick(policy, minutes).notices for minutes in (1, 2)]
    assert [len(each) for each in notices] == [1, 0]
    assert len(list(path.parent.glob("alerts.db.damaged-*"))) == 1
    tick(policy, 3)
    assert outages(receiver) == [("raised", "refused"), ("resolved", "refused")]
    assert [alert.identity.object for alert in tick(policy, 4).alerts] == ["a"]


def spoil(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE alert SET document = '{'")


def test_several_processes_and_threads_tell_an_outage_once(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    path = write_policy(tmp_path, own.url(), alerts={"sinks": [receiver.webhook()]})
    policy = load_policy(path)
    notify.run_round(policy, [])

    def everybody() -> None:
        command = [MAINTENANCE, "notify", "--policy", str(path)]
        others = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(2)]
        threads = [threading.Thread(target=notify.run_round, args=(policy, [])) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [other.wait() for other in others] == [0, 0]

    with stopped(own):
        everybody()
    everybody()
    notify.run_round(policy, [])
    assert outages(receiver) == [("raised", "refused"), ("resolved", "refused")]
    assert max(Counter(event["id"] for event in receiver.events()).values()) == 1


def test_clock_that_was_set_back_neither_repeats_nor_keeps_an_alert(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, own.url(), receiver)
    tell(policy, a_finding("a"), a_finding("b"), minutes=60 * 24 * 365)
    tell(policy, a_finding("a"), a_finding("b"), minutes=0)
    tell(policy, a_finding("a"), minutes=5)
    tell(policy, a_finding("a"), minutes=60 * 24)
    assert [(state, name) for state, _, name in told(receiver)] == [
        ("raised", "a"),
        ("raised", "b"),
        ("resolved", "b"),
        ("repeated", "a"),
    ]


def test_alert_is_repeated_in_time_without_a_new_observation(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    alerts = {"repeat_after": "5 minutes"}
    policy = a_policy(tmp_path, own.url(), receiver, alerts=alerts)
    tell(policy, a_finding("a"))
    for minutes in (4.9, 5, 9.9, 10, 14.9):
        tick(policy, minutes)
    assert [state for state, *_ in told(receiver)] == ["raised", "repeated", "repeated"]


def test_lock_that_another_host_holds_is_no_outage(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    locks = {"patient_lock_timeout": "50 ms"}
    policy = a_policy(tmp_path, own.url(), receiver, locks=locks)
    tell(policy)
    with psycopg.connect(own.url()) as connection:
        lock_alerts(connection, "app")
        with pytest.raises(MaintenanceError) as caught:
            tell(policy, a_finding("a"), minutes=1)
    assert caught.value.retryable
    tell(policy, a_finding("a"), minutes=2)
    assert told(receiver) == [("raised", "partition_gap", "a")]


@pytest.mark.parametrize("n", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_flood_during_an_outage_is_told_and_merged_whole(
    own: PostgresServer, tmp_path: Path, receiver: Receiver, n: int
) -> None:
    well, gone = (a_policy(tmp_path, url, receiver) for url in (own.url(), DEAD))
    tell(well)
    flood = [a_finding(f"public.table_{number:05}") for number in range(n)]
    tell(gone, *flood, minutes=1)
    tell(gone, *flood, minutes=2)
    assert tell(well, *flood, minutes=3).store_error is None
    tell(well, minutes=4)
    states = Counter(e["state"] for e in receiver.events() if e["kind"] == "partition_gap")
    assert states == {"raised": n, "resolved": n}
    assert len({event["id"] for event in receiver.events()}) == 2 * n + 2
    assert own_ids(own) == []


# Killed in the middle


def steps_until_killed(step: int, work: Callable[[], object]) -> bool:
    """Run work in a process that is killed at a step; return whether it came so far.

    Every call and every return in the modules of alerts is a step.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the receiver's threads stay here
        child = os.fork()
    if child == 0:
        count = itertools.count(1)

        def profile(frame: FrameType, event: str, _: object) -> None:
            is_step = event in ("call", "return") and OURS.search(frame.f_code.co_filename)
            if is_step and next(count) >= step:
                os.kill(os.getpid(), signal.SIGKILL)

        threading.setprofile(profile)
        sys.setprofile(profile)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("phase", ["away", "back"])
@pytest.mark.parametrize("stride", [150, pytest.param(4, marks=pytest.mark.slow)])
def test_process_killed_at_any_step_loses_nothing_and_tells_nothing_new_twice(
    own: PostgresServer, tmp_path: Path, receiver: Receiver, phase: str, stride: int
) -> None:
    """What is delivered twice was in flight at the kill, and has the same id."""
    for step in itertools.count(1, stride):
        name = f"app_{step}"
        well, gone = (a_policy(tmp_path, url, receiver, name=name) for url in (own.url(), DEAD))
        tell(well, a_finding("a"))

        def away(policy: Policy = gone) -> None:
            tell(policy, a_finding("b"), minutes=1)

        def back(policy: Policy = well) -> None:
            tell(policy, a_finding("b"), minutes=2)

        works = {"away": [away, back], "back": [back]}[phase]
        if phase == "back":
            away()
        was_killed = steps_until_killed(step, works[0])
        for work in works:
            work()
        tell(well, minutes=3)
        found = [e for e in receiver.events() if e["database"] == name]
        assert len({event["id"] for event in found}) == 6, step
        assert Counter({e["id"]: (e["state"], e["object"]) for e in found}.values()) == {
            (state, each): 1 for state in ("raised", "resolved") for each in ("a", "b", name)
        }, step
        assert not any(n > 2 for n in Counter(e["id"] for e in found).values())
        if not was_killed:
            return


# A week


@pytest.mark.parametrize("every_min", [120, pytest.param(10, marks=pytest.mark.slow)])
def test_week_with_a_flapping_database_tells_each_turn_once(
    own: PostgresServer, tmp_path: Path, receiver: Receiver, every_min: int
) -> None:
    """As many messages as an undisturbed state machine has turns, each once."""
    rng = random.Random(every_min)
    well, gone = (a_policy(tmp_path, url, receiver) for url in (own.url(), DEAD))
    kinds = [FindingKind.PARTITION_GAP, FindingKind.RUN_FAILED, FindingKind.MATVIEW_STALE]
    findings = [a_finding(f"o{n}", kinds[n % 3]) for n in range(9)]
    alerts: dict[Identity, Alert] = {}
    wanted: list[tuple[str, str, str, str]] = []
    is_down, seen = False, set[int]()
    n_rounds = 7 * 24 * 60 // every_min
    for number in range(n_rounds):
        is_down = rng.random() < (0.7 if is_down else 0.2) and number < n_rounds - 2
        for index in range(9):
            if rng.random() < 0.1:
                seen ^= {index}
        receiver.statuses = [500] if rng.random() < 0.2 and number < n_rounds - 2 else []
        found = [findings[index] for index in sorted(seen)]
        minutes = number * every_min
        tell(gone if is_down else well, *found, minutes=minutes)
        moment = NOW + timedelta(minutes=minutes)
        error = UnreachableError("", reason="refused") if is_down else None
        for finding_set in (reachability(well, error), FindingSet("app", found, KINDS)):
            update = update_alerts(alerts, finding_set, well.alerts, moment)
            alerts = dict(update.alerts)
            wanted += [turn_of(event) for event in update.events]
        update = due_events(alerts, well.alerts, moment)
        alerts = dict(update.alerts)
        wanted += [turn_of(event) for event in update.events]
    last = tick(well, n_rounds * every_min)
    wanted += [turn_of(e) for e in due_events(alerts, well.alerts, last.now).events]
    assert [each.n_pending for each in last.delivered] == [0]
    got = [
        (event["state"], event["kind"], event["object"], document["timestamp"])
        for document in receiver.documents()
        for event in document.get("alerts", [document])
    ]
    assert sorted((Counter(got) - Counter(wanted)).items()) == []
    assert sorted((Counter(wanted) - Counter(got)).items()) == []
    assert Counter(state for state, kind, *_ in got if kind == "database_unreachable")["raised"] > 3
    assert receiver.is_signed()


def turn_of(event: Event) -> tuple[str, str, str, str]:
    _, kind, name = event.alert.identity
    return event.turn.value, kind.value, name, event.at.isoformat()
