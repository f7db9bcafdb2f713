"""Report mode, approval and pause in Dagster: what schedules, launches and sensors may do."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.orchestration.build import build
from maintenance.orchestration.maintainer import origin_of
from maintenance.orchestration.partitions_defs import range_tags
from maintenance.pipeline import run as pipeline
from maintenance.policy import load_policies
from tests.builders import Database
from tests.orchestration.test_runs import child, month
from tests.policies import CREATE_EVENTS, EVENTS, write_policy

RETENTION = dg.AssetKey(["app", "retention"])
VIEW = "CREATE MATERIALIZED VIEW public.daily AS SELECT count(*) AS n FROM public.events"
CHILDREN = """
SELECT relname FROM pg_class
WHERE relispartition AND relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1
"""


class Runs:
    """Runs of the policies in a folder, and what they leave in the instance."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder = folder
        self.instance = instance

    def run(self, job: str, *, scheduled: bool = False, **given: Any) -> None:
        """Run a job as its schedule or somebody does; it must succeed."""
        tags = {**given.pop("tags", {})}
        if scheduled:
            tags["dagster/schedule_name"] = job
        definition = build([self.folder]).resolve_job_def(job)
        result = definition.execute_in_process(instance=self.instance, tags=tags, **given)
        assert result.success

    def metadata(self, key: dg.AssetKey) -> dict[str, Any]:
        event = self.instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.asset_materialization is not None
        return {n: v.value for n, v in event.asset_materialization.metadata.items()}

    def retire(self) -> None:
        """Run retention as its schedule does."""
        config = {"ops": {"app__retention": {"config": {"mode": "APPLY"}}}}
        self.run("app_retention", scheduled=True, run_config=config)

    def pause(self, **config: Any) -> None:
        self.run("app_pause", run_config={"ops": {"app_set_pause": {"config": config}}})


@pytest.fixture
def runs(tmp_path: Path, instance: dg.DagsterInstance) -> Runs:
    return Runs(tmp_path, instance)


@pytest.fixture
def retained(database: Database, tmp_path: Path) -> None:
    """Six months of events, of which two are kept."""
    database.execute(CREATE_EVENTS)
    write_policy(tmp_path, database.url, EVENTS)
    (policy,) = load_policies([tmp_path]).loaded
    asked = tuple(month(-n) for n in range(6))
    pipeline.apply(policy, request=Request(QualifiedName("public", "events"), asked))
    archive = {"action": "archive_then_drop", "archive": {"url": "./archive"}}
    retention = {"keep": "2 months", "max_per_run": 9, **archive}
    write_policy(tmp_path, database.url, {**EVENTS, "retention": retention})


def names(database: Database) -> list[str]:
    return [name for (name,) in database.execute(CHILDREN)]


@pytest.mark.parametrize(
    ("tags", "origin"),
    [
        ({}, "launched"),
        ({"dagster/backfill": "b", "user": "me"}, "launched"),
        ({"dagster/schedule_name": "app_nightly"}, "scheduled"),
        ({"dagster/sensor_name": "app_staleness"}, "scheduled"),
        ({"dagster/from_automation_condition": "true"}, "scheduled"),
    ],
)
def test_tags_of_a_run_say_who_started_it(tags: dict[str, str], origin: str) -> None:
    assert origin_of(tags) == origin


@pytest.mark.pg("== 18")
@pytest.mark.usefixtures("retained")
def test_scheduled_retention_is_held_then_approved_and_acts(database: Database, runs: Runs) -> None:
    runs.retire()
    held = runs.metadata(RETENTION)
    assert child(-5) in names(database)
    assert "public.events" in held["held_until_approved"]
    assert month(-5) in held["held_until_approved"]
    assert held["held_bytes"] > 8192
    assert "held_rows" in held

    runs.run("app_approve")
    runs.retire()
    assert "held_until_approved" not in runs.metadata(RETENTION)
    assert names(database)[0] == child(-2)
    approved = "SELECT table_name, action, how FROM maintenance.approval"
    assert database.execute(approved) == [("public.events", "archive_then_drop", "dagster")]


@pytest.mark.pg("== 18")
@pytest.mark.usefixtures("retained")
def test_retention_launched_by_hand_acts_and_approves(database: Database, runs: Runs) -> None:
    config = {"mode": "APPLY", "max_per_run": 1}
    runs.run("app_retention", run_config={"ops": {"app__retention": {"config": config}}})
    assert names(database)[0] == child(-4)
    runs.retire()
    assert names(database)[0] == child(-2)


@pytest.mark.pg("== 18")
@pytest.mark.usefixtures("retained")
def test_pause_from_the_ui_holds_every_run_until_resumed(database: Database, runs: Runs) -> None:
    config = {"ops": {"app__retention": {"config": {"mode": "APPLY"}}}}
    runs.pause(**{"action": "pause", "for": "4 hours", "reason": "migration"})
    runs.run("app_retention", run_config=config)
    assert child(-5) in names(database)
    reason = "SELECT reason, until > now() FROM maintenance.pause"
    assert database.execute(reason) == [("migration", True)]
    runs.pause(action="resume")
    runs.run("app_retention", run_config=config)
    assert child(-5) not in names(database)


@pytest.mark.pg("== 18")
def test_report_mode_leaves_schedules_green_and_materializes_what_exists(
    database: Database, runs: Runs
) -> None:
    database.execute(CREATE_EVENTS)
    write_policy(runs.folder, database.url, EVENTS)
    (policy,) = load_policies([runs.folder]).loaded
    pipeline.apply(policy)
    database.execute(f"DROP TABLE public.{child(3)}")
    database.execute(VIEW)
    about = {"name": "app", "url": database.url, "mode": "report"}
    views = [{"name": "public.daily"}]
    write_policy(runs.folder, database.url, EVENTS, database=about, matviews=views)

    tags = range_tags([month(n) for n in range(4)])
    runs.run("app_monthly_partitions", scheduled=True, tags=tags)
    shown = runs.instance.get_materialized_partitions(dg.AssetKey(["app", "partitions", "events"]))
    assert set(shown) == {month(n) for n in range(3)}

    runs.run("app_nightly", scheduled=True)
    assert child(3) not in names(database)
    view = dg.AssetKey(["app", "matviews", "daily"])
    assert runs.instance.get_latest_materialization_event(view) is None


@pytest.mark.pg("== 18")
def test_sensor_requests_no_refresh_that_would_be_held(database: Database, runs: Runs) -> None:
    database.execute(CREATE_EVENTS)
    database.execute(VIEW)
    views = [{"name": "public.daily"}]
    write_policy(runs.folder, database.url, EVENTS, matviews=views)
    (policy,) = load_policies([runs.folder]).loaded
    pipeline.apply(policy, only=["partitions"])

    def requested() -> int:
        repository = build([runs.folder]).get_repository_def()
        with dg.build_sensor_context(
            instance=runs.instance, repository_def=repository, sensor_name="app_staleness"
        ) as context:
            tick = repository.get_sensor_def("app_staleness").evaluate_tick(context)
        return len(tick.run_requests or [])

    assert requested() == 1
    runs.pause(action="pause")
    assert requested() == 0
    runs.pause(action="resume")
    assert requested() == 1
    reported = [{"name": "public.daily", "mode": "report"}]
    write_policy(runs.folder, database.url, EVENTS, matviews=reported)
    assert requested() == 0
