"""Alert sensors: findings and failed runs are alerted, whatever fails for one database."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.alerts.models import Alert, Identity
from maintenance.engine.findings import FindingKind, Severity
from maintenance.orchestration.build import build
from maintenance.orchestration.run_monitor import failure_of
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.alert_links import links
from maintenance.pipeline.registry import SUBJECTS
from maintenance.policy import STANDALONE, Placement, load_policy
from tests.builders import Database, server_folder
from tests.policies import EVENTS, write_policy
from tests.receivers import Receiver

pytestmark = pytest.mark.pg("== 18")

RATIO = "SELECT sum(n) AS total, 1 / count(*) AS ratio FROM public.numbers"
BLOATED = """
CREATE TABLE public.t (id int PRIMARY KEY) WITH (autovacuum_enabled = off);
INSERT INTO public.t SELECT generate_series(1, 40000);
DELETE FROM public.t WHERE id % 4 > 0;
"""
RETRIES = {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": True}


def evaluate(folder: Path, name: str, instance: dg.DagsterInstance) -> str:
    return tick(build([folder]).get_repository_def(), name, instance)


def tick(repository: dg.RepositoryDefinition, name: str, instance: dg.DagsterInstance) -> str:
    with dg.build_sensor_context(instance=instance, repository_def=repository) as context:
        data = repository.get_sensor_def(name).evaluate_tick(context)
    return str(data.skip_message)


def a_view(folder: Path, url: str, receiver: Receiver, **others: Any) -> None:
    """A policy with one view, which fails while the table that it reads is empty."""
    (folder / "ratio.sql").write_text(f"{RATIO};\n")
    views = [{"name": "ratio", "definition": "ratio.sql", "max_age": "4 hours"}]
    alerts = {"sinks": [receiver.webhook()], "ui": "http://dagster.example"}
    write_policy(folder, url, matviews=views, alerts=alerts, **others)


def run(
    folder: Path, instance: dg.DagsterInstance, job: str = "app_nightly", **tags: str
) -> dg.ExecuteInProcessResult:
    definition = build([folder]).resolve_job_def(job)
    told = {f"dagster/{key}": value for key, value in tags.items()}
    return definition.execute_in_process(instance=instance, raise_on_error=False, tags=told)


def test_findings_of_a_run_are_told_once(
    database: Database, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    path = write_policy(tmp_path, database.url, EVENTS)
    pipeline.apply(load_policy(path))
    told = [evaluate(tmp_path, "alert_on_findings", instance) for _ in range(2)]
    assert [numbers_of("app", each) for each in told] == [("1", "1"), ("1", "0")]


def numbers_of(database: str, said: str) -> tuple[str, ...]:
    """How many alerts of a database stand, and how many of them a sensor says it told."""
    found = re.search(rf"\b{database}\b\D+(\d+)\D+(\d+)", said)
    assert found, said
    return found.groups()


def test_database_out_of_reach_stops_no_other(
    database: Database, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    write_policy(tmp_path, "postgresql://nobody:secret@127.0.0.1:9/gone", EVENTS, name="gone")
    path = write_policy(tmp_path, database.url, EVENTS)
    pipeline.apply(load_policy(path))
    for name in ("alert_on_findings", "alert_on_run_failure", "alert_on_freshness"):
        told = evaluate(tmp_path, name, instance)
        assert numbers_of("app", told)[0] == "1"
        assert "127.0.0.1:9/gone" in told
        assert "secret" not in told


def test_database_that_is_down_is_one_alert_where_the_store_is_well(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    """Its failed job is told once it is back, if no run of it has succeeded."""
    alerts = {"sinks": [receiver.webhook()]}
    others: dict[str, Any] = {"alerts": alerts, "store": {"url": database.url}}
    write_policy(tmp_path, "postgresql://nobody@127.0.0.1:9/app", EVENTS, **others)
    with (
        server_folder() as folder,
        dg.DagsterInstance.local_temp(str(folder), {"run_retries": RETRIES}) as instance,
    ):
        assert not run(tmp_path, instance, max_retries="0").success

        def look() -> list[tuple[str, str]]:
            for name in ("alert_on_run_failure", "alert_on_freshness", "alert_on_findings"):
                evaluate(tmp_path, name, instance)
            return [(each["state"], each["kind"]) for each in receiver.events()]

        raised = [("raised", "database_unreachable")]
        assert look() == look() == raised
        write_policy(tmp_path, database.url, EVENTS, **others)
        back = [*raised, ("resolved", "database_unreachable"), ("raised", "run_failed")]
        assert look() == look() == back


def test_job_that_fails_for_good_is_alerted_of_until_it_succeeds(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    """Attempts that will be retried, and jobs of no policy, are not reported."""
    database.execute("CREATE TABLE public.numbers (n int)")
    a_view(tmp_path, database.url, receiver)

    @dg.op
    def fail() -> None:
        raise ValueError("TOKEN")

    @dg.job
    def somebody_elses() -> None:
        fail()

    def look() -> list[tuple[str, str]]:
        evaluate(tmp_path, "alert_on_run_failure", instance)
        found = [each for each in receiver.events() if each["kind"] == "run_failed"]
        return [(each["state"], each["object"]) for each in found]

    with (
        server_folder() as folder,
        dg.DagsterInstance.local_temp(str(folder), {"run_retries": RETRIES}) as instance,
    ):
        somebody_elses.execute_in_process(instance=instance, raise_on_error=False)
        first = run(tmp_path, instance)
        assert not first.success
        assert instance.get_run_by_id(first.run_id).tags["dagster/will_retry"] == "true"  # pyright: ignore[reportOptionalMemberAccess]
        assert look() == []
        last = run(tmp_path, instance, max_retries="0")
        assert look() == look() == [("raised", "app_nightly")]
        document = next(each for each in receiver.documents() if each["kind"] == "run_failed")
        assert last.run_id[:8] in document["message"]
        assert "division by zero" in document["message"]
        assert document["links"]["dagster"] == (
            "http://dagster.example/locations/maintenance/jobs/app_nightly"
        )
        database.execute("INSERT INTO public.numbers VALUES (1)")
        assert run(tmp_path, instance).success
        assert look()[1:] == look()[1:] == [("resolved", "app_nightly")]
    assert receiver.is_signed()


def test_job_is_looked_at_again_only_after_a_run_of_it(
    database: Database, tmp_path: Path, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    database.execute("CREATE TABLE public.numbers (n int)")
    a_view(tmp_path, database.url, receiver)
    repository = build([tmp_path]).get_repository_def()

    def look() -> str:
        return tick(repository, "alert_on_run_failure", instance)

    def told() -> list[str]:
        return [each["state"] for each in receiver.events() if each["kind"] == "run_failed"]

    assert numbers_of("app", look()) == ("0", "0")
    assert look() == "nothing new"
    assert not run(tmp_path, instance, max_retries="0").success
    assert look() != "nothing new"
    assert look() == "nothing new"
    assert told() == ["raised"]
    database.execute("INSERT INTO public.numbers VALUES (1)")
    assert run(tmp_path, instance).success
    assert look() != "nothing new"
    assert told() == ["raised", "resolved"]


def test_text_of_an_error_that_is_not_ours_is_not_processed(instance: dg.DagsterInstance) -> None:
    @dg.op
    def blow_up() -> None:
        raise ValueError("postgresql://user:TOKEN@host/")

    @dg.job
    def ours() -> None:
        blow_up()

    ours.execute_in_process(instance=instance, raise_on_error=False)
    assert failure_of(instance, "never_ran") is None
    finding = failure_of(instance, "ours")
    assert finding is not None
    assert "blow_up" in finding.message
    assert "ValueError" in finding.message
    assert "TOKEN" not in finding.message


def test_view_older_than_it_may_be_is_alerted_of_until_it_is_fresh(
    database: Database, tmp_path: Path, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    """Both sensors that see it tell it once."""
    database.execute("CREATE TABLE public.numbers AS SELECT 1 AS n")
    a_view(tmp_path, database.url, receiver)
    assert run(tmp_path, instance).success

    def look() -> list[tuple[str, str]]:
        evaluate(tmp_path, "app_staleness", instance)
        evaluate(tmp_path, "alert_on_freshness", instance)
        stale = [each for each in receiver.events() if each["kind"] == "matview_stale"]
        return [(each["state"], each["object"]) for each in stale]

    assert look() == []
    columns = ("started_at", "ended_at", "as_of", "proven_as_of")
    older = ", ".join(f"{column} = {column} - interval '5 hours'" for column in columns)
    database.execute(f"UPDATE maintenance.matview_refresh SET {older}")
    assert look() == look() == [("raised", "public.ratio")]
    assert run(tmp_path, instance).success
    assert look()[1:] == [("resolved", "public.ratio")]


def test_look_at_bloat_too_old_to_go_by_is_an_alert_that_no_other_run_ends(
    database: Database, tmp_path: Path, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    with database.connect() as connection:
        connection.execute(BLOATED)
        connection.execute("SELECT pg_stat_force_next_flush()")  # or ANALYZE is before its counts
        connection.execute("VACUUM ANALYZE public.t")
    alerts = {"sinks": [receiver.webhook()]}
    sections: dict[str, Any] = {"bloat": {"min_size": "100 kB"}, "statistics": {}}
    policy = load_policy(write_policy(tmp_path, database.url, alerts=alerts, **sections))

    def look() -> list[tuple[str, str]]:
        evaluate(tmp_path, "app_bloat", instance)
        evaluate(tmp_path, "alert_on_findings", instance)
        return [(each["state"], each["object"]) for each in receiver.events()]

    # The store has a month for what is made older below.
    pipeline.apply(policy, only=["statistics"], now=datetime.now(UTC) - timedelta(days=3))
    pipeline.apply(policy, only=["bloat"])
    found = [("raised", "public.t_pkey"), ("raised", "public.t")]
    assert sorted(look()) == sorted(look()) == sorted(found)
    older = "SET taken_at = taken_at - interval '3 days'"
    for table in ("bloat", "bloat_look"):
        database.execute(f"UPDATE maintenance.{table} {older}")
    assert look()[2:] == [("raised", "app/bloat/look")]
    pipeline.apply(policy, only=["statistics"])
    assert look()[3:] == []
    pipeline.apply(policy, only=["bloat"])
    assert look()[3:] == [("resolved", "app/bloat/look")]


@pytest.mark.parametrize("placement", [STANDALONE, Placement(("ops", "db"), "their_project")])
def test_links_to_assets_lead_to_assets(tmp_path: Path, placement: Placement) -> None:
    keep = {"keep": "3 months", "action": "drop"}
    sections: dict[str, Any] = {
        "matviews": [{"name": '"Sales"."Per Day"'}],
        "stale_analytics": [{"table": "totals", "calculated_at": "at", "key": ["id"]}],
        "redis": {"url": "redis://127.0.0.1:9"},
        "alerts": {"ui": "http://ui"},
        **{name: {} for name in ("statistics", "indexes", "bloat", "workload")},
    }
    url = "postgresql://nobody@127.0.0.1:9/app"
    path = write_policy(tmp_path, url, {**EVENTS, "retention": keep}, **sections)
    definitions = build([path], placement=placement)
    keys = {spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs()}
    reading_on = links(load_policy(path).placed(placement))
    for subject in SUBJECTS:
        kind = min(subject.finding_kinds)
        name = '"Sales"."Per Day"' if subject.name == "matviews" else "public.events"
        identity = Identity("app", kind, name)
        alert = Alert(identity, Severity.WARN, "", datetime.now(UTC), subject=subject.name)
        assert reading_on([alert])["dagster"].removeprefix("http://ui/assets/") in keys
    job = Identity("app", FindingKind.RUN_FAILED, "a_job")
    link = reading_on([Alert(job, Severity.ERROR, "", datetime.now(UTC))])["dagster"]
    assert link == f"http://ui/locations/{placement.location}/jobs/a_job"
