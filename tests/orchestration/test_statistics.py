"""The statistics asset, as the nightly job runs it."""

from pathlib import Path

import dagster as dg
import pytest

from maintenance.orchestration.build import build
from tests.builders import Database
from tests.policies import write_policy

pytestmark = pytest.mark.pg("== 18")

STATISTICS = dg.AssetKey(["app", "statistics"])


def test_nightly_job_analyzes_and_shows_what_why_and_how_long(
    database: Database, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    # Autovacuum would leave nothing to do, if it came by just then.
    database.execute(
        'CREATE TABLE public."a|b" WITH (autovacuum_enabled = false)'
        " AS SELECT generate_series(1, 1000) AS id"
    )
    write_policy(tmp_path, database.url, statistics={})
    job = build([tmp_path]).resolve_job_def("app_nightly")
    assert job.execute_in_process(instance=instance).success
    event = instance.get_latest_materialization_event(STATISTICS)
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["analyzed"].value == 1
    assert "never analyzed" in str(metadata["what"].value)
    assert metadata["own_queries"].value
    key = dg.AssetCheckKey(STATISTICS, "statistics_missing")
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
    assert records[key].status.value == "SUCCEEDED"


def test_statistics_come_last_of_the_steps_that_could_begin(
    database: Database, tmp_path: Path
) -> None:
    views = [{"name": "public.a_view", "max_age": "1 hour"}]
    write_policy(tmp_path, database.url, statistics={}, matviews=views)
    definitions = build([tmp_path])

    def priority(key: dg.AssetKey) -> int:
        return int(definitions.resolve_assets_def(key).op.tags.get("dagster/priority", "0"))

    storage = dg.AssetKey(["app", "dagster_storage"])  # Dagster's own, after the database
    keys = definitions.resolve_asset_graph().materializable_asset_keys
    others = keys - {STATISTICS, storage}
    assert len(others) > 1
    assert all(priority(STATISTICS) < priority(key) for key in others)
    assert priority(storage) < priority(STATISTICS)
