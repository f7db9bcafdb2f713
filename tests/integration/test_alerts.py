"""Rounds of alerts on real servers: stored and delivered to every sink in order."""

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from maintenance.alerts.models import FindingSet, Transition
from maintenance.cli.commands import cli
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.runbook_reader import by_itself
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.pipeline import notify
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy, load_policy
from tests.builders import Database
from tests.policies import write_policy
from tests.receivers import Receiver

pytestmark = pytest.mark.pg("== 18")

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KINDS = frozenset(FindingKind)


def a_policy(folder: Path, database: Database, *sinks: dict[str, Any], **alerts: Any) -> Policy:
    return load_policy(policy_file(folder, database, *sinks, **alerts))


def policy_file(folder: Path, database: Database, *sinks: dict[str, Any], **alerts: Any) -> Path:
    events = {"table": "public.events", "column": "at", "interval": "1 month", "premake": 3}
    return write_policy(folder, database.url, events, alerts={"sinks": list(sinks), **alerts})


def a_finding(name: str, severity: Severity = Severity.WARN) -> Finding:
    return Finding(FindingKind.PARTITION_GAP, severity, name, f"{name}: a gap", 1, 0)


def tell(policy: Policy, hours: int, *names: str) -> notify.RoundReport:
    finding_set = FindingSet(policy.database.name, [a_finding(name) for name in names], KINDS)
    return notify.run_round(policy, [(NOW + timedelta(hours=hours), finding_set)])


def test_webhook_is_told_what_is_raised_and_what_is_over(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, database, receiver.webhook())
    for hours, names in enumerate([["a"], ["a"], [], []]):
        tell(policy, hours, *names)
    assert receiver.told() == [("raised", "a"), ("resolved", "a")]
    first = receiver.documents()[0]
    assert first == {
        "state": "raised",
        "database": policy.database.name,
        "kind": "partition_gap",
        "severity": "warn",
        "object": "a",
        "message": "a: a gap",
        "value": 1,
        "threshold": 0,
        "since": NOW.isoformat(),
        "timestamp": NOW.isoformat(),
        "links": {},
        "id": first["id"],
        "by_itself": by_itself(FindingKind.PARTITION_GAP),
        "explain": "maintenance explain partition_gap",
    }


