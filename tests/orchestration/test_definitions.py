"""Dagster's definitions, from policies alone; an invalid policy does not affect the others."""

import os
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from maintenance.engine.findings import FindingKind
from maintenance.engine.runbook_reader import entry
from maintenance.orchestration.build import build
from maintenance.orchestration.partition_assets import GROUP
from maintenance.orchestration.repository import OnDemand, repository_of
from maintenance.subjects.conversion import CONVERSION
from maintenance.subjects.partitions import PARTITIONS
from tests.builders import ROOT
from tests.policies import EVENTS, write_policy

NOW = datetime(2026, 11, 20, tzinfo=UTC)
URL = "postgresql://nobody@127.0.0.1:9/nowhere"


def keys(definitions: dg.Definitions) -> set[str]:
    return {spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs()}


def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {s.key.to_user_string(): s for s in definitions.resolve_all_asset_specs()}


def jobs(definitions: dg.Definitions) -> set[str]:
    repository = definitions.get_repository_def()
    return {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}


def alert_jobs_of(database: str) -> set[str]:
    return {f"{database}_alerts_test", f"{database}_acknowledge_alert"}


def table_jobs_of(database: str) -> set[str]:
    return {f"{database}_analyze", f"{database}_vacuum"}


def schedules(definitions: dg.Definitions) -> dict[str, dg.ScheduleDefinition]:
    repository = definitions.get_repository_def()
    return {schedule.name: schedule for schedule in repository.schedule_defs}


def test_policies_of_the_repository_give_these_assets_jobs_and_schedules() -> None:
    names = ("learning_platform", "proposals")
    definitions = build([ROOT / "policies" / f"{name}.yaml" for name in names], NOW)
    assert keys(definitions) == {
        "fleet_health",
        "learning_platform/partitions/analytics_events",
        "learning_platform/partition_inventory",
        "learning_platform/archives/analytics_events",
        "learning_platform/retention",
        "learning_platform/indexes",
        "learning_platform/index_usage",
        "learning_platform/matviews/mv_course_performance",
        "learning_platform/matviews/mv_user_learning_summary",
        "learning_platform/source/courses",
        "learning_platform/source/enrollments",
        "learning_platform/source/users",
        "learning_platform/redis",
        "learning_platform/bloat",
        "learning_platform/workload",
        "learning_platform/capacity",
        "learning_platform/statistics",
        "learning_platform/digest",
        "learning_platform/dagster_storage",
        "proposals/partitions/audit_logs",
        "proposals/partition_inventory",
        "proposals/archives/audit_logs",
        "proposals/retention",
        "proposals/matviews/proposal_analytics_summary",
        "proposals/source/proposals",
        "proposals/redis",
        "proposals/indexes",
        "proposals/index_usage",
        "proposals/bloat",
        "proposals/workload",
        "proposals/capacity",
        "proposals/statistics",
        "proposals/digest",
        "proposals/dagster_storage",
    }
    crons = {
        "fleet": "0 6 * * *",
        "learning_platform_digest": "0 6 * * *",
        "learning_platform_monthly_partitions": "0 1 20 * *",
        "learning_platform_nightly": "0 2 * * *",
        "learning_platform_refresh_hourly_at_00": "0 * * * *",
        "learning_platform_retention": "0 3 2 * *",
        "learning_platform_weekly_review": "0 4 * * 0",
        "proposals_digest": "0 6 * * *",
        "proposals_monthly_partitions": "0 1 20 * *",
        "proposals_nightly": "0 2 * * *",
        "proposals_retention": "0 3 2 * *",
        "proposals_weekly_review": "0 4 * * 0",
    }
    by_hand = {
        "learning_platform_approve",
        "learning_platform_archives_analytics_events",
        "learning_platform_index_rollout",
        "learning_platform_pause",
        "learning_platform_restore",
        "learning_platform_rollout_watch",
        "learning_platform_undo",
        "proposals_approve",
        "proposals_archives_audit_logs",
        "proposals_index_rollout",
        "proposals_pause",
        "proposals_restore",
        "proposals_rollout_watch",
        "proposals_undo",
    }
    of_alerts = alert_jobs_of("learning_platform") | alert_jobs_of("proposals")
    of_tables = table_jobs_of("learning_platform") | table_jobs_of("proposals")
    assert jobs(definitions) == crons.keys() | by_hand | of_alerts | of_tables
    assert {n: s.cron_schedule for n, s in schedules(definitions).items()} == crons


