"""Report mode, approval and pause on real servers: what is held, by whom, and until when."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.demo.postgres import PostgresServer
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.gate import Origin
from maintenance.engine.scope import Request
from maintenance.errors import HeldError, UnreachableError, UsageError
from maintenance.names import QualifiedName, parse_name
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.approve import approve
from maintenance.pipeline.notify import run_round
from maintenance.pipeline.pause import pause, resume
from maintenance.pipeline.restore import restore_period
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from tests.builders import Database, cloned
from tests.integration.test_apply import child, month, names
from tests.past_months import make_template_of_months
from tests.policies import EVENTS, make_policy

pytestmark = pytest.mark.store

TABLE = QualifiedName("public", "events")
OLD = {child(-5), child(-4), child(-3)}
VIEW = "CREATE MATERIALIZED VIEW public.daily AS SELECT count(*) AS n FROM public.events"


@pytest.fixture
def filled(server: PostgresServer) -> Iterator[Database]:
    """Events of the five past months and this one, a row in each, analyzed."""
    for database in cloned(server, make_template_of_months(server, *(-n for n in range(6)))):
        rows = ", ".join(f"({n}, '{month(-n)}-02')" for n in range(6))
        database.execute(f"INSERT INTO public.events VALUES {rows}")
        database.execute("ANALYZE public.events")
        yield database


def policy_of(
    database: Database, folder: Path, mode: dict[str, Any] | None = None, **sections: Any
) -> Policy:
    """A policy with retention; its `mode` by section."""
    modes = mode or {}
    retention = {"keep": "2 months", "action": "drop", **modes.get("retention", {})}
    table = {**EVENTS, "retention": retention, **modes.get("table", {})}
    about = {"name": "app", "url": database.url, **modes.get("database", {})}
    return make_policy(folder, database.url, table, database=about, **sections)


def by_schedule(policy: Policy, **given: Any) -> Report:
    return pipeline.apply(policy, origin=Origin.SCHEDULED, **given)


def reasons(report: Report) -> set[str]:
    return {str(result.as_json()["held_by"]) for result in report.results}


def unapproved(report: Report) -> dict[str, Any]:
    (found,) = [f for f in report.findings if f.kind is FindingKind.RETENTION_UNAPPROVED]
    assert (found.severity, found.object) == (Severity.WARN, "public.events")
    return dict(found.data)


def has_finding(report: Report, kind: FindingKind) -> bool:
    return any(finding.kind is kind for finding in report.findings)


def call(*arguments: object) -> tuple[int, Any]:
    result = CliRunner().invoke(cli, [str(a) for a in arguments] + ["--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout else None


# Mode


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("origin", Origin)
def test_database_in_report_mode_is_observed_and_left_alone(
    filled: Database, tmp_path: Path, origin: Origin
) -> None:
    filled.execute(VIEW)
    view = {"matviews": [{"name": "public.daily"}], "statistics": {"changed_rows": 0}}
    policy = policy_of(filled, tmp_path, {"database": {"mode": "report"}}, **view)
    filled.execute(f"DROP TABLE public.{child(3)}")
    before = (names(filled), filled.execute("SELECT n FROM public.daily"))
    report = pipeline.apply(policy, origin=origin)
    kinds = {result.action.kind.value for result in report.results}
    assert {"create_partition", "drop_partition", "refresh_matview"} <= kinds
    assert {result.outcome for result in report.results} == {Outcome.SKIPPED}
    assert reasons(report) == {"report_mode"}
    assert has_finding(report, FindingKind.PARTITION_HORIZON_SHORT)
    assert (names(filled), filled.execute("SELECT n FROM public.daily")) == before
    journaled = (
        "SELECT count(*) FROM maintenance.journal j JOIN maintenance.run r ON r.id = j.run_id"
    )
    assert filled.execute(f"{journaled} WHERE r.database = 'app'") == [(0,)]
    found = (
        "SELECT count(*) > 0 FROM maintenance.finding f JOIN maintenance.run r ON r.id = f.run_id"
    )
    assert filled.execute(f"{found} WHERE r.database = 'app'") == [(True,)]


@pytest.mark.pg("== 18")
def test_section_in_report_mode_leaves_the_others_at_work(filled: Database, tmp_path: Path) -> None:
    policy = policy_of(filled, tmp_path, {"retention": {"mode": "report"}})
    filled.execute(f"DROP TABLE public.{child(3)}")
    report = pipeline.apply(policy)
    outcomes = {(r.action.kind.value, r.outcome.value) for r in report.results}
    assert outcomes == {
        ("create_partition", "done"),
        ("detach_partition", "skipped"),
        ("drop_partition", "skipped"),
    }
    assert report.ok
    assert set(names(filled)) > OLD
    assert not has_finding(report, FindingKind.RETENTION_UNAPPROVED)
    assert has_finding(report, FindingKind.RETENTION_DUE)


@pytest.mark.pg("== 18")
def test_held_actions_are_skipped_with_their_reason_and_exit_zero(
    filled: Database, tmp_path: Path
) -> None:
    path = policy_of(filled, tmp_path, {"table": {"mode": "report"}}).path
    code, planned = call("plan", "--policy", path)
    assert (code, {a["held_by"] for a in planned["actions"]}) == (0, {"report_mode"})
    code, applied = call("apply", "--policy", path)
    found = {(a["outcome"], a["held_by"]) for a in applied["actions"]}
    assert (code, found) == (0, {("skipped", "report_mode")})
    code, status = call("status", "--policy", path)
    assert (code, status["mode"], status["pause"]) == (0, "act", None)


@pytest.mark.pg("== 18")
def test_command_that_names_one_object_is_refused_in_report_mode(
    filled: Database, tmp_path: Path
) -> None:
    filled.execute(VIEW)
    view = [{"name": "public.daily", "mode": "report"}]
    archive = {"action": "archive_then_drop", "archive": {"url": str(tmp_path / "archive")}}
    policy = policy_of(
        filled, tmp_path, {"table": {"mode": "report"}, "retention": archive}, matviews=view
    )
    request = Request(parse_name("public.daily"), rebuild=True)
    with pytest.raises(UsageError) as rebuild:
        pipeline.apply(policy, only=["matviews"], request=request)
    with pytest.raises(UsageError) as restore:
        restore_period(policy, TABLE, month(-5))
    assert rebuild.value.reason == restore.value.reason == "report_mode"


# Approval


def test_schedule_drops_nothing_until_approved_and_then_acts(
    filled: Database, tmp_path: Path
) -> None:
    policy = policy_of(filled, tmp_path)
    report = by_schedule(policy)
    assert reasons(report) == {"retention_unapproved"}
    assert report.ok
    facts = unapproved(report)
    assert facts["periods"] == [month(-5), month(-4), month(-3)]
    assert facts["rows"] == 3
    sizes = (
        "SELECT sum(pg_total_relation_size(c.oid))::int FROM pg_class c WHERE relname = ANY (%s)"
    )
    assert [(facts["bytes"],)] == filled.execute(sizes, [list(OLD)])
    assert set(names(filled)) > OLD

    (approved,) = approve(policy, TABLE).approved
    assert (approved.approval.terms.action, approved.was_approved) == ("drop", False)
    assert approved.due["rows"] == 3
    assert "/" in approved.approval.by
    report = by_schedule(policy)
    assert {result.outcome for result in report.results} == {Outcome.DONE}
    assert not has_finding(report, FindingKind.RETENTION_UNAPPROVED)
    assert OLD.isdisjoint(names(filled))


@pytest.mark.pg("== 18")
def test_held_retention_is_one_alert_until_it_was_carried_out(
    filled: Database, tmp_path: Path
) -> None:
    policy = policy_of(filled, tmp_path)
    turns: list[str] = []
    for _ in range(2):
        by_schedule(policy)
        turns += [event.turn.value for event in run_round(policy, []).events]
    approve(policy)
    by_schedule(policy)
    turns += [event.turn.value for event in run_round(policy, []).events]
    assert turns == ["raised", "resolved"]


@pytest.mark.pg("== 18")
def test_change_that_destroys_more_needs_a_new_approval(filled: Database, tmp_path: Path) -> None:
    long = policy_of(filled, tmp_path, {"retention": {"keep": "4 months"}})
    approve(long)
    short = policy_of(filled, tmp_path)
    assert reasons(by_schedule(short)) == {"retention_unapproved"}
    assert unapproved(by_schedule(short))["keep"] == "2 months"
    assert {r.outcome for r in by_schedule(long).results} == {Outcome.DONE}


@pytest.mark.pg("== 18")
def test_retention_that_was_keep_meanwhile_needs_a_new_approval(
    filled: Database, tmp_path: Path
) -> None:
    approve(policy_of(filled, tmp_path))
    by_schedule(policy_of(filled, tmp_path, {"retention": {"action": "keep"}}))
    assert reasons(by_schedule(policy_of(filled, tmp_path))) == {"retention_unapproved"}


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("origin", [Origin.COMMAND, Origin.LAUNCHED])
def test_run_by_hand_that_retired_a_partition_is_an_approval(
    filled: Database, tmp_path: Path, origin: Origin
) -> None:
    policy = policy_of(filled, tmp_path)
    pipeline.apply(policy, request=Request(max_per_run=1), origin=origin)
    assert child(-5) not in names(filled)
    assert {result.outcome for result in by_schedule(policy).results} == {Outcome.DONE}


@pytest.mark.pg("== 18")
def test_command_of_a_scheduler_needs_an_approval_and_is_not_refused_by_a_pause(
    filled: Database, tmp_path: Path
) -> None:
    policy = policy_of(filled, tmp_path)
    of = ("--policy", policy.path, "--scheduled")
    for command in ("plan", "apply"):
        code, document = call(command, *of)
        assert code == 0
        assert {each["held_by"] for each in document["actions"]} == {"retention_unapproved"}
    assert set(names(filled)) > OLD
    pause(policy, reason="migration")
    code, document = call("apply", *of)
    assert (code, {each["held_by"] for each in document["actions"]}) == (0, {"paused"})
    resume(policy)
    approve(policy)
    assert call("apply", *of)[0] == 0
    assert not OLD.intersection(names(filled))
    saved = tmp_path / "plan.json"
    assert call("plan", "--policy", policy.path, "--out", saved)[0] == 0
    assert call("apply", "--plan", saved, *of)[0] == 2


@pytest.mark.pg("== 18")
def test_run_by_hand_that_retired_nothing_is_no_approval(filled: Database, tmp_path: Path) -> None:
    keeping = policy_of(filled, tmp_path, {"retention": {"keep": "12 months"}})
    assert pipeline.apply(keeping).results == ()
    assert approve(keeping).approved[0].was_approved is False
    assert approve(keeping).approved[0].was_approved is True


@pytest.mark.pg("== 18")
def test_approve_names_what_it_approves_and_refuses_other_tables(
    filled: Database, tmp_path: Path
) -> None:
    path = policy_of(filled, tmp_path).path
    code, document = call("approve", "--policy", path, "--table", "public.events")
    (approved,) = document["approved"]
    assert code == 0
    assert (approved["table"], approved["action"], approved["keep"]) == (
        "public.events",
        "drop",
        "2 months",
    )
    assert approved["due"]["periods"] == [month(-5), month(-4), month(-3)]
    assert call("approve", "--policy", path, "--table", "public.other")[0] == 2


# Pause


@pytest.mark.pg("== 18")
def test_reason_of_a_pause_is_short_and_shown_on_one_line(filled: Database, tmp_path: Path) -> None:
    policy = policy_of(filled, tmp_path)
    with pytest.raises(UsageError):
        pause(policy, reason="x" * 1_001)
    pause(policy, reason="one\ntwo\x1b[31m")
    with pytest.raises(HeldError) as caught:
        pipeline.apply(policy)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.pg("== 18")
def test_paused_database_is_observed_and_left_alone_until_resumed(
    filled: Database, tmp_path: Path
) -> None:
    policy = policy_of(filled, tmp_path, {"database": {"mode": "act"}})
    pause(policy, reason="migration")
    for origin in (Origin.SCHEDULED, Origin.LAUNCHED):
        report = pipeline.apply(policy, origin=origin)
        assert (report.ok, reasons(report)) == (True, {"paused"})
        (found,) = [f for f in report.findings if f.kind is FindingKind.PAUSED]
        assert (found.severity, found.data["reason"]) == (Severity.INFO, "migration")
    later = datetime.now(UTC) + timedelta(days=8)
    (found,) = [
        f for f in pipeline.plan(policy, now=later).findings if f.kind is FindingKind.PAUSED
    ]
    assert found.severity is Severity.WARN
    assert set(names(filled)) > OLD
    assert resume(policy).ended is not None
    report = by_schedule(policy)
    assert {result.outcome for result in report.results} == {Outcome.DONE}
    assert not has_finding(report, FindingKind.PAUSED)


@pytest.mark.pg("== 18")
def test_commands_are_refused_while_paused_and_store_nothing(
    filled: Database, tmp_path: Path
) -> None:
    policy = policy_of(filled, tmp_path)
    code, document = call("pause", "--policy", policy.path, "--for", "4 hours", "--reason", "move")
    assert (code, document["pause"]["reason"]) == (0, "move")
    assert document["pause"]["until"] is not None
    code, refused = call("apply", "--policy", policy.path)
    assert (code, refused["error"]["reason"]) == (1, "paused")
    with pytest.raises(HeldError):
        pipeline.apply(policy, request=Request(parse_name("public.events")))
    assert filled.execute("SELECT count(*) FROM maintenance.run WHERE database = 'app'") == [(0,)]
    code, status = call("status", "--policy", policy.path)
    assert (code, status["pause"]["reason"]) == (0, "move")
    assert call("resume", "--policy", policy.path) == (
        0,
        {"database": "app", "pause": None, "ended": status["pause"]},
    )
    assert call("apply", "--policy", policy.path)[0] == 0


@pytest.mark.pg("== 18")
def test_pause_ends_by_itself(filled: Database, tmp_path: Path) -> None:
    policy = policy_of(filled, tmp_path)
    pause(policy, datetime.now(UTC) + timedelta(hours=1))
    filled.execute("UPDATE maintenance.pause SET until = pg_catalog.clock_timestamp()")
    assert pipeline.apply(policy).ok
    assert OLD.isdisjoint(names(filled))


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("arguments", [["--until", "2020-01-01"], ["--for", "0 hours"]])
def test_pause_into_the_past_is_refused(
    filled: Database, tmp_path: Path, arguments: list[str]
) -> None:
    path = policy_of(filled, tmp_path).path
    assert call("pause", "--policy", path, *arguments)[0] == 2
    assert call("pause", "--policy", path, "--for", "1 hour", "--until", "2030-01-01")[0] == 2


@pytest.mark.pg("== 18")
def test_pause_during_a_run_stops_its_other_actions(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maintenance.pipeline.gate.ASK_EVERY_S", 0)
    policy = policy_of(filled, tmp_path)

    def progress(line: str) -> None:
        if line.startswith("[1/"):
            pause(policy)

    report = pipeline.apply(policy, progress=progress)
    outcomes = [result.outcome for result in report.results]
    assert outcomes == [Outcome.DONE] + [Outcome.SKIPPED] * (len(outcomes) - 1)
    assert [r.as_json()["held_by"] for r in report.results][1:] == ["paused"] * (len(outcomes) - 1)
    assert len(OLD & set(names(filled))) == 2


@pytest.mark.pg("== 18")
def test_unknown_pause_lets_nothing_act(filled: Database, tmp_path: Path) -> None:
    nowhere = {"url": "postgresql://127.0.0.1:1/store"}
    policy = policy_of(filled, tmp_path, store=nowhere)
    with pytest.raises(UnreachableError):
        pipeline.apply(policy)
    assert set(names(filled)) > OLD
    assert not has_finding(pipeline.plan(policy), FindingKind.RETENTION_UNAPPROVED)


@pytest.mark.pg("== 18")
def test_restore_is_refused_while_paused(filled: Database, tmp_path: Path) -> None:
    archive = {"action": "archive_then_drop", "archive": {"url": str(tmp_path / "archive")}}
    policy = policy_of(filled, tmp_path, {"retention": archive})
    pipeline.apply(policy)
    pause(policy)
    with pytest.raises(HeldError) as refused:
        restore_period(policy, TABLE, month(-5))
    assert refused.value.reason == "paused"
    resume(policy)
    assert restore_period(policy, TABLE, month(-5)).restored.attached
