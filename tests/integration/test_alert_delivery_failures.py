"""Alerts with hostile names, floods, two daemons, secrets and silent sinks."""

import json
import logging
import resource
import shutil
import socket
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from maintenance.alerts import delivery
from maintenance.alerts.heartbeat import call
from maintenance.alerts.messages import HEAVIEST
from maintenance.alerts.models import FindingSet
from maintenance.cli.commands import cli
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import notify
from maintenance.policy import Policy
from tests.builders import ROOT, Database
from tests.caches import cache_server, client_of, program_of
from tests.policies import make_policy, write_policy
from tests.receivers import Receiver

pytestmark = pytest.mark.pg("== 18")

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KINDS = frozenset(FindingKind)
HOSTILE = 'public."</script><img src=x onerror=alert(1)> <!channel> *b* [x](y)\n\x1b[2J@here"'
DEAD = "postgresql://nobody@127.0.0.1:9/app"
NOBODY = "http://127.0.0.1:9/"
PATIENCE_S = 250.0


def a_finding(name: str) -> Finding:
    return Finding(FindingKind.TABLE_BLOAT, Severity.WARN, name, f"{name}: is empty", 0.5, 0.4)


def tell(policy: Policy, *names: str, hours: int = 0) -> notify.RoundReport:
    finding_set = FindingSet(policy.database.name, [a_finding(name) for name in names], KINDS)
    return notify.run_round(policy, [(NOW + timedelta(hours=hours), finding_set)])


def alerting(folder: Path, database: Database, *sinks: dict[str, Any], **others: Any) -> Policy:
    ping = {"ping": others.pop("ping")} if "ping" in others else {}
    return make_policy(folder, database.url, alerts={"sinks": list(sinks), **ping}, **others)


# Names