def test_policies_of_indexes_give_these_assets_jobs_and_schedules() -> None:
    names = ("lms", "nova", "unpuzzle")
    definitions = build([ROOT / "policies" / f"{name}.yaml" for name in names], NOW)
    subjects = (
        *("bloat", "capacity", "dagster_storage", "digest", "indexes", "index_usage"),
        *("statistics", "workload"),
    )
    assert keys(definitions) == {f"{name}/{subject}" for name in names for subject in subjects} | {
        "fleet_health",
        "lms/stale_analytics",
        "lms/source/course_analytics",
        "lms/source/enrollments",
        "nova/partitions/messages",
        "nova/partitions/posts",
        "nova/partition_inventory",
    }
    crons = {
        f"{name}_{schedule}": cron
        for name in names
        for schedule, cron in {
            "digest": "0 6 * * *",
            "nightly": "0 2 * * *",
            "weekly_review": "0 4 * * 0",
        }.items()
    } | {"fleet": "0 6 * * *"}
    crons |= dict.fromkeys(
        ("nova_monthly_partitions", "nova_monthly_partitions_posts"), "0 1 20 * *"
    )
    by_hand = {
        job
        for name in names
        for job in {
            f"{name}_{form}" for form in ("index_rollout", "rollout_watch", "pause", "undo")
        }
        | alert_jobs_of(name)
        | table_jobs_of(name)
    }
    assert jobs(definitions) == crons.keys() | by_hand | {"nova_convert"}
    assert {n: s.cron_schedule for n, s in schedules(definitions).items()} == crons


def test_storage_of_dagster_is_left_alone_where_the_policy_says_so(tmp_path: Path) -> None:
    write_policy(tmp_path, URL, EVENTS, dagster="off")
    assert "app/dagster_storage" not in keys(build([tmp_path], NOW))


def test_folder_of_policies_gives_what_each_of_its_policies_gives() -> None:
    policies = sorted((ROOT / "policies").glob("*.yaml"))
    assert len(policies) == 5
    alone = {key for policy in policies for key in keys(build([policy], NOW))}
    assert keys(build([ROOT / "policies"], NOW)) == {*alone, "fleet_health"}


@pytest.mark.parametrize("job", ["shop_eu_nightly", "shop_nightly", "shop_eu_pause", "fleet"])
def test_run_builds_its_own_database_alone(tmp_path: Path, job: str) -> None:
    """The name of one database begins as that of the other: its jobs are not mistaken."""
    for name in ("shop", "shop_eu"):
        write_policy(tmp_path, URL, EVENTS, name=name)
    demanded = OnDemand([tmp_path])
    alone = demanded.get_job(job)
    assert not demanded.is_whole
    whole = build([tmp_path]).resolve_job_def(job)
    assert alone.executor_def is dg.in_process_executor
    assert alone.tags == whole.tags
    assert {node.name for node in alone.nodes} == {node.name for node in whole.nodes}
    assert alone.asset_layer.selected_asset_keys == whole.asset_layer.selected_asset_keys


def test_repository_has_all_that_the_policies_give() -> None:
    paths = [ROOT / "policies"]
    repository, whole = repository_of(paths), build(paths).get_repository_def()
    assert repository.name == whole.name
    assert set(repository.job_names) == set(whole.job_names)
    assert {s.name for s in repository.schedule_defs} == {s.name for s in whole.schedule_defs}
    assert {s.name for s in repository.sensor_defs} == {s.name for s in whole.sensor_defs}
    assert repository.asset_graph.get_all_asset_keys() == whole.asset_graph.get_all_asset_keys()
    assert repository.asset_graph.asset_check_keys == whole.asset_graph.asset_check_keys


WHOLE = """
from maintenance.definitions import defs, repository
repository.load_all_definitions()
assert set(defs.get_repository_def().job_names) == set(repository.job_names)
"""


def test_definitions_load_without_server_and_environment() -> None:
    environment = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", WHOLE]
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.fixture
def definitions(tmp_path: Path) -> dg.Definitions:
    write_policy(
        tmp_path,
        URL,
        EVENTS,
        {"table": "audit.log", "column": "at", "interval": "1 day"},
        schedules={"nightly": "5 4 * * *", "monthly": "6 5 21 * *"},
    )
    return build([tmp_path], NOW)


def test_assets_are_grouped_tagged_and_described(definitions: dg.Definitions) -> None:
    found = specs(definitions)
    assert set(found) == {
        "app/partitions/events",
        "app/partitions/audit_log_911b8c",
        "app/partition_inventory",
        "app/digest",
        "app/dagster_storage",
    }
    assert found.pop("app/digest").group_name == "digest"
    assert found.pop("app/dagster_storage").group_name == "health"
    for spec in found.values():
        assert spec.group_name == GROUP
        assert spec.tags["database"] == "app"
        about, what_to_do = (spec.description or "").split("\n\n**")
        assert about
        assert what_to_do
        assert "postgres" in spec.kinds
    assert found["app/partitions/events"].metadata["dagster/table_name"] == "public.events"


