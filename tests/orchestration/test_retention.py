"""Retention, archives and restore, as the Dagster UI runs them."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.orchestration.build import build
from maintenance.orchestration.partitions_defs import range_tags
from maintenance.pipeline import run as pipeline
from maintenance.policy import load_policies
from tests.builders import Database
from tests.orchestration.test_runs import child, month
from tests.policies import CREATE_EVENTS, EVENTS, write_policy

pytestmark = pytest.mark.pg("== 18")

RETENTION = dg.AssetKey(["app", "retention"])
ARCHIVES = dg.AssetKey(["app", "archives", "events"])
CHILDREN = """
SELECT relname FROM pg_class
WHERE relispartition AND relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1
"""


@pytest.fixture
def defs(database: Database, tmp_path: Path) -> dg.Definitions:
    """Six months of events, of which two are kept."""
    database.execute(CREATE_EVENTS)
    write_policy(tmp_path, database.url, {**EVENTS, "start": month(-5)})
    (policy,) = load_policies([tmp_path]).loaded
    asked = tuple(month(-n) for n in range(6))
    pipeline.apply(policy, request=Request(QualifiedName("public", "events"), asked))
    database.execute(f"INSERT INTO public.events VALUES (5, '{month(-5)}-02')")
    archive = {"action": "archive_then_drop", "archive": {"url": "./archive"}}
    retention = {"keep": "2 months", "max_per_run": 9, **archive}
    write_policy(tmp_path, database.url, {**EVENTS, "start": month(-5), "retention": retention})
    return build([tmp_path])


def run(
    defs: dg.Definitions, instance: dg.DagsterInstance, job: str, **kwargs: Any
) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance, raise_on_error=False, **kwargs
    )


def names(database: Database) -> list[str]:
    return [name for (name,) in database.execute(CHILDREN)]


def test_retention_launched_by_hand_only_shows_its_plan(
    database: Database, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    assert run(defs, instance, "app_retention").success
    event = instance.get_latest_materialization_event(RETENTION)
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["mode"].value == "plan"
    assert "drop_partition" in str(metadata["what"].value)
    assert child(-5) in names(database)


def test_fuse_below_zero_is_refused_and_nothing_goes(
    database: Database, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    before = names(database)
    asked = {"mode": "APPLY", "max_per_run": -1}
    config = {"ops": {"app__retention": {"config": asked}}}
    result = run(defs, instance, "app_retention", run_config=config)
    (failure,) = result.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data is not None
    assert "wanted 0 or more" in (failure.step_failure_data.user_failure_data.description or "")
    assert names(database) == before


def test_schedule_carries_approved_retention_out(
    database: Database, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    schedule = defs.resolve_schedule_def("app_retention")
    with dg.build_schedule_context(
        instance=instance, repository_def=defs.get_repository_def()
    ) as context:
        (request,) = schedule.evaluate_tick(context).run_requests or []
    assert run(defs, instance, "app_approve").success
    given = {"run_config": request.run_config, "tags": request.tags}
    assert given["tags"]["dagster/schedule_name"] == "app_retention"
    assert run(defs, instance, "app_retention", **given).success
    assert names(database)[0] == child(-2)


def test_archived_period_shows_rows_size_and_proof_and_stays(
    database: Database, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    first, last = month(-1), month(0)
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }
    assert run(defs, instance, "app_archives_events", tags=tags).success
    assert set(instance.get_materialized_partitions(ARCHIVES)) == {first, last}
    wanted = dg.AssetRecordsFilter(ARCHIVES, asset_partitions=[first])
    (record,) = instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization is not None
    metadata = record.asset_materialization.metadata
    assert metadata["verified"].value is True
    assert metadata["dagster/partition_row_count"].value == 0
    assert child(-1) in names(database)


def test_restore_job_brings_a_period_back(
    database: Database, defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    apply = {"ops": {"app__retention": {"config": {"mode": "APPLY"}}}}
    assert run(defs, instance, "app_retention", run_config=apply).success
    config = {"table": "public.events", "period": month(-5)}
    ops = {"ops": {"app_restore_period": {"config": config}}}
    assert run(defs, instance, "app_restore", run_config=ops).success
    assert database.execute("SELECT id FROM public.events WHERE id = 5") == [(5,)]


def test_restore_of_what_was_never_archived_fails_with_one_clear_line(
    defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    config = {"table": "public.events", "period": "1999-01"}
    ops = {"ops": {"app_restore_period": {"config": config}}}
    result = run(defs, instance, "app_restore", run_config=ops)
    assert not result.success
    failure = result.failure_data_for_node("app_restore_period")
    assert failure is not None
    assert failure.user_failure_data is not None
    description = str(failure.user_failure_data.description)
    assert "public.events/1999-01" in description
    assert "Traceback" not in description


def test_table_whose_policy_misreads_it_loses_no_row_and_is_red(
    database: Database, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    database.execute("CREATE TABLE public.events (at bigint NOT NULL) PARTITION BY RANGE (at)")
    for n in (-2, -1, 0, 1):
        ends = [f"extract(epoch FROM timestamptz '{month(n + k)}-01+00')::bigint" for k in (0, 1)]
        ((lower, upper),) = database.execute(f"SELECT {ends[0]}, {ends[1]}")
        database.execute(
            f"CREATE TABLE public.{child(n)} PARTITION OF public.events"
            f" FOR VALUES FROM ({lower}) TO ({upper})"
        )
        database.execute(f"INSERT INTO public.events VALUES ({lower})")
    before = names(database)
    retention = {"keep": "2 months", "action": "drop", "max_per_run": 9}
    section = {**EVENTS, "encoding": "epoch_ms", "start": month(-2), "retention": retention}
    write_policy(tmp_path, database.url, section)
    defs = build([tmp_path])
    config = {"ops": {"app__retention": {"config": {"mode": "APPLY"}}}}
    run(defs, instance, "app_retention", run_config=config)
    check = dg.AssetCheckKey(RETENTION, "partition_key_mismatch")
    (record,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    evaluation = record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.ERROR
    asked = run(defs, instance, "app_monthly_partitions", tags=range_tags([month(2)]))
    assert not asked.success
    assert names(database) == before
    assert database.execute("SELECT count(*) FROM public.events") == [(4,)]
