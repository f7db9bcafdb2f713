"""`init` on databases of strangers: what it proposes loads, is accepted, and plans no surprise."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from maintenance.cli.commands import cli
from maintenance.engine.actions import ActionKind
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.init import InitReport, init
from maintenance.pipeline.run import Report
from maintenance.policy import Policy, load_policy
from tests import strangers
from tests.builders import Database, Role
from tests.policies import make_policy

VARIABLE = "STRANGER_URL"


@pytest.fixture(autouse=True)
def sessions_in_utc(request: pytest.FixtureRequest) -> None:
    """The zone of the machine decides nothing."""
    if "database" in request.fixturenames:
        database: Database = request.getfixturevalue("database")
        database.execute(f"ALTER DATABASE {database.name} SET TimeZone = 'UTC'")


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
    warned = {f.kind for f in checked.findings if f.severity is not Severity.INFO}
    assert warned <= ({FindingKind.PARTMAN_ACTIVE} if name == "partman" else set[FindingKind]())
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


@pytest.fixture
def prisma(database: Database) -> Database:
    """The application with a table that is large by the catalog's estimate."""
    database.execute(strangers.schema("prisma"))
    database.execute("SELECT pg_stat_force_next_flush()")
    large = "UPDATE pg_catalog.pg_class SET relpages = 2000000 WHERE oid = %s::regclass"
    database.execute(large, ['public."PageView"'])
    return database


@pytest.mark.pg("== 18")
def test_matviews_are_named_with_their_key_unless_a_refresh_would_block(
    prisma: Database, tmp_path: Path
) -> None:
    report = proposal(prisma, tmp_path)
    assert settings(report)['public."UserActivity"']["unique_index"] == ["userId"]
    reasons = {str(each.relation): each.reason for each in report.entries if not each.applies}
    assert reasons['public."TopUsers"'] == "no_unique_index"
    prisma.execute('REFRESH MATERIALIZED VIEW public."UserActivity" WITH NO DATA')
    reasons = {
        str(each.relation): each.reason
        for each in proposal(prisma, tmp_path).entries
        if not each.applies
    }
    assert reasons['public."UserActivity"'] == "unpopulated"


@pytest.mark.pg("== 18")
def test_function_of_a_view_hides_what_it_reads(database: Database, tmp_path: Path) -> None:
    database.execute(
        "CREATE FUNCTION public.n() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';"
        "CREATE MATERIALIZED VIEW public.v AS SELECT public.n() AS n;"
        "CREATE UNIQUE INDEX ON public.v (n)"
    )
    (entry,) = proposal(database, tmp_path).entries
    assert entry.applies
    assert len(entry.notes) == 1


@pytest.mark.pg("== 18")
def test_large_table_of_inserts_is_proposed_for_conversion(
    prisma: Database, tmp_path: Path
) -> None:
    (entry,) = (e for e in proposal(prisma, tmp_path).entries if e.reason == "conversion")
    assert not entry.applies
    values = {setting.key: setting.value for setting in entry.settings}
    assert values["table"] == 'public."PageView"'
    assert (values["column"], values["convert"]) == ("createdAt", "online")


@pytest.mark.pg("== 18")
def test_large_table_that_is_updated_is_not_proposed(prisma: Database, tmp_path: Path) -> None:
    prisma.execute("UPDATE public.\"PageView\" SET path = '/x'; SELECT pg_stat_force_next_flush()")
    assert not any(e.reason == "conversion" for e in proposal(prisma, tmp_path).entries)


def test_schema_in_the_url_is_the_search_path(database: Database, tmp_path: Path) -> None:
    database.execute('CREATE SCHEMA "Shop"')
    url = f"{database.url}?schema=Shop&connection_limit=5"
    report = init(url, os.environ, name="shop", variable=VARIABLE, path=tmp_path / "shop.yaml")
    (tmp_path / "shop.yaml").write_text(report.text)
    policy = load_policy(tmp_path / "shop.yaml")
    assert policy.database.search_path == '"Shop"'
    assert pipeline.check(Target(policy, {**os.environ, VARIABLE: url})).ok


