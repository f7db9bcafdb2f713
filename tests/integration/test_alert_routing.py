"""Sinks that receive different alerts, and test messages, over real servers and real HTTP."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from maintenance.alerts.models import FindingSet
from maintenance.alerts.quiet import NOT_SENT
from maintenance.alerts.sinks import name_of
from maintenance.cli.commands import cli
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import notify
from maintenance.policy import Policy, load_policy
from tests.builders import Database
from tests.policies import write_policy
from tests.receivers import Receiver, http_receiver

pytestmark = pytest.mark.pg("== 18")

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KINDS = frozenset(FindingKind)
WARN, ERROR = Severity.WARN, Severity.ERROR


@pytest.fixture
def pager() -> Iterator[Receiver]:
    with http_receiver() as receiver:
        yield receiver


def a_policy(folder: Path, database: Database, *sinks: dict[str, Any], **alerts: Any) -> Policy:
    return load_policy(write_policy(folder, database.url, alerts={"sinks": sinks, **alerts}))


def a_finding(
    name: str, severity: Severity = WARN, kind: FindingKind = FindingKind.PARTITION_GAP
) -> Finding:
    return Finding(kind, severity, name, f"{name}: {severity}")


def look(policy: Policy, at: datetime, *findings: Finding) -> notify.RoundReport:
    return notify.run_round(policy, [(at, FindingSet(policy.database.name, findings, KINDS))])


def told(receiver: Receiver) -> list[tuple[str, str, str]]:
    return [(each["state"], each["severity"], each["object"]) for each in receiver.events()]


def test_pager_hears_of_errors_of_escalations_and_of_their_ends(
    database: Database, tmp_path: Path, receiver: Receiver, pager: Receiver
) -> None:
    errors = {**pager.webhook(), "severities": ["error"]}
    policy = a_policy(tmp_path, database, receiver.webhook(), errors, repeat_after="100 days")
    unused = a_finding("public.i", kind=FindingKind.INDEX_UNUSED)
    look(policy, NOW, a_finding("a"), a_finding("b"), unused)
    look(policy, NOW + timedelta(hours=1), a_finding("a", ERROR), a_finding("b"), unused)
    look(policy, NOW + timedelta(hours=2), a_finding("a"), a_finding("b"), unused)
    assert told(pager) == [("raised", "error", "a"), ("resolved", "error", "a")]
    for hours in (24, 25):
        look(policy, NOW + timedelta(hours=hours), a_finding("a"), a_finding("b"), unused)
    assert told(pager)[2:] == [("raised", "warn", "b")]
    escalated = {alert.identity.object: alert.escalated_at for alert in notify.standing(policy)[0]}
    assert escalated == {"a": None, "b": NOW + timedelta(hours=24), "public.i": None}
    look(policy, NOW + timedelta(hours=25, minutes=1))
    assert told(pager)[3:] == [("resolved", "warn", "b")]
    assert told(receiver) == [
        *[("raised", "warn", "a"), ("raised", "warn", "b")],
        *[("raised", "error", "a"), ("raised", "warn", "a")],
        *[("resolved", "warn", "a"), ("resolved", "warn", "b")],
    ]
    turns = "SELECT turn FROM maintenance.alert_event WHERE object = 'b' ORDER BY id"
    assert database.execute(turns) == [("raised",), ("escalated",), ("resolved",)]


def test_sink_that_is_named_later_and_an_old_alert(
    database: Database, tmp_path: Path, receiver: Receiver, pager: Receiver
) -> None:
    """An alert of a version that recorded no sinks is resolved wherever it was sent: everywhere."""
    look(a_policy(tmp_path, database, receiver.webhook()), NOW, a_finding("new"), a_finding("old"))
    database.execute("UPDATE maintenance.alert SET notified_sinks = NULL WHERE object = 'old'")
    policy = a_policy(tmp_path, database, receiver.webhook(), pager.webhook())
    look(policy, NOW + timedelta(hours=1))
    assert told(receiver)[2:] == [("resolved", "warn", "new"), ("resolved", "warn", "old")]
    assert told(pager) == [("resolved", "warn", "old")]


def quiet_now() -> list[str]:
    """Quiet hours around now, and none that begin or end during a test."""
    now = datetime.now(UTC)
    return [f"* {(now + timedelta(hours=hours)).hour} * * *" for hours in (-1, 0, 1)]


def test_warnings_wait_in_quiet_hours_and_hold_up_neither_errors_nor_the_heartbeat(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    sinks = (receiver.webhook(),)
    ping = receiver.url.replace("hook", "ping")
    policy = a_policy(tmp_path, database, *sinks, quiet=quiet_now(), ping=ping)
    now = datetime.now(UTC)
    look(policy, now, a_finding("passing"), a_finding("worse"))
    findings = [a_finding("a"), a_finding("b"), a_finding("c", ERROR), a_finding("worse", ERROR)]
    (held,) = look(policy, now, *findings).delivered
    assert (held.n_delivered, held.n_pending, held.n_held, held.error) == (2, 0, 2, None)
    assert told(receiver) == [("raised", "error", "c"), ("raised", "error", "worse")]
    assert len(receiver.calls) == 2
    dropped = """SELECT e.object, e.turn FROM maintenance.delivery AS d
      JOIN maintenance.alert_event AS e ON e.id = d.event_id WHERE d.error = %s ORDER BY e.id"""
    assert database.execute(dropped, (NOT_SENT,)) == [
        ("passing", "raised"),
        ("worse", "raised"),
        ("passing", "resolved"),
    ]
    receiver.statuses = [500]
    daytime = a_policy(tmp_path, database, *sinks)
    notify.run_round(daytime, [])
    (delivered,) = notify.run_round(daytime, []).delivered
    assert (delivered.n_delivered, delivered.n_held) == (2, 0)
    assert told(receiver)[2:] == [("raised", "warn", "a"), ("raised", "warn", "b")]
    assert len({document["id"] for document in receiver.documents()}) == 2


# Test messages


def run(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout else None


def test_each_sink_gets_one_marked_message(tmp_path: Path, receiver: Receiver) -> None:
    """Neither the database nor the store has to be there; what a sink takes does not matter."""
    json_url = receiver.url.replace("http://", "json://")
    sinks = [
        {**receiver.webhook(), "severities": ["error"], "databases": ["other"]},
        {"type": "apprise", "url": json_url},
        {"type": "log"},
    ]
    nowhere = "postgresql://nobody@127.0.0.1:9/app"
    path = write_policy(tmp_path, nowhere, alerts={"sinks": sinks})
    code, report = run("alerts", "test", "--policy", str(path))
    assert code == 0
    assert [each["ok"] for each in report["sinks"]] == [True] * 3
    names = [name_of(sink) for sink in load_policy(path).alerts.sinks]
    assert [each["sink"] for each in report["sinks"]] == names
    assert "200" in report["sinks"][0]["answer"]
    webhook, apprise = sorted(receiver.documents(), key=lambda document: "state" not in document)
    assert (webhook["state"], webhook["kind"], webhook["severity"]) == ("test", "test", "warn")
    assert "test message" in webhook["message"]
    assert "test message" in apprise["title"]
    assert apprise["type"] == "warning"
    assert [header for header in receiver.headers if "X-Maintenance-Signature" in header]


def test_sink_that_fails_fails_the_test_and_names_no_secret(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.statuses = [403]
    sinks = [
        {"type": "webhook", "url": receiver.url + "?key=TOKEN"},
        {"type": "webhook", "url": "http://127.0.0.1:9/TOKEN"},
        {"type": "webhook", "url": {"env": "NO_SUCH_VARIABLE"}},
    ]
    nowhere = "postgresql://nobody@127.0.0.1:9/app"
    path = write_policy(tmp_path, nowhere, alerts={"sinks": [*sinks, {"type": "log"}]})
    code, report = run("alerts", "test", "--policy", str(path))
    assert code == 1
    errors = [each["error"] for each in report["sinks"]]
    assert errors[3] is None
    assert "403" in errors[0]
    assert "ConnectionError" in errors[1]
    assert "NO_SUCH_VARIABLE" in errors[2]
    assert "TOKEN" not in str(report)
    assert run("alerts", "test", "--sink", "log", "--policy", str(path))[0] == 0
    result = CliRunner().invoke(cli, ["alerts", "test", "--policy", str(path)])
    assert result.exit_code == 1
    assert "log" in result.stdout
    assert "TOKEN" not in result.output
    unknown = CliRunner().invoke(cli, ["alerts", "test", "--sink", "lgo", "--policy", str(path)])
    assert unknown.exit_code == 2
    assert "log" in unknown.stderr


def test_acknowledged_alert_can_be_cleared(database: Database, tmp_path: Path) -> None:
    path = write_policy(tmp_path, database.url, alerts={"sinks": [{"type": "log"}]})
    look(load_policy(path), NOW, a_finding("a"))
    about = ("partition_gap", "a", "--policy", str(path))
    run("alerts", "mute", "--until", "3 days", *about)
    code, document = run("alerts", "clear", *about)
    assert code == 0
    (alert,) = document["alerts"]
    assert (alert["muted_until"], alert["acknowledged_until"]) == (None, None)
