"""`init` on databases of strangers: what it proposes loads, is accepted, and plans no surprise."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from maintenance.cli import cli
from maintenance.engine.actions import ActionKind
from maintenance.engine.findings import Severity
from maintenance.engine.target import Target
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.init import InitReport, init
from maintenance.pipeline.run import Report
from maintenance.policy import Policy, load_policy
from tests import strangers
from tests.builders import Database

VARIABLE = "STRANGER_URL"


def proposal(database: Database, folder: Path) -> InitReport:
    path = folder / "stranger.yaml"
    report = init(database.url, os.environ, name="stranger", variable=VARIABLE, path=path)
    path.write_text(report.text)
    return report


def target(database: Database, folder: Path) -> Target:
    policy = load_policy(folder / "stranger.yaml")
    return Target(policy, {**os.environ, VARIABLE: database.url})


def settings(report: InitReport) -> Mapping[str, Mapping[str, Any]]:
    """The settings of the entries that apply, by relation."""
    return {str(each.relation): each.values for each in report.entries if each.applies}


def left_out(report: InitReport) -> dict[str, str]:
    return {str(each.relation): each.reason for each in report.left_out}


@pytest.mark.parametrize("name", strangers.NAMES)
def test_policy_of_a_strangers_database_is_accepted_and_plans_no_surprise(
    name: str, database: Database, tmp_path: Path
) -> None:
    database.execute(strangers.schema(name))
    report = proposal(database, tmp_path)
    on = target(database, tmp_path)
    checked = pipeline.check(on)
    assert checked.ok
    assert {f.severity for f in checked.findings} <= {Severity.INFO}
    planned = pipeline.plan(on)
    assert all(f.severity is not Severity.ERROR for f in planned.findings)
    assert planned.plan.actions == report.plan.plan.actions
    kinds = {action.kind for action in planned.plan.actions}
    assert kinds <= {ActionKind.CREATE_PARTITION, ActionKind.REFRESH_MATVIEW}
    assert not any(action.destructive for action in planned.plan.actions)
    named_alike(planned, on.policy)
    pipeline.apply(on)
    again = pipeline.plan(on)
    assert [a for a in again.plan.actions if a.kind is ActionKind.CREATE_PARTITION] == []


def named_alike(planned: Report, policy: Policy) -> None:
    """The sections give the names that the existing partitions have."""
    assert policy.partitions
    assert planned.snapshot is not None
    for section in policy.partitions:
        table = planned.snapshot.tables[section.table]
        names = {p.relation.name for p in table.partitions if not p.is_default}
        assert {name for name in names if not section.may_name(name)} <= {"the past"}


@pytest.mark.pg("== 18")
def test_rails_months_without_a_zone(database: Database, tmp_path: Path) -> None:
    database.execute(strangers.schema("rails"))
    found = settings(proposal(database, tmp_path))["public.ahoy_events"]
    assert (found["column"], found["interval"]) == ("created_at", "1 month")
    assert found["name"] == "{table}_y{yyyy}m{mm}"
    assert "encoding" not in found
    assert "retention" not in found


@pytest.mark.pg("== 18")
def test_django_months_named_by_words_and_milliseconds(database: Database, tmp_path: Path) -> None:
    database.execute(strangers.schema("django"))
    report = proposal(database, tmp_path)
    found = settings(report)
    assert found["public.audit_logentry"]["name"] == "{table}_{yyyy}_{mon}"
    assert found["public.metrics_hourly"]["encoding"] == "epoch_ms"
    assert found["public.metrics_hourly"]["name"] == "{table}_{yyyy}{mm}"
    assert left_out(report) == {"public.shard": "strategy"}


@pytest.mark.pg("== 18")
def test_prisma_names_keep_their_case(database: Database, tmp_path: Path) -> None:
    database.execute(strangers.schema("prisma"))
    found = settings(proposal(database, tmp_path))['public."AuditLog"']
    assert (found["table"], found["column"]) == ('public."AuditLog"', "createdAt")
    assert found["name"] == "{table}_{yyyy}-{mm}"


@pytest.mark.pg("== 18")
def test_hostile_names_and_bounds_of_another_zone(database: Database, tmp_path: Path) -> None:
    database.execute(strangers.schema("iot"))
    report = proposal(database, tmp_path)
    found = settings(report)
    days = found['"IoT Data"."Sensor ""Reading"": #1"']
    assert (days["interval"], days["time_zone"]) == ("1 day", "Europe/Berlin")
    assert days["name"] == "Sensor: {yyyy}.{mm}.{dd}"
    weeks = found['"IoT Data"."select"']
    assert (weeks["interval"], weeks["time_zone"]) == ("1 week", "Europe/Berlin")
    assert weeks["column"] == "at\ntime"
    assert weeks["name"] == "{table}_p{iyyy}w{ww}"
    assert "start" in weeks  # the forgotten week is left alone
    assert left_out(report) == {
        '"IoT Data".by_id': "no_time",
        '"IoT Data".hourly': "too_short",
        '"IoT Data".shift': "week_start",
    }


@pytest.fixture
def two_months(database: Database) -> Database:
    """A table whose bounds are midnight in Berlin and in Lagos: it has two winter months."""
    database.execute(
        "SET TimeZone = 'UTC';"
        "CREATE TABLE public.events (at timestamptz NOT NULL) PARTITION BY RANGE (at);"
        "CREATE TABLE public.events_2026_12 PARTITION OF public.events"
        " FOR VALUES FROM ('2026-11-30 23:00+00') TO ('2026-12-31 23:00+00');"
        "CREATE TABLE public.events_2027_01 PARTITION OF public.events"
        " FOR VALUES FROM ('2026-12-31 23:00+00') TO ('2027-01-31 23:00+00')"
    )
    return database


@pytest.mark.pg("== 18")
def test_zone_that_the_bounds_do_not_decide_is_not_guessed(
    two_months: Database, tmp_path: Path
) -> None:
    (entry,) = proposal(two_months, tmp_path).entries
    assert entry.reason == "zone_ambiguous"
    assert load_policy(tmp_path / "stranger.yaml").partitions == ()


@pytest.mark.pg("== 18")
def test_zone_of_the_database_decides(two_months: Database, tmp_path: Path) -> None:
    two_months.execute(f"ALTER DATABASE {two_months.name} SET TimeZone = 'Africa/Lagos'")
    (entry,) = proposal(two_months, tmp_path).entries
    assert entry.applies
    assert entry.values["time_zone"] == "Africa/Lagos"


@pytest.mark.pg("== 18")
def test_proposed_section_applies_when_its_marks_are_removed(
    two_months: Database, tmp_path: Path
) -> None:
    text = proposal(two_months, tmp_path).text
    path = tmp_path / "uncommented.yaml"
    path.write_text(
        text.replace("# partitions:", "partitions:")
        .replace("  # - ", "  - ")
        .replace("  #   ", "    ")
    )
    (section,) = load_policy(path).partitions
    assert section.table.name == "events"


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli, ["init", *arguments], env=environ)


@pytest.mark.pg("== 18")
def test_command_writes_a_new_file_without_the_url(database: Database, tmp_path: Path) -> None:
    database.execute(strangers.schema("rails"))
    out = tmp_path / "new.yaml"
    result = run("--url", database.url, "--name", "shop", "--out", str(out))
    assert result.exit_code == 0
    policy: Policy = load_policy(out)
    assert policy.database.url.env == "SHOP_URL"
    assert str(database.server.port) not in out.read_text()
    assert "SHOP_URL" in result.stderr
    before = out.read_text()
    again = run("--url", database.url, "--name", "shop", "--out", str(out))
    assert again.exit_code == 2
    assert out.read_text() == before


@pytest.mark.pg("== 18")
def test_command_prints_the_policy_or_one_document(database: Database, tmp_path: Path) -> None:
    database.execute(strangers.schema("rails"))
    printed = run("--env", "MY_URL", MY_URL=database.url)
    assert printed.exit_code == 0
    path = tmp_path / "printed.yaml"
    path.write_text(printed.stdout)
    assert load_policy(path).database.url.env == "MY_URL"
    document = json.loads(run("--env", "MY_URL", "--json", MY_URL=database.url).stdout)
    assert document["policy"] == printed.stdout
    assert document["entries"][0]["relation"] == "public.ahoy_events"
    assert document["file"] is None


@pytest.mark.parametrize("arguments", [(), ("--url", "postgresql://h/d", "--env", "X")])
def test_command_needs_one_source_of_the_url(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_command_tells_that_the_server_is_away() -> None:
    assert run("--url", "postgresql://nobody@127.0.0.1:1/nothing").exit_code == 3
