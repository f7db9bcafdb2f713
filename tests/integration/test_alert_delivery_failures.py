"""Alerts with hostile names, floods, two daemons, secrets and silent sinks."""

import json
import logging
import shutil
import socket
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from maintenance.alerts.heartbeat import call
from maintenance.alerts.messages import HEAVIEST
from maintenance.alerts.models import FindingSet
from maintenance.cli.commands import cli
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import notify as rounds
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


def a_finding(name: str) -> Finding:
    return Finding(FindingKind.TABLE_BLOAT, Severity.WARN, name, f"{name}: is empty", 0.5, 0.4)


def tell(policy: Policy, *names: str, hours: int = 0) -> rounds.RoundReport:
    finding_set = FindingSet(policy.database.name, [a_finding(name) for name in names], KINDS)
    return rounds.tell(policy, [(NOW + timedelta(hours=hours), finding_set)])


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
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    names = [f"public.table_{n:05}" for n in range(10_000)]
    policy = alerting(tmp_path, database, receiver.webhook())
    report = tell(policy, *names)
    assert (report.delivered[0].n_told, report.delivered[0].n_waiting) == (10_000, 0)
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
    rounds.tell(alerting(tmp_path, database, receiver.webhook()), [])
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