@pytest.mark.pg("== 18")
def test_check_says_what_no_section_names(prisma: Database, tmp_path: Path) -> None:
    policy = make_policy(tmp_path, prisma.url)
    checked = pipeline.check(policy)
    assert checked.ok
    (finding,) = (f for f in checked.findings if f.kind is FindingKind.NOT_IN_POLICY)
    assert finding.severity is Severity.INFO
    assert finding.data["partitioned"] == ['public."AuditLog"']
    assert finding.data["convertible"] == ['public."PageView"']
    assert set(finding.data["matviews"]) == {'public."TopUsers"', 'public."UserActivity"'}
    assert finding.value == 4
    assert pipeline.plan(policy).findings == ()


@pytest.mark.pg("== 18")
def test_check_says_when_partitions_end_that_no_section_names(
    database: Database, tmp_path: Path
) -> None:
    today = datetime.now(UTC).date()
    database.execute(
        "CREATE TABLE public.events (at date NOT NULL) PARTITION BY RANGE (at);"
        f"CREATE TABLE public.events_1 PARTITION OF public.events"
        f" FOR VALUES FROM ('{today}') TO ('{today + timedelta(days=1)}')"
    )
    (finding,) = pipeline.check(make_policy(tmp_path, database.url)).findings
    tomorrow = f"{today + timedelta(days=1)}T00:00:00+00:00"
    assert finding.data["ends"] == {"public.events": tomorrow}


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(
    ("ahead", "severity"), [(3, Severity.WARN), (0.5, Severity.ERROR), (20, None)]
)
def test_three_lines_are_enough_to_hear_of_partitions_that_end(
    database: Database, tmp_path: Path, ahead: float, severity: Severity | None
) -> None:
    database.execute(strangers.schema("rails"))
    [(last,)] = database.execute(
        "SELECT max(created_at) + interval '2 months' FROM public.ahoy_events"
    )
    end = last.replace(day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    path = tmp_path / "app.yaml"
    path.write_text(f"database:\n  name: app\n  url: {database.url}\n")
    planned = pipeline.plan(load_policy(path), now=end - timedelta(days=ahead))
    found = [f for f in planned.findings if f.kind is FindingKind.PARTITIONS_ENDING]
    assert [(f.object, f.severity) for f in found] == (
        [("public.ahoy_events", severity)] if severity is not None else []
    )
    (unnamed,) = (f for f in planned.findings if f.kind is FindingKind.NOT_IN_POLICY)
    assert unnamed.value == 2


@pytest.mark.pg("== 18")
def test_partitions_that_pg_partman_makes_do_not_end(database: Database, tmp_path: Path) -> None:
    database.execute(strangers.schema("partman"))
    (finding,) = pipeline.check(make_policy(tmp_path, database.url)).findings
    assert finding.value == 3
    assert finding.data["ends"].keys() == {"public.hits"}  # its maintenance is off


@pytest.mark.pg("== 18")
def test_check_is_silent_when_everything_is_named(database: Database, tmp_path: Path) -> None:
    database.execute(strangers.schema("rails"))
    proposal(database, tmp_path)
    assert pipeline.check(target(database, tmp_path)).findings == ()


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ({}, True),
        ({"name": "{table}_{yyyy}{mm}"}, True),
        ({"name": "{table}_y{yyyy}m{mm}"}, False),
        ({"interval": "1 year"}, False),  # another finding: no partition is a year
    ],
)
def test_check_says_that_new_partitions_would_be_named_otherwise(
    database: Database, tmp_path: Path, name: dict[str, str], differs: bool
) -> None:
    database.execute(strangers.schema("rails"))
    section = {"table": "public.ahoy_events", "column": "created_at", **name}
    checked = pipeline.check(make_policy(tmp_path, database.url, section))
    found = [f for f in checked.findings if f.kind is FindingKind.PARTITION_NAMES_DIFFER]
    assert bool(found) == differs
    for finding in found:
        assert finding.data["template"] == "{table}_y{yyyy}m{mm}"


