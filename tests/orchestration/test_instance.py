"""dagster.yaml as it is shipped, on a real PostgreSQL server."""

from pathlib import Path

import dagster as dg
import pytest
import yaml

from maintenance.orchestration.repository import repository_of
from tests.builders import ROOT, Database
from tests.orchestration.conftest import VARIABLES
from tests.policies import CREATE_EVENTS, EVENTS, write_policy

pytestmark = pytest.mark.pg("== 18")


def test_nightly_job_runs_with_its_storage_in_postgresql(
    database: Database, tmp_path: Path, shipped: dg.DagsterInstance
) -> None:
    database.execute(CREATE_EVENTS)
    write_policy(tmp_path, database.url, EVENTS)
    job = repository_of([tmp_path / "app.yaml"]).get_job("app_nightly")
    result = job.execute_in_process(instance=shipped, raise_on_error=False)
    assert result.success
    assert database.execute("SELECT status FROM public.runs") == [("SUCCESS",)]
    key = dg.AssetKey(["app", "partitions", "events"])
    assert len(shipped.get_materialized_partitions(key)) == 4


def test_settings_of_the_file_are_those_that_count(shipped: dg.DagsterInstance) -> None:
    concurrency = shipped.get_concurrency_config()
    assert concurrency.pool_config.default_pool_limit == 1
    assert concurrency.run_queue_config
    assert concurrency.run_queue_config.max_concurrent_runs == 4
    assert shipped.run_monitoring_enabled
    assert shipped.run_retries_enabled
    assert not shipped.run_retries_retry_on_asset_or_op_failure
    assert not shipped.telemetry_enabled
    assert not shipped.nux_enabled


def test_no_password_stands_in_the_file() -> None:
    storage = yaml.safe_load((ROOT / "dagster.yaml").read_text())["storage"]
    settings = storage["postgres"]["postgres_db"]
    assert settings.pop("scheme") == "postgresql+psycopg2"
    assert settings.pop("params") == {"plugin": "maintenance"}
    assert all(set(value) == {"env"} for value in settings.values())
    assert {value["env"] for value in settings.values()} == set(VARIABLES)


def test_workspace_loads_our_definitions() -> None:
    (location,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert location["python_module"]["module_name"] == "maintenance.definitions"
