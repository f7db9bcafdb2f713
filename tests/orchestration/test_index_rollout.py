"""Declared indexes in Dagster: compared at night, rolled out by hand."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.orchestration.build import build
from maintenance.orchestration.index_assets import review_metadata
from maintenance.orchestration.rollout_assets import proof_metadata, rollout_config
from maintenance.orchestration.run_mode import Mode
from maintenance.policy import Policy, load_policy
from tests.builders import Database
from tests.policies import write_policy

pytestmark = pytest.mark.pg("== 18")

KEY = dg.AssetKey(["app", "indexes"])
SCHEDULED = {"dagster/schedule_name": "app_nightly"}
BUILT = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('public.notes_owner')"


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    """A table with one declared index that is missing, and one whose column is not there."""
    database.execute("CREATE TABLE public.notes (id int PRIMARY KEY, owner_id int, body text)")
    database.execute("INSERT INTO public.notes SELECT g, g % 100 FROM generate_series(1, 5000) g")
    (tmp_path / "indexes.sql").write_text(
        "-- wave: 2\n-- expect: 10x\nCREATE INDEX notes_owner ON notes (owner_id);\n"
        "CREATE INDEX notes_lost ON notes (ownerid);\n"
    )
    return load_policy(write_policy(tmp_path, database.url, indexes={"declared": "indexes.sql"}))


def run(
    policy: Policy, instance: dg.DagsterInstance, job: str, **further: Any
) -> dict[str, dg.MetadataValue[Any]]:
    built = build([policy.path]).resolve_job_def(job)
    result = built.execute_in_process(
        instance=instance, raise_on_error=False, asset_selection=[KEY], **further
    )
    assert result.success
    (event,) = result.asset_materializations_for_node("app__indexes")
    return dict(event.metadata)


def test_night_compares_and_changes_nothing(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    metadata = run(policy, instance, "app_nightly", tags=SCHEDULED)
    assert database.execute(BUILT) == [(0,)]
    assert metadata["declared"].value == 2
    assert metadata["as_declared"].value == 0
    assert "public.notes_owner" in str(metadata["declarations"].value)
    recorded = "SELECT kind FROM maintenance.finding WHERE object = 'public.notes_owner'"
    assert database.execute(recorded) == [(FindingKind.INDEX_MISSING.value,)]


def test_rollout_is_a_dry_run_until_its_form_says_apply(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    planned = run(policy, instance, "app_index_rollout")
    assert database.execute(BUILT) == [(0,)]
    assert "CREATE INDEX CONCURRENTLY notes_owner" in str(planned["planned_sql"].value)
    applied = run(
        policy, instance, "app_index_rollout", run_config=rollout_config(policy, Mode.APPLY)
    )
    assert database.execute(BUILT) == [(1,)]
    assert applied["as_declared"].value == 1
    assert "schema_drift" in str(applied["declarations"].value).replace("\\", "")


def test_form_of_the_rollout_chooses_waves(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    for wave, built in ((1, 0), (2, 1)):
        config = {"ops": {"app__indexes": {"config": {"mode": "APPLY", "waves": [wave]}}}}
        run(policy, instance, "app_index_rollout", run_config=config)
        assert database.execute(BUILT) == [(built,)]


def test_schedule_rolls_out_the_waves_that_have_begun(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    def tick(first_day: str, built: int) -> None:
        section = {"declared": "indexes.sql", "waves": {"2": first_day}}
        schedules = {"index_rollout": "0 3 * * 6"}
        write_policy(policy.path.parent, database.url, indexes=section, schedules=schedules)
        definitions = build([policy.path]).get_repository_def()
        schedule = definitions.get_schedule_def("app_index_rollout")
        context = dg.build_schedule_context(instance, repository_def=definitions)
        (request,) = list(schedule.evaluate_tick(context).run_requests or ())
        run(policy, instance, "app_index_rollout", run_config=request.run_config)
        assert database.execute(BUILT) == [(built,)]

    tick("2999-01-01", 0)
    tick("2026-01-01", 1)


def test_what_serves_the_queries_is_shown_on_the_rollout_and_in_the_weekly_review(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    folder = policy.path.parent / "queries"
    folder.mkdir()
    text = "-- params: 7\nSELECT * FROM notes WHERE owner_id = $1"
    (folder / "of_owner.sql").write_text(text)
    section = {"declared": "indexes.sql", "queries": "queries"}
    write_policy(policy.path.parent, database.url, indexes=section)
    database.execute("ANALYZE public.notes")
    applied = run(
        policy, instance, "app_index_rollout", run_config=rollout_config(policy, Mode.APPLY)
    )
    assert applied["queries_declared_index"].value == 1
    assert applied["share_of_queries_served"].value == 1
    assert "of_owner" in str(applied["served_queries"].value)
    # The table is small: what was expected is not judged.
    assert "10x: too small to judge" in str(applied["declarations"].value)
    job = build([policy.path]).resolve_job_def("app_weekly_review")
    result = job.execute_in_process(instance=instance)
    (event,) = result.asset_materializations_for_node("app__index_usage")
    assert event.metadata["share_of_queries_served"].value == 1


def test_weekly_review_has_the_verdicts() -> None:
    data = {
        "verdict": "keep",
        "scans": 1200,
        "queries_using": 1,
        "queries": 2,
        "ratio": 4.5,
        "expected": 10.0,
        "expectation": "missed",
    }
    text = "reviewed"
    found = Finding(FindingKind.INDEX_REVIEW, Severity.INFO, "public.i", text, data=data)
    shown = str(review_metadata([found])["reviews"].value)
    for part in ("keep", "1,200", "1 of 2", "4.5", "10x: missed"):
        assert part in shown
    assert review_metadata([]) == {}


def test_rollout_is_undone_by_a_job(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    run(policy, instance, "app_index_rollout", run_config=rollout_config(policy, Mode.APPLY))
    job = build([policy.path]).resolve_job_def("app_undo")
    config = {"ops": {"app_undo_run": {"config": {"run": "last"}}}}
    assert job.execute_in_process(instance=instance, run_config=config).success
    assert database.execute(BUILT) == [(0,)]
    config["ops"]["app_undo_run"]["config"]["run"] = "0000dead"
    unknown = job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)
    assert not unknown.success


def test_advice_never_rolls_out(
    policy: Policy, database: Database, instance: dg.DagsterInstance
) -> None:
    job = build([policy.path]).resolve_job_def("app_weekly_review")
    assert job.execute_in_process(instance=instance, raise_on_error=False).success
    assert database.execute(BUILT) == [(0,)]


def test_checks_of_declarations_are_on_one_asset_only(policy: Policy) -> None:
    graph = build([policy.path]).resolve_asset_graph()
    checks = {
        key: {c.name for c in graph.asset_check_keys if c.asset_key == key}
        for key in (KEY, dg.AssetKey(["app", "index_usage"]))
    }
    declared = {kind.value for kind in FindingKind if kind.spec.is_of_declaration}
    advice = {kind.value for kind in FindingKind if kind.spec.is_advice}
    here, there = checks.values()
    assert declared <= here
    assert not declared & there
    assert not advice & here
    assert declared


def test_without_declarations_there_is_no_rollout(tmp_path: Path) -> None:
    path = write_policy(tmp_path, "postgresql://nobody@127.0.0.1:9/nowhere", indexes={})
    definitions = build([path])
    assert KEY not in {spec.key for spec in definitions.resolve_all_asset_specs()}
    assert proof_metadata([]) == {}
