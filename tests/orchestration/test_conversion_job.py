"""Conversions in Dagster: a dry run by default, and what the asset of the table shows."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.engine.progress import BuildProgress, StepProgress
from maintenance.orchestration.build import build
from maintenance.orchestration.conversion_metadata import LiveProgress
from maintenance.policy import Policy, load_policy
from tests.builders import Database
from tests.conversions import EVENTS, PLAIN
from tests.policies import write_policy

pytestmark = pytest.mark.pg("== 18")

KEY = dg.AssetKey(["app", "partitions", "events"])
KIND = "SELECT relkind::text FROM pg_class WHERE oid = 'public.events'::regclass"
Shown = list[dict[str, Any]]


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    """A table to convert."""
    database.execute(PLAIN)
    return load_policy(write_policy(tmp_path, database.url, EVENTS))


def run(policy: Policy, instance: dg.DagsterInstance, **config: Any) -> tuple[bool, Shown]:
    """Run the job with its form; whether it succeeded, and what the asset shows."""
    job = build([policy.path]).resolve_job_def("app_convert")
    done = job.execute_in_process(
        instance=instance,
        run_config={"ops": {"app_convert_tables": {"config": config}}},
        raise_on_error=False,
    )
    records = instance.fetch_observations(KEY, limit=100).records
    of_run = [each for each in records if each.run_id == done.run_id]
    shown = [each.asset_observation for each in reversed(of_run)]
    return done.success, [
        {name: value.value for name, value in each.metadata.items()} for each in shown if each
    ]


def test_form_is_a_dry_run_that_shows_steps_and_locks(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    success, (shown,) = run(policy, instance)
    assert success
    assert database.execute(KIND) == [("r",)]
    assert shown["steps_left"] == shown["conversion_steps"].count("\n") - 1
    assert "ACCESS EXCLUSIVE on" in shown["conversion_steps"]


def test_applied_form_converts_and_shows_each_step(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    success, shown = run(policy, instance, mode="APPLY", table="public.events")
    assert success
    assert database.execute(KIND) == [("p",)]
    *steps, last = shown
    total = len(steps)
    assert [each["conversion"] for each in steps] == [
        f"conversion: step {place} of {total}" for place in range(1, total + 1)
    ]
    assert last["conversion"] == "converted"
    assert "steps_left" not in last


def test_monthly_job_of_a_converted_table_finds_its_periods_in_the_first_partition(
    policy: Policy, instance: dg.DagsterInstance
) -> None:
    assert run(policy, instance, mode="APPLY")[0]
    definitions = build([policy.path])
    partitions = definitions.resolve_assets_def(KEY).partitions_def
    assert partitions is not None
    first, *_, last = keys = partitions.get_partition_keys()
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }
    job = definitions.resolve_job_def("app_monthly_partitions")
    assert job.execute_in_process(instance=instance, tags=tags).success
    assert instance.get_materialized_partitions(KEY) == set(keys)


def test_undone_conversion_is_converted_again_only_by_its_form(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    assert run(policy, instance, mode="APPLY")[0]
    undo = build([policy.path]).resolve_job_def("app_undo")
    config = {"ops": {"app_undo_run": {"config": {"run": "last"}}}}
    assert undo.execute_in_process(instance=instance, run_config=config).success
    assert run(policy, instance, mode="APPLY")[0]
    assert database.execute(KIND) == [("r",)]
    assert run(policy, instance, mode="APPLY", again=True)[0]
    assert database.execute(KIND) == [("p",)]


def test_undo_that_is_refused_fails_its_run(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    assert run(policy, instance, mode="APPLY")[0]
    database.execute("INSERT INTO public.events VALUES (0, now() + interval '65 days')")
    undo = build([policy.path]).resolve_job_def("app_undo")
    config = {"ops": {"app_undo_run": {"config": {"run": "last"}}}}
    done = undo.execute_in_process(instance=instance, run_config=config, raise_on_error=False)
    assert not done.success


def test_all_reasons_against_it_are_a_table(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    database.execute("ALTER TABLE public.events ADD UNIQUE (note)")
    success, (shown,) = run(policy, instance)
    assert success
    assert "unique" in shown["reasons_against"]
    assert shown["reasons_against"].count("\n") == 2
    assert "conversion_steps" not in shown


def test_nightly_run_shows_the_conversion_on_the_table(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    job = build([policy.path]).resolve_job_def("app_nightly")
    done = job.execute_in_process(instance=instance, raise_on_error=False)
    records = instance.fetch_observations(KEY, limit=100).records
    shown = [each.asset_observation for each in records if each.run_id == done.run_id]
    assert len(shown) > 3
    assert database.execute(KIND) == [("p",)]


def test_without_a_table_to_convert_there_is_no_job(tmp_path: Path) -> None:
    path = write_policy(
        tmp_path, "postgresql://nobody@127.0.0.1:9/nowhere", {**EVENTS, "convert": "never"}
    )
    jobs = {job.name for job in build([path]).jobs or ()}
    assert not {"app_convert", "app_undo"} & jobs


class Recorder:
    """Keeps events instead of logging them."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def log_event(self, event: Any) -> None:
        self.events.append(event)


def test_one_step_is_shown_once_in_half_a_minute(policy: Policy) -> None:
    recorder = Recorder()
    live = LiveProgress(policy, recorder)  # type: ignore[arg-type]
    for place, fraction in ((1, None), (1, 0.62), (1, 0.7), (2, None)):
        live(StepProgress.of("public.events", "conversion", place, 2, "building", fraction))
    live(StepProgress.of("public.other", "conversion", 1, 2, "building"))
    live(BuildProgress.of("scanning", 0.5))
    live("a line")
    told = [event.metadata["conversion"].value for event in recorder.events]
    assert told == ["conversion: step 1 of 2", "conversion: step 2 of 2"]


def test_progress_has_step_and_percent() -> None:
    line = StepProgress.of("public.events", "conversion", 4, 9, "scanning table", 0.62)
    assert line.state == "conversion: step 4 of 9, 62 %"
    assert str(line).startswith(f"public.events: {line.state}")