def test_hostile_name_arrives_as_it_is_where_it_is_data_and_harmless_where_it_is_text(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    chat = {"type": "apprise", "url": receiver.url.replace("http://", "json://")}
    stream = {"type": "redis_stream", "stream": "alerts"}
    with cache_server(program_of("embedded"), tmp_path / "redis") as server:
        redis = {"redis": {"url": server.url}}
        report = tell(
            alerting(tmp_path, database, receiver.webhook(), chat, stream, **redis), HOSTILE
        )
        ((_, entry),) = client_of(server).xrange("alerts")
    assert [each.error for each in report.delivered] == [None] * 3
    (data,) = [each for each in receiver.documents() if "kind" in each]
    assert data["object"] == json.loads(entry["body"])["object"] == HOSTILE
    (text,) = [each for each in receiver.documents() if "kind" not in each]
    for trap in ("</script", "<img", "<!channel", "](", "@here", "\x1b"):
        assert trap not in text["title"] + text["message"]
    assert len(text["title"].splitlines()) == 1


def test_hostile_name_is_one_line_of_a_terminal(database: Database, tmp_path: Path) -> None:
    path = write_policy(tmp_path, database.url, alerts={"sinks": [{"type": "log"}]})
    tell(alerting(tmp_path, database), HOSTILE)
    shown = CliRunner().invoke(cli, ["alerts", "--policy", str(path)]).stdout
    assert len([line for line in shown.splitlines() if "table_bloat" in line]) == 1
    assert "\\x1b[2J@here" in shown
    assert "\x1b[2J" not in shown


# Floods


def test_flood_of_findings_is_told_in_few_messages_of_bounded_size(
    database: Database, tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a busy machine does not send within a round is sent in the next, in more messages.
    monkeypatch.setattr(notify, "BUDGET_S", PATIENCE_S)
    monkeypatch.setattr(delivery, "SEND_LIMIT_S", PATIENCE_S)
    names = [f"public.table_{n:05}" for n in range(10_000)]
    policy = alerting(tmp_path, database, receiver.webhook())
    report = tell(policy, *names)
    assert (report.delivered[0].n_delivered, report.delivered[0].n_pending) == (10_000, 0)
    assert [event["object"] for event in receiver.events()] == names
    assert len(receiver.bodies) < 10
    assert max(map(len, receiver.bodies)) < HEAVIEST + 1000
    assert len({event["id"] for event in receiver.events()}) == 10_000
    tell(policy, hours=1)
    assert Counter(event["state"] for event in receiver.events()) == {
        "raised": 10_000,
        "resolved": 10_000,
    }


# Two daemons


def test_two_daemons_on_one_store_tell_each_turn_once(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    path = write_policy(tmp_path, database.url, alerts={"sinks": [receiver.webhook()]})
    script = tmp_path / "script.json"
    steps = [[["table_bloat", f"t{n % 2}", "warn"]] if n in (1, 2) else [] for n in range(5)]
    moments = [(NOW + timedelta(hours=n)).isoformat() for n in range(5)]
    script.write_text(json.dumps(list(zip(moments, steps, strict=True))))
    command = [sys.executable, "-m", "tests.alert_daemon", str(path), str(script), "0"]
    daemons = [
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for _ in range(5):  # both judge the same moment, at the same time
        for daemon in daemons:
            assert daemon.stdout is not None
            daemon.stdout.readline()
        for daemon in daemons:
            assert daemon.stdin is not None
            daemon.stdin.write("go\n")
            daemon.stdin.flush()
    for daemon in daemons:
        daemon.communicate()
    assert [daemon.returncode for daemon in daemons] == [0, 0]
    notify.run_round(alerting(tmp_path, database, receiver.webhook()), [])
    assert max(Counter(event["id"] for event in receiver.events()).values()) == 1
    turns = Counter((event["state"], event["object"]) for event in receiver.events())
    assert turns == {(state, f"t{n}"): 1 for state in ("raised", "resolved") for n in (0, 1)}


# The dead man's switch


def test_switch_is_called_each_round(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    policy = alerting(tmp_path, database, receiver.webhook(), ping=receiver.url)
    reports = [tell(policy), tell(policy, hours=1)]
    assert receiver.calls == ["/hook", "/hook"]
    assert [report.heartbeat_error for report in reports] == [None, None]
    receiver.statuses = [404]
    assert "404" in str(tell(policy, hours=2).heartbeat_error)


def test_switch_is_not_called_where_nothing_can_be_stored(
    database: Database, tmp_path: Path, state_folder: Path, receiver: Receiver
) -> None:
    """Neither in the store nor in the spool; or where only a log would tell of the outage."""
    del database
    sinks: list[dict[str, Any]] = [{"type": "log"}, receiver.webhook()]
    policies = [
        make_policy(tmp_path, f"{DEAD}{n}", alerts={"sinks": sinks[:n], "ping": receiver.url})
        for n in (1, 2)
    ]
    assert tell(policies[0], "a").heartbeat_error is not None
    assert tell(policies[1], "a").heartbeat_error is None
    assert receiver.calls == ["/hook"]
    shutil.rmtree(state_folder)
    state_folder.write_text("not a folder")
    assert tell(policies[1], "a").heartbeat_error is not None
    assert receiver.calls == ["/hook"]


def test_switch_is_not_called_where_no_sink_takes_what_waits_for_it(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    dead = {"type": "webhook", "url": NOBODY}
    alone = alerting(tmp_path, database, dead, ping=receiver.url)
    assert tell(alone, "a").heartbeat_error is not None
    assert receiver.calls == []
    (tmp_path / "two").mkdir()
    both = alerting(tmp_path / "two", database, dead, receiver.webhook(), ping=receiver.url)
    assert tell(both, "a", "b", hours=1).heartbeat_error is None
    assert receiver.calls == ["/hook"]


def test_switch_that_never_answers_holds_up_no_round() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = call(f"http://127.0.0.1:{silent.getsockname()[1]}/TOKEN", 0.2)
    assert told is not None
    assert "TOKEN" not in told


# Answers


def redirect(status: int, receiver: Receiver) -> Callable[[BufferedIOBase], None]:
    """To a page that takes everything."""

    def answer(out: BufferedIOBase) -> None:
        receiver.answer = None
        out.write(f"HTTP/1.1 {status} Moved\r\nLocation: {receiver.url}\r\n".encode())
        out.write(b"Content-Length: 0\r\n\r\n")

    return answer


def endless(out: BufferedIOBase) -> None:
    out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    while True:
        out.write(b"x" * 2**16)


def bomb(out: BufferedIOBase) -> None:
    """A quarter of a gigabyte, packed."""
    packed = zlib.compressobj(1, zlib.DEFLATED, 31)
    body = b"".join([packed.compress(bytes(2**20)) for _ in range(2**8)]) + packed.flush()
    out.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ")
    out.write(f"{len(body)}\r\n\r\n".encode() + body)


def drip(out: BufferedIOBase) -> None:
    """A header that never ends, byte by byte."""
    out.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        out.write(b"x")
        out.flush()
        time.sleep(0.02)


KINDS_OF_SINKS: dict[str, Callable[[str], dict[str, Any]]] = {
    "webhook": lambda url: {"type": "webhook", "url": url},
    "apprise": lambda url: {"type": "apprise", "url": url.replace("http://", "json://")},
}


@pytest.mark.parametrize("status", [301, 302, 307])
@pytest.mark.parametrize("kind", KINDS_OF_SINKS)
def test_redirect_is_no_delivery(
    database: Database, tmp_path: Path, receiver: Receiver, kind: str, status: int
) -> None:
    sink = KINDS_OF_SINKS[kind](receiver.url)
    policy = alerting(tmp_path, database, sink, ping=receiver.url)
    receiver.answer = redirect(status, receiver)
    (moved,) = tell(policy, "a").delivered
    assert (moved.n_delivered, moved.n_pending, receiver.calls, receiver.bodies) == (0, 1, [], [])
    (there,) = tell(policy, "a", hours=1).delivered
    assert (there.n_delivered, there.n_pending) == (1, 0)
    assert len(receiver.bodies) == 1


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirect_is_no_call_of_the_switch(receiver: Receiver, status: int) -> None:
    receiver.answer = redirect(status, receiver)
    assert str(status) in str(call(receiver.url))
    assert receiver.calls == ["/hook"]


@pytest.mark.parametrize("answer", [endless, bomb])
@pytest.mark.parametrize("kind", KINDS_OF_SINKS)
def test_answer_of_gigabytes_is_read_to_64_kilobytes(
    tmp_path: Path, receiver: Receiver, kind: str, answer: Callable[[BufferedIOBase], None]
) -> None:
    policy = make_policy(tmp_path, DEAD, alerts={"sinks": [KINDS_OF_SINKS[kind](receiver.url)]})
    receiver.answer = answer
    tell(policy)  # once, so that what is loaded only once does not count
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (delivered,) = tell(policy, "a").delivered
    assert delivered.error is None
    assert call(receiver.url) is None
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 100_000


@pytest.mark.parametrize("kind", KINDS_OF_SINKS)
def test_answer_that_drips_ends_with_the_time_of_a_message(
    tmp_path: Path, receiver: Receiver, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SEND_LIMIT_S", 0.5)
    policy = make_policy(tmp_path, DEAD, alerts={"sinks": [KINDS_OF_SINKS[kind](receiver.url)]})
    receiver.answer = drip
    (dripping,) = tell(policy, "a").delivered
    assert "no response in time" in str(dripping.error)
    receiver.answer = None
    (there,) = tell(policy, "a", hours=1).delivered
    assert there.error is None, "the lock of the sink was given back"


@pytest.mark.parametrize("kind", KINDS_OF_SINKS)
def test_answer_that_drips_keeps_no_process_from_its_end(
    tmp_path: Path, receiver: Receiver, kind: str
) -> None:
    """Python waits at the end for the threads that a library has in a pool."""
    sink = KINDS_OF_SINKS[kind](receiver.url)
    path = write_policy(tmp_path, DEAD, alerts={"sinks": [sink]})
    receiver.answer = drip
    command = [Path(sys.executable).with_name("maintenance"), "notify", "--policy", path]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    assert "in time" in told.stdout


# Secrets


def test_no_log_line_holds_a_word_of_a_url(
    database: Database, tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Libraries log urls at lower levels, which the logging of an application may show."""
    sinks = [
        {"type": "webhook", "url": f"{receiver.url}/TOKEN"},
        {"type": "webhook", "url": f"{NOBODY}services/TOKEN"},
        {"type": "apprise", "url": "json://user:TOKEN@127.0.0.1:9/TOKEN"},
        {"type": "apprise", "url": "nosuchservice://TOKEN"},
        {"type": "apprise", "url": "slack://TOKEN"},
    ]
    policy = alerting(tmp_path, database, *sinks, ping=f"{NOBODY}TOKEN")
    with caplog.at_level(logging.DEBUG):
        report = tell(policy, "a")
    assert [each.error is None for each in report.delivered] == [True, *[False] * 4]
    call(f"{NOBODY}TOKEN")
    call("http://[TOKEN/")
    assert "TOKEN" not in f"{caplog.text} {report}"
    rows = database.execute("SELECT d::text FROM maintenance.delivery AS d")
    assert "TOKEN" not in str(rows)