@pytest.mark.pg("== 18")
def test_table_that_seems_out_of_use_is_neither_filled_nor_counted(
    database: Database, tmp_path: Path
) -> None:
    database.execute(
        "CREATE TABLE public.old (at date NOT NULL) PARTITION BY RANGE (at);"
        "CREATE TABLE public.old_2020 PARTITION OF public.old"
        " FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"
    )
    (entry,) = proposal(database, tmp_path).entries
    assert entry.reason == "ended"
    assert pipeline.check(make_policy(tmp_path, database.url)).findings == ()


@pytest.mark.pg("== 18")
def test_missing_privileges_are_given_as_statements(
    database: Database, limited_role: Role, tmp_path: Path
) -> None:
    database.execute(strangers.schema("rails"))
    url = database.url_of(limited_role)
    report = init(url, os.environ, name="app", variable=VARIABLE, path=tmp_path / "app.yaml")
    assert not report.ok
    assert report.grants
    for statement in report.grants:
        database.execute(statement)
    again = init(url, os.environ, name="app", variable=VARIABLE, path=tmp_path / "app.yaml")
    assert set(again.grants).isdisjoint(report.grants)


@pytest.mark.pg("== 18")
def test_names_that_can_collide_are_proposed_as_comments(
    database: Database, tmp_path: Path
) -> None:
    month = datetime.now(UTC).date().replace(day=1)
    following = (month + timedelta(days=32)).replace(day=1)
    for table, partition in (("a", f"p{month:%Y%m}"), ("b", f"p{month:%m%Y}")):
        database.execute(
            f"CREATE TABLE public.{table} (at date NOT NULL) PARTITION BY RANGE (at);"
            f"CREATE TABLE public.{partition} PARTITION OF public.{table}"
            f" FOR VALUES FROM ('{month}') TO ('{following}')"
        )
    report = proposal(database, tmp_path)
    assert [entry.reason for entry in report.entries] == ["", "name_collision"]
    assert len(load_policy(tmp_path / "stranger.yaml").partitions) == 1


MONTHS = """
CREATE TABLE public.t (at timestamptz NOT NULL, id int NOT NULL) PARTITION BY RANGE (at);
SET TimeZone = 'UTC';
DO $$
DECLARE month timestamptz := date_trunc('month', now()) - interval '2 months';
BEGIN
  FOR n IN 1..3 LOOP
    EXECUTE format('CREATE TABLE public.%I PARTITION OF public.t FOR VALUES FROM (%L) TO (%L) {by}',
                   't_' || to_char(month, 'YYYY_MM'), month, month + interval '1 month');
    {more}
    month := month + interval '1 month';
  END LOOP;
  {last}
END $$;
"""
BELOW = """
    EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES {values}',
                   't_' || to_char(month, 'YYYY_MM') || '_1', 't_' || to_char(month, 'YYYY_MM'));
"""


def months(by: str = "", more: str = "", last: str = "") -> str:
    return MONTHS.format(by=by, more=more, last=last)


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        (
            f"{months()} CREATE TABLE public.t_default PARTITION OF public.t DEFAULT;"
            " INSERT INTO public.t VALUES (now() + interval '40 days', 1)",
            {ActionKind.CREATE_PARTITION, ActionKind.SWAP_DEFAULT},
        ),
        (
            f"{months()} GRANT SELECT ON public.t TO pg_monitor",
            {ActionKind.CREATE_PARTITION, ActionKind.REPAIR_PARTITION},
        ),
    ],
)
def test_table_of_which_a_run_would_change_what_exists_is_only_reported(
    database: Database, tmp_path: Path, sql: str, kinds: set[ActionKind]
) -> None:
    database.execute(sql)
    report = proposal(database, tmp_path)
    (section,) = load_policy(tmp_path / "stranger.yaml").partitions
    assert section.mode == "report"
    assert {action.kind for action in report.plan.plan.actions} == kinds
    assert all(action.held is not None for action in report.plan.plan.actions)


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (
            months("PARTITION BY RANGE (at)", BELOW.format(values="FROM (MINVALUE) TO (MAXVALUE)")),
            "partition_property_drift",
        ),
        (
            months(last="EXECUTE format('CREATE TABLE public.%I (x int)',"
                   " 't_' || to_char(month, 'YYYY_MM'));"),
            "partition_name_taken",
        ),
    ],
)  # fmt: skip
def test_table_for_which_nothing_could_be_created_is_a_comment(
    database: Database, tmp_path: Path, sql: str, reason: str
) -> None:
    database.execute(sql)
    (entry,) = proposal(database, tmp_path).entries
    assert entry.reason == reason
    assert load_policy(tmp_path / "stranger.yaml").partitions == ()


