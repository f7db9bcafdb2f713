"""The overview of a real database: what the store and one cheap look at partitions give."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families

from maintenance.cli.commands import cli
from maintenance.engine.findings import FindingKind
from maintenance.monitoring import Level, assess_health, observe_overview
from maintenance.monitoring.fleet import observe_fleet
from maintenance.orchestration.build import build
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.notify import run_round
from maintenance.policy import Policies, Policy
from tests.builders import Database, drop_database, make_database, server_folder
from tests.conftest import Servers
from tests.policies import CREATE_EVENTS, EVENTS, make_policy, write_policy

NOWHERE = "postgresql://app:geheim@127.0.0.1:9/shop"
ODD = 'public."</td>|<img src=x>"'
VIEW = {"name": "public.totals", "max_age": "1 hour", "unique_index": ["id"]}
EVENTS_KEPT = {**EVENTS, "retention": {"keep": "1 month", "action": "detach"}}
SECTIONS: dict[str, Any] = {"matviews": [VIEW], "workload": {}, "bloat": {}, "indexes": {}}


@pytest.fixture(scope="module")
def database(servers: Servers) -> Iterator[Database]:
    """One for the module; its tests change nothing that another one looks at."""
    database = make_database(servers.get(18))
    database.execute(CREATE_EVENTS)
    database.execute(f"CREATE TABLE {ODD} (at timestamptz)")
    database.execute("CREATE MATERIALIZED VIEW public.totals AS SELECT 1 AS id")
    database.execute(
        "CREATE TABLE public.events_2020_01 PARTITION OF public.events"
        " FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')"
    )
    yield database
    drop_database(database)


@pytest.fixture(scope="module")
def policy(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """A policy that was applied once, and whose findings were made alerts."""
    folder = tmp_path_factory.mktemp("policies")
    odd = {"table": ODD, "column": "at"}
    policy = make_policy(folder, database.url, EVENTS_KEPT, odd, **SECTIONS)
    pipeline.apply(policy, only=["partitions", "matviews", "workload", "bloat"])
    run_round(policy, [])
    return policy


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def numbers(text: str) -> dict[str, float]:
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_overview_has_what_runs_left_and_what_the_catalog_holds(policy: Policy) -> None:
    overview = observe_overview(policy)
    assert overview.blind is None
    assert overview.history is not None
    (events,) = overview.tables
    assert (events.ahead, events.premake) == (3, 3)
    assert [each.retention for each in events.partitions].count("expired") == 1
    assert ODD in {alert.identity.object for alert in overview.history.alerts}
    assert overview.history.views[0].age.fresh_as_of is not None
    past_actions = {
        (each.kind, each.outcome): each.n for each in overview.history.activity.past_actions
    }
    assert past_actions["create_partition", "done"] == 5
    assert overview.history.moments
    assert overview.history.work is not None
    named = {each.kind for each in overview.history.work.actions}
    assert named == {kind for kind, _ in past_actions}
    assert overview.history.load is not None
    assert overview.history.load.pool is None
    assert assess_health(overview).level is Level.NOW
    assert [each.n_expired for each in overview.coming if each.n_expired is not None] == [1]


def test_findings_that_nobody_has_judged_are_told(policy: Policy) -> None:
    before = observe_overview(policy).history
    pipeline.apply(policy, only=["workload"])
    between = observe_overview(policy).history
    run_round(policy, [])
    after = observe_overview(policy).history
    assert before is not None
    assert between is not None
    assert after is not None
    found = [each.activity.unprocessed_since for each in (before, between, after)]
    assert found == [None, between.activity.last_ended_at, None]


def test_overview_without_a_store_makes_none(database: Database, tmp_path: Path) -> None:
    empty = make_database(database.server)
    overview = observe_overview(make_policy(tmp_path, empty.url, EVENTS))
    assert overview.history is None
    assert empty.execute("SELECT to_regnamespace('maintenance')") == [(None,)]
    drop_database(empty)


def standing_alerts(text: str) -> dict[str, float]:
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = families["maintenance_alerts_standing"].samples
    return {sample.labels["severity"]: sample.value for sample in samples}


def test_metrics_command_prints_what_prometheus_reads(policy: Policy) -> None:
    history = observe_overview(policy).history
    assert history is not None
    severities = Counter(alert.severity.value for alert in history.alerts)
    assert severities["error"] == 1
    result = call("metrics", "--policy", policy.path)
    assert result.exit_code == 0, result.stderr
    found = numbers(result.stdout)
    assert found["maintenance_up"] == 1
    assert found["maintenance_partitions_ahead"] == 3
    assert found["maintenance_verdict"] == 2
    wanted = {"error": severities["error"], "warn": severities["warn"]}
    assert standing_alerts(result.stdout) == wanted


def test_metrics_as_json_have_the_same_names(policy: Policy) -> None:
    document = json.loads(call("metrics", "--policy", policy.path, "--json").stdout)
    named = {each["name"] for each in document["metrics"]}
    assert named >= numbers(call("metrics", "--policy", policy.path).stdout).keys()


def test_textfile_is_whole_and_has_the_name_that_is_read(policy: Policy, tmp_path: Path) -> None:
    file = tmp_path / "maintenance.prom"
    assert call("metrics", "--policy", policy.path, "--textfile", file).exit_code == 0
    assert numbers(file.read_text())["maintenance_up"] == 1
    assert [each.name for each in tmp_path.iterdir()] == [file.name]
    refused = call("metrics", "--policy", policy.path, "--textfile", tmp_path / "numbers.txt")
    assert refused.exit_code == 2
    assert ".prom" in refused.stderr


def test_database_that_is_down_is_a_number_an_error_and_exit_code_3(
    policy: Policy, tmp_path: Path
) -> None:
    write_policy(tmp_path, NOWHERE, EVENTS, name="down")
    result = call("metrics", "--policy", policy.path, "--policy", tmp_path)
    assert result.exit_code == 3
    assert 'maintenance_up{database="down"} 0.0' in result.stdout
    assert 'maintenance_up{database="app"} 1.0' in result.stdout
    assert "127.0.0.1:9" in result.stderr
    assert "geheim" not in result.output


def test_digest_says_whether_to_worry_and_is_red_when_so(policy: Policy) -> None:
    definitions = build([policy.path])
    with server_folder() as folder, dg.DagsterInstance.local_temp(str(folder)) as instance:
        job = definitions.resolve_job_def("app_digest")
        result = job.execute_in_process(instance=instance)
    (check,) = result.get_asset_check_evaluations()
    (made,) = result.asset_materializations_for_node("app__digest")
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert made.metadata["errors"].value == 1
    page = str(made.metadata["digest"].value)
    assert page.startswith(f"## {Level.NOW.capitalize()}")
    assert FindingKind.NOT_PARTITIONED.replace("_", " ") in page
    assert '\\</td\\>\\|\\<img src=x\\>"' in page


def test_digest_of_a_database_that_is_down_is_there_all_the_same(tmp_path: Path) -> None:
    write_policy(tmp_path, NOWHERE, EVENTS)
    with server_folder() as folder, dg.DagsterInstance.local_temp(str(folder)) as instance:
        job = build([tmp_path]).resolve_job_def("app_digest")
        result = job.execute_in_process(instance=instance)
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert "127.0.0.1:9" in (check.description or "")
    assert "geheim" not in str(result.all_events)


def test_subject_that_no_run_has_observed_yet_is_named(database: Database, tmp_path: Path) -> None:
    policy = make_policy(tmp_path, database.url, EVENTS, statistics={}, indexes={})
    pipeline.apply(policy, only=["partitions", "statistics"])
    before = observe_overview(policy).history
    pipeline.apply(policy, only=["indexes"])
    after = observe_overview(policy).history
    assert before is not None
    assert after is not None
    assert (before.unobserved, after.unobserved) == (("indexes",), ())


def test_fleet_has_a_row_for_each_database_and_the_worst_comes_first(
    policy: Policy, tmp_path: Path
) -> None:
    (tmp_path / policy.path.name).write_text(policy.path.read_text())
    write_policy(tmp_path, NOWHERE, name="away")
    (tmp_path / "unset.yaml").write_text("database: {name: unset, url: {env: MISSING_URL}}")
    (tmp_path / "broken.yaml").write_text("database: {name: broken, url: 7}")
    result = call("status", "--brief", "--policy", tmp_path, "--json")
    assert result.exit_code == 1
    rows = {row["database"]: row for row in json.loads(result.stdout)["databases"]}
    assert list(rows)[-1] == policy.database.name
    assert set(rows) == {"away", "unset", "broken.yaml", policy.database.name}
    assert {name for name, row in rows.items() if not row["is_read"]} == set(list(rows)[:3])
    seen, overview = rows[policy.database.name], observe_overview(policy)
    assert overview.history is not None
    assert seen["errors"] + seen["warnings"] == len(overview.history.alerts) > 0
    assert seen["unobserved"] == list(overview.history.unobserved) != []
    assert seen["size_bytes"] > 0
    assert seen["covered_until"] == min(each.covered_until for each in overview.tables).isoformat()
    shown = call("status", "--brief", "--policy", tmp_path)
    assert sorted(rows, key=lambda name: shown.stdout.index(f"\n{name} ")) == list(rows)
    assert "geheim" not in result.output + shown.output

    job = build([tmp_path]).resolve_job_def("fleet")
    with server_folder() as folder, dg.DagsterInstance.local_temp(str(folder)) as instance:
        run = job.execute_in_process(instance=instance)
    (event,) = run.asset_materializations_for_node("fleet_health")
    assert event.metadata["databases"].value == 4
    assert event.metadata["not_read"].value == 3
    page = str(event.metadata["fleet"].value)
    assert page.index("away") < page.rindex(policy.database.name)
    assert "geheim" not in page
    (check,) = run.get_asset_check_evaluations()
    assert not check.passed


def test_database_that_is_not_read_in_time_is_a_row_that_says_so(policy: Policy) -> None:
    fleet = observe_fleet(Policies((policy,), ()), limit=timedelta())
    (row,) = fleet.rows
    assert (row.database, row.is_read, row.level) == (policy.database.name, False, Level.NOW)
    assert not fleet.ok
