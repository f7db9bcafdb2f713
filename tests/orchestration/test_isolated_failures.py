"""One table that can't be looked at, as Dagster's nightly job meets it."""

from pathlib import Path

import dagster as dg
import pytest

from maintenance.orchestration.build import build
from tests.builders import Database
from tests.policies import write_policy

pytestmark = pytest.mark.pg("== 18")

INVENTORY = dg.AssetKey(["app", "partition_inventory"])


def test_nightly_job_serves_the_others_and_fails_the_check_on_the_odd_one(
    database: Database, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    database.execute(
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER cold FOREIGN DATA WRAPPER nothing;"
        "CREATE TABLE public.odd (at timestamptz) PARTITION BY RANGE (at);"
        "CREATE FOREIGN TABLE public.rest PARTITION OF public.odd DEFAULT SERVER cold;"
        "CREATE TABLE public.ordinary (at timestamptz) PARTITION BY RANGE (at)"
    )
    write_policy(
        tmp_path,
        database.url,
        {"table": "public.odd", "column": "at", "premake": 1},
        {"table": "public.ordinary", "column": "at", "premake": 1},
        statistics={},
    )
    job = build([tmp_path]).resolve_job_def("app_nightly")
    job.execute_in_process(instance=instance, raise_on_error=False)
    children = "SELECT count(*) FROM pg_inherits WHERE inhparent = %s::regclass"
    assert database.execute(children, ["public.ordinary"]) == [(2,)]
    assert database.execute(children, ["public.odd"]) == [(1,)]
    key = dg.AssetCheckKey(INVENTORY, "monitor_blind")
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
    assert records[key].status.value == "FAILED"
    ((found,),) = database.execute(
        "SELECT count(*) FROM maintenance.finding WHERE kind = 'monitor_blind'"
        " AND object = 'public.odd'"
    )
    assert found