def test_signature_is_that_of_the_raw_body(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    tell(a_policy(tmp_path, database, receiver.webhook()), 0, "größer")
    assert receiver.bodies
    assert receiver.is_signed()


def test_many_of_a_kind_are_one_message(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    names = [f"public.t{n:04}" for n in range(2000)]
    tell(a_policy(tmp_path, database, receiver.webhook()), 0, *names)
    (document,) = receiver.documents()
    assert [each["object"] for each in document["alerts"]] == names


def test_sink_that_is_down_delays_and_loses_nothing(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, database, receiver.webhook())
    receiver.statuses = [500, 404]  # a page that is not there is a sink to be mended
    down = tell(policy, 0, "a").delivered[0]
    assert (down.n_delivered, down.n_pending) == (0, 1)
    assert "500" in str(down.error)
    receiver.silent.set()
    tell(policy, 1, "a", "b")
    receiver.silent.clear()
    tell(policy, 2, "b")
    assert receiver.told() == []
    up = tell(policy, 3, "b").delivered[0]
    assert (up.n_delivered, up.n_pending, up.error) == (3, 0, None)
    assert receiver.told() == [("raised", "a"), ("raised", "b"), ("resolved", "a")]


def test_message_that_is_refused_for_good_stops_no_other(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, database, receiver.webhook())
    receiver.statuses = [400]
    refused = tell(policy, 0, "a").delivered[0]
    assert "400" in str(refused.error)
    tell(policy, 1, "a", "b")
    assert receiver.told() == [("raised", "b")]


def test_one_sink_that_is_down_holds_up_no_other(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    nobody = {"type": "webhook", "url": "http://127.0.0.1:9/"}
    policy = a_policy(tmp_path, database, nobody, receiver.webhook())
    report = tell(policy, 0, "a")
    assert receiver.told() == [("raised", "a")]
    assert [each.n_pending for each in report.delivered] == [1, 0]


def test_secrets_are_in_no_error_and_no_table(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    del receiver
    hidden = "http://127.0.0.1:9/services/TOKEN?key=TOKEN"
    apprise = "json://user:TOKEN@127.0.0.1:9/TOKEN"
    sinks = [{"type": "webhook", "url": hidden}, {"type": "apprise", "url": apprise}]
    report = tell(a_policy(tmp_path, database, *sinks), 0, "a")
    rows = database.execute("SELECT d::text FROM maintenance.delivery AS d")
    assert len(rows) == 2
    assert [bool(each.error) for each in report.delivered] == [True] * 2
    assert "TOKEN" not in f"{report} {rows}"


def test_apprise_is_told(database: Database, tmp_path: Path, receiver: Receiver) -> None:
    url = receiver.url.replace("http://", "json://")
    tell(a_policy(tmp_path, database, {"type": "apprise", "url": url}), 0, '<!channel> "a"')
    (document,) = receiver.documents()
    assert document["type"] == "warning"
    assert '\u2039!channel> "a": a gap' in document["message"]
    assert "what to do: maintenance explain partition_gap" in document["message"].splitlines()


def test_two_rounds_at_once_tell_each_event_once(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, database, receiver.webhook())
    tell(policy, 0)
    threads = [threading.Thread(target=tell, args=(policy, 1, "a", "b")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell(policy, 2, "a", "b")
    (document,) = receiver.documents()
    assert [each["object"] for each in document["alerts"]] == ["a", "b"]


def test_resting_sink_is_left_alone_by_a_patient_round(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, database, receiver.webhook())
    receiver.statuses = [500]
    tell(policy, 0, "a")
    (patient,) = notify.run_round(policy, [], patient=True, now=NOW).delivered
    assert (patient.n_delivered, patient.n_pending) == (0, 1)
    (eager,) = notify.run_round(policy, [], now=NOW).delivered
    assert (eager.n_delivered, eager.n_pending) == (1, 0)


def run(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout else None


def test_notify_looks_raises_and_resolves(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    """A table that is not there is an error finding, raised; once it is there it is resolved."""
    path = str(policy_file(tmp_path, database, receiver.webhook()))
    code, document = run("notify", "--policy", path)
    assert code == 0
    assert [each["kind"] for each in document["events"]] == ["no_such_table"]
    database.execute(
        "CREATE TABLE public.events (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at)"
    )
    run("notify", "--policy", path)
    told = [(each["state"], each["kind"]) for each in receiver.documents()]
    assert ("resolved", "no_such_table") in told


def test_findings_of_a_run_are_judged_once(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, database, receiver.webhook())
    assert not pipeline.apply(policy).ok
    (event,) = notify.run_round(policy, []).events
    assert (event.turn, event.alert.identity.kind) == (Transition.RAISED, FindingKind.NO_SUCH_TABLE)
    assert notify.run_round(policy, []).events == ()
    database.execute(
        "CREATE TABLE public.events (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at)"
    )
    assert pipeline.apply(policy).ok
    assert [event.turn for event in notify.run_round(policy, []).events] == [Transition.RESOLVED]
    assert [each["state"] for each in receiver.documents()] == ["raised", "resolved"]


def test_run_that_looked_at_one_table_resolves_nothing(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, database, receiver.webhook())
    tell(policy, 0, "public.other")
    pipeline.apply(policy, request=Request(table=QualifiedName("public", "events")))
    turns = {event.turn for event in notify.run_round(policy, [], now=NOW).events}
    assert turns == {Transition.RAISED}


def test_sight_of_one_object_resolves_no_other(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, database, receiver.webhook())
    tell(policy, 0, "a", "b")
    calm = FindingSet(policy.database.name, [], KINDS, only="a")
    notify.run_round(policy, [(NOW, calm)])
    told = [document.get("alerts", [document]) for document in receiver.documents()]
    assert [[each["object"] for each in alerts] for alerts in told] == [["a", "b"], ["a"]]


def test_acknowledged_alert_is_listed_so(database: Database, tmp_path: Path) -> None:
    path = str(policy_file(tmp_path, database, {"type": "log"}))
    tell(load_policy(Path(path)), 0, "public.events")
    code, document = run(
        "alerts", "ack", "partition_gap", "public.events", "--until", "3 days", "--policy", path
    )
    assert code == 0
    (alert,) = document["alerts"]
    assert alert["acknowledged_until"] is not None
    assert run("alerts", "--policy", path) == (0, document)


def test_tending_an_alert_that_does_not_stand_names_those_that_do(
    database: Database, tmp_path: Path
) -> None:
    path = str(policy_file(tmp_path, database, {"type": "log"}))
    tell(load_policy(Path(path)), 0, "public.events")
    arguments = ["alerts", "mute", "partition_gap", "public.other", "--until", "2026-12-01"]
    result = CliRunner().invoke(cli, [*arguments, "--policy", path])
    assert result.exit_code == 2
    assert "partition_gap public.events" in result.stderr


def test_database_out_of_reach_is_an_alert_where_the_store_is_another(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    events = {"table": "public.events", "column": "at", "interval": "1 month", "premake": 3}
    alerts = {"sinks": [receiver.webhook()]}
    gone = "postgresql://nobody@127.0.0.1:9/app"
    path = write_policy(tmp_path, gone, events, alerts=alerts, store={"url": database.url})
    report = notify.notify(load_policy(path))
    assert [(e.turn, e.alert.identity.kind) for e in report.events] == [
        (Transition.RAISED, FindingKind.DATABASE_UNREACHABLE)
    ]
    assert [each["value"] for each in receiver.documents()] == ["refused"]