@pytest.mark.pg("== 18")
def test_trees_and_partitions_of_another_schema_go_on_as_they_are(
    database: Database, tmp_path: Path
) -> None:
    database.execute(
        months("PARTITION BY HASH (id)", BELOW.format(values="WITH (MODULUS 1, REMAINDER 0)"))
        .replace("CREATE TABLE public.%I", "CREATE TABLE parts.%I")
        .replace("OF public.%I", "OF parts.%I")
        .replace("CREATE TABLE public.t", "CREATE SCHEMA parts; CREATE TABLE public.t")
    )
    report = proposal(database, tmp_path)
    assert [entry.applies for entry in report.entries] == [True]
    assert {action.object.partition(".")[0] for action in report.plan.plan.actions} == {"parts"}


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


@pytest.mark.pg("== 18")
def test_unreadable_configuration_of_pg_partman_is_said_with_the_grants(
    database: Database, limited_role: Role, tmp_path: Path
) -> None:
    database.execute(strangers.schema("partman"))
    url, path = database.url_of(limited_role), tmp_path / "app.yaml"
    report = init(url, os.environ, name="app", variable=VARIABLE, path=path)
    assert all(values.get("premake") != 4 for values in settings(report).values())
    grants = [grant for grant in report.grants if "partman" in grant]
    assert len(grants) == 2
    for grant in grants:
        database.execute(grant)
    report = init(url, os.environ, name="app", variable=VARIABLE, path=path)
    assert settings(report)["public.orders"]["premake"] == 4
    assert not any("partman" in grant for grant in report.grants)


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(
    ("column", "value", "key"),
    [
        ("retention", "7 days", "retention"),  # shorter than a month
        ("retention", "36:00:00", "retention"),
        ("retention", "4000 years", "retention"),
        ("retention", "nonsense", "retention"),
        ("retention_schema", "old", "retention"),
        ("retention_keep_index", "false", "retention"),
        ("premake", "4000", "premake"),
    ],
)
def test_setting_of_pg_partman_without_a_counterpart_is_a_comment(
    database: Database, tmp_path: Path, column: str, value: str, key: str
) -> None:
    database.execute(strangers.schema("partman"))
    database.execute(
        f"UPDATE partman.part_config SET {column} = '{value}' WHERE parent_table = 'public.orders'"
    )
    report = proposal(database, tmp_path)
    (entry,) = (e for e in report.entries if str(e.relation) == "public.orders")
    assert entry.applies
    assert key not in entry.values
    assert key in {setting.key for setting in entry.settings}
    assert all(not action.destructive for action in report.plan.plan.actions)


@pytest.mark.pg("== 18")
def test_configuration_with_other_types_is_not_read(database: Database, tmp_path: Path) -> None:
    database.execute(
        "CREATE DOMAIN public.mine AS text; CREATE TABLE public.part_config (parent_table"
        " public.mine, control text, partition_interval text, premake int, retention text,"
        " automatic_maintenance text)"
    )
    assert proposal(database, tmp_path).ok
    assert "part_config" not in (tmp_path / "stranger.yaml").read_text()


def test_name_that_no_policy_can_have_is_refused() -> None:
    assert run("--url", "postgresql://h/d", "--name", "My App").exit_code == 2


@pytest.mark.parametrize("arguments", [(), ("--url", "postgresql://h/d", "--env", "X")])
def test_command_needs_one_source_of_the_url(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_command_tells_that_the_server_is_away() -> None:
    assert run("--url", "postgresql://nobody@127.0.0.1:1/nothing").exit_code == 3
