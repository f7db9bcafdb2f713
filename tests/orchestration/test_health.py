"""Bloat and workload, as the Dagster UI runs and shows them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.engine.findings import FindingKind
from maintenance.orchestration.bloat_sensor import assess_bloat
from maintenance.orchestration.build import build
from maintenance.policy import Policy, load_policies
from maintenance.subjects.bloat import BLOAT
from maintenance.subjects.capacity import CAPACITY
from maintenance.subjects.workload import WORKLOAD
from tests.builders import Database
from tests.policies import write_policy

pytestmark = pytest.mark.pg("== 18")

URL = "postgresql://nobody@127.0.0.1:9/nowhere"
BLOATED = """
CREATE TABLE public."fil|led" (id bigint PRIMARY KEY) WITH (autovacuum_enabled = false);
INSERT INTO public."fil|led" SELECT generate_series(1, 20000);
DELETE FROM public."fil|led" WHERE id % 4 > 0;
"""


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(BLOATED)
    database.vacuum()
    write_policy(tmp_path, database.url, bloat={"min_size": "100 kB"}, workload={})
    (policy,) = load_policies([tmp_path]).loaded
    return policy


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        f"{each.asset_key.path[-1]}/{each.check_name}": each
        for each in result.get_asset_check_evaluations()
    }


def metadata(instance: dg.DagsterInstance, name: str) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey(["app", name]))
    assert event is not None
    assert event.asset_materialization is not None
    return {key: value.value for key, value in event.asset_materialization.metadata.items()}


def test_policy_with_the_sections_gives_assets_checks_and_a_sensor(tmp_path: Path) -> None:
    write_policy(tmp_path, URL, bloat={}, workload={})
    definitions = build([tmp_path])
    keys = {spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs()}
    observed = {"app/bloat", "app/workload", "app/capacity"}
    assert keys == {*observed, "app/digest", "app/dagster_storage"}
    found = definitions.resolve_asset_graph().asset_check_keys
    subjects = (BLOAT, WORKLOAD, CAPACITY)
    assert len(found) == sum(len(subject.finding_kinds) for subject in subjects) + 2
    repository = definitions.get_repository_def()
    assert {sensor.name for sensor in repository.sensor_defs} >= {"app_bloat"}
    assert {schedule.name for schedule in repository.schedule_defs} == {
        "app_nightly",
        "app_digest",
    }


def test_nightly_shows_tables_numbers_charts_and_red_checks(
    database: Database, policy: Policy, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    database.execute("CREATE SEQUENCE public.half MAXVALUE 1001")
    database.execute("SELECT setval('public.half', 501)")
    job = build([tmp_path]).resolve_job_def("app_nightly")
    result = job.execute_in_process(instance=instance)
    assert result.success
    found = checks(result)
    assert not found["bloat/table_bloat"].passed
    assert not found["bloat/index_bloat"].passed
    assert found["workload/connections_saturated"].passed
    assert "monitor_blind" not in {name for name, each in found.items() if not each.passed}
    bloat, workload = metadata(instance, "bloat"), metadata(instance, "workload")
    assert bloat["relations"] == 2
    assert bloat["empty_megabytes"] > 0
    assert 'public."fil\\|led"' in bloat["worst"]
    assert bloat["trend"].startswith("![app: bloat](data:image/svg+xml;base64,")
    assert workload["connections"] > 0
    assert workload["size_by_month"].startswith("![")
    assert workload["hit_rates"].startswith("![")
    assert found["capacity/capacity_cliff"].passed
    capacity = metadata(instance, "capacity")
    assert capacity["nearest"] == pytest.approx(0.5)
    assert "public.half" in capacity["limits"]


def test_sensor_judges_the_last_look_by_the_policy_and_tells_a_look_too_old(
    policy: Policy, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    assert policy.bloat is not None
    assert assess_bloat(policy, policy.bloat, now) == {}
    definitions = build([tmp_path])
    assert definitions.resolve_job_def("app_nightly").execute_in_process(instance=instance).success
    found = assess_bloat(policy, policy.bloat, now)
    assert found[FindingKind.MONITOR_BLIND] == ""
    assert 'public."fil|led"' in found[FindingKind.TABLE_BLOAT]
    lax = policy.bloat.model_copy(update={"table_fraction": 1.0, "index_fraction": 1.0})
    assert set(assess_bloat(policy, lax, now).values()) == {""}
    later = assess_bloat(policy, policy.bloat, now + timedelta(days=3))
    assert "last bloat observation" in later[FindingKind.MONITOR_BLIND]


def test_sensor_tells_each_change_once(
    policy: Policy, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    definitions = build([tmp_path])
    definitions.resolve_job_def("app_nightly").execute_in_process(instance=instance)
    repository = definitions.get_repository_def()
    sensor = repository.get_sensor_def("app_bloat")
    with dg.build_sensor_context(instance=instance, repository_def=repository) as context:
        tick = sensor.evaluate_tick(context)
    failed = [e for e in tick.asset_events if isinstance(e, dg.AssetCheckEvaluation)]
    assert {e.check_name: e.passed for e in failed} == {
        "monitor_blind": True,
        "index_bloat": False,
        "table_bloat": False,
    }
    with dg.build_sensor_context(
        instance=instance, repository_def=repository, cursor=tick.cursor
    ) as context:
        assert sensor.evaluate_tick(context).asset_events == []