def test_owners_of_a_database_own_its_assets(tmp_path: Path) -> None:
    owners = ["team:data", "dba@example.com"]
    write_policy(tmp_path, URL, EVENTS, database={"name": "app", "url": URL, "owners": owners})
    assert {tuple(spec.owners) for spec in specs(build([tmp_path], NOW)).values()} == {
        tuple(owners)
    }


def test_checks_say_what_the_runbook_says(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    found = {key.name: graph.get_check_spec(key).description for key in graph.asset_check_keys}
    assert entry(FindingKind.PARTITION_GAP) in (found["partition_gap"] or "")


def test_every_asset_waits_for_the_pool_of_its_database(definitions: dg.Definitions) -> None:
    assets = definitions.resolve_asset_graph().assets_defs
    assert {pool for asset in assets for pool in asset.op.pools} == {"app_ddl", "app_work"}


def test_table_assets_are_backfilled_in_one_run(definitions: dg.Definitions) -> None:
    found = definitions.resolve_asset_graph()
    policies = {
        key.to_user_string(): found.get(key).backfill_policy for key in found.get_all_asset_keys()
    }
    assert {
        policies.pop(f"app/{whole}")
        for whole in ("partition_inventory", "digest", "dagster_storage")
    } == {None}
    assert set(policies.values()) == {dg.BackfillPolicy.single_run()}


def test_inventory_has_a_check_for_every_finding(definitions: dg.Definitions) -> None:
    checks = definitions.resolve_asset_graph().asset_check_keys
    found = {check.name for check in checks if check.asset_key.path[-1] == "partition_inventory"}
    kinds = PARTITIONS.finding_kinds | CONVERSION.finding_kinds
    assert found == {kind.value for kind in kinds}
    others = {check.name for check in checks} - found
    assert others == {"nothing_to_worry_about", "dagster_unkept"}


def test_each_table_has_a_monthly_job_and_a_database_one_nightly(
    definitions: dg.Definitions,
) -> None:
    assert {name: s.cron_schedule for name, s in schedules(definitions).items()} == {
        "app_nightly": "5 4 * * *",
        "app_digest": "0 6 * * *",
        "app_monthly_partitions": "6 5 21 * *",
        "app_monthly_partitions_audit_log_911b8c": "6 5 21 * *",
    }
    by_hand = {"app_pause"} | alert_jobs_of("app") | table_jobs_of("app")
    assert jobs(definitions) == schedules(definitions).keys() | by_hand


def test_schedules_run_from_the_start_and_in_utc(definitions: dg.Definitions) -> None:
    for schedule in schedules(definitions).values():
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
        assert schedule.execution_timezone == "UTC"


def test_jobs_give_up_a_lost_run_after_four_hours(definitions: dg.Definitions) -> None:
    for name in jobs(definitions):
        assert definitions.resolve_job_def(name).tags["dagster/max_runtime"] == "14400"


def test_policy_without_partitions_gives_nothing_and_does_no_harm(tmp_path: Path) -> None:
    write_policy(tmp_path, URL)
    definitions = build([tmp_path], NOW)
    assert keys(definitions) == set()
    assert jobs(definitions) == set()


def test_policy_without_sections_gives_what_only_looks(tmp_path: Path) -> None:
    url = yaml.safe_dump({"database": {"name": "app", "url": {"env": "APP_URL"}}})
    (tmp_path / "app.yaml").write_text(url)
    definitions = build([tmp_path], NOW)
    health = {"app/index_usage", "app/bloat", "app/workload", "app/capacity"}
    assert health <= keys(definitions) <= {*health, "app/digest", "app/dagster_storage"}
    (tmp_path / "app.yaml").write_text(url + "bloat: off\nindexes: off\n")
    assert keys(build([tmp_path], NOW)) & health == {"app/workload", "app/capacity"}


# Names


@pytest.mark.parametrize(
    ("tables", "differ_in_case"),
    [
        (["public.a_b", "a.b", '"a.b"', '"a b"', '"a-b"', '"A_B"'], {"a_b", "A_B"}),
        (
            ["events", '"Events"', "app.events", '"app.events"', '"app events"'],
            {"events", "Events"},
        ),
        (['"таблица"', '"табличк"', '"🐘"', '"ключ"."таблица"', '""""', '"\'"', '"%"'], set[str]()),
        (['"select"', '"x/y"', '"X/y"', '"x,y"', '"x=y"', '"[x]"', f'"{"é" * 31}"'], set[str]()),
    ],
)
def test_hostile_table_names_give_distinct_valid_keys(
    tmp_path: Path, tables: list[str], differ_in_case: set[str]
) -> None:
    sections = [
        {**EVENTS, "table": t, "name": f"p{n}_{{yyyy}}_{{mm}}"} for n, t in enumerate(tables)
    ]
    write_policy(tmp_path, URL, *sections)
    definitions = build([tmp_path], NOW)
    made = keys(definitions)
    assert len(made) == len(tables) + 3
    assert [key for key in made if not re.fullmatch(r"[A-Za-z0-9_/]+", key)] == []
    folded = Counter(key.lower() for key in made)
    alike = {key for key in made if folded[key.lower()] > 1}
    assert alike == {f"app/partitions/{name}" for name in differ_in_case}
    by_hand = alert_jobs_of("app") | table_jobs_of("app")
    assert len(jobs(definitions) - by_hand) == len(tables) + 3


# Broken policies


def test_broken_policy_shows_itself_and_unloads_no_other(tmp_path: Path) -> None:
    write_policy(tmp_path, URL, EVENTS)
    (tmp_path / "broken.yaml").write_text("database: {name: broken, url: 7}\nparitions: []\n")
    definitions = build([tmp_path], NOW)
    assert keys(definitions) == {
        "app/partitions/events",
        "app/partition_inventory",
        "app/digest",
        "app/dagster_storage",
        "broken/broken_policy",
    }
    description = specs(definitions)["broken/broken_policy"].description or ""
    assert "broken.yaml:2:1" in description
    assert "paritions" in description


def test_materializing_a_broken_policy_tells_what_is_wrong(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    (tmp_path / "broken.yaml").write_text("database: {name: broken}\n")
    definitions = build([tmp_path / "broken.yaml"], NOW)
    (asset,) = definitions.resolve_asset_graph().assets_defs
    result = dg.materialize([asset], instance=instance, raise_on_error=False)
    (failure,) = result.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data is not None
    assert "database.url" in (failure.step_failure_data.user_failure_data.description or "")


@pytest.mark.parametrize(
    "names",
    [
        ["a-b.yaml", "a_b.yaml", "a b.yaml"],
        ["one/app.yaml", "two/app.yaml"],
        ["app.yaml", "app.yml"],
        ["1.yaml", "ключ.yaml", "табл.yaml"],
    ],
)
def test_broken_policies_of_like_names_spoil_nothing(tmp_path: Path, names: list[str]) -> None:
    good = tmp_path / "good"
    good.mkdir()
    write_policy(good, URL, EVENTS)
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("nothing: here\n")
    definitions = build([good, *(tmp_path / name for name in names)], NOW)
    assert len(keys(definitions)) == 4 + len(names)
    scheduled = {"app_nightly", "app_digest", "app_monthly_partitions"}
    by_hand = {"app_pause"} | alert_jobs_of("app") | table_jobs_of("app")
    assert jobs(definitions) == scheduled | by_hand


def test_second_policy_of_a_name_is_broken_and_the_first_stays(tmp_path: Path) -> None:
    write_policy(tmp_path, URL, EVENTS)
    (tmp_path / "second.yaml").write_text((tmp_path / "app.yaml").read_text())
    assert keys(build([tmp_path], NOW)) == {
        "app/partitions/events",
        "app/partition_inventory",
        "app/digest",
        "app/dagster_storage",
        "second/broken_policy",
    }


def test_no_secret_of_a_policy_reaches_the_definitions(tmp_path: Path) -> None:
    write_policy(tmp_path, "postgresql://app:geheim@127.0.0.1:9/app", EVENTS)
    (tmp_path / "broken.yaml").write_text(
        "database: {name: broken, url: 'postgresql://app:geheim@host/app', port: 1}\n"
    )
    shown: list[Any] = [
        (spec.description, spec.metadata, spec.tags)
        for spec in specs(build([tmp_path], NOW)).values()
    ]
    assert "geheim" not in str(shown)


def test_missing_folder_of_policies_is_an_asset_that_says_so(
    tmp_path: Path,
) -> None:
    definitions = build([tmp_path / "policies"], NOW)
    assert keys(definitions) == {"no_policies"}
    description = specs(definitions)["no_policies"].description or ""
    assert f"{tmp_path}/policies" in description
    assert "MAINTENANCE_POLICIES" in description
    assert jobs(definitions) == set()
