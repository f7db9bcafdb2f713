"""The first day of a new installation ends without an alert, unless something is really wrong."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from maintenance.demo.postgres import PostgresServer
from maintenance.demo.systems import System, load
from maintenance.orchestration.build import build
from maintenance.pipeline import notify as rounds
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy, load_policy
from tests.builders import Database, drop_database, make_database
from tests.caches import cache_server, program_of
from tests.policies import CREATE_EVENTS, EVENTS, write_policy
from tests.receivers import Receiver

pytestmark = pytest.mark.pg("== 18")
slow = pytest.mark.slow
REFRESHES = {"learning_platform": ["learning_platform_refresh_hourly_at_00"]}

LOADED = """
CREATE TABLE public.users (id bigint PRIMARY KEY, name text);
INSERT INTO public.users SELECT n, 'user ' || n FROM generate_series(1, 5000) n;
CREATE TABLE public.totals (user_id bigint PRIMARY KEY REFERENCES public.users, n int,
  calculated_at timestamptz DEFAULT now(), active_at timestamptz DEFAULT now() - interval '1 day');
INSERT INTO public.totals SELECT n, 0 FROM generate_series(1, 100) n;
CREATE TABLE public.events_default PARTITION OF public.events DEFAULT;
INSERT INTO public.events
  SELECT n, greatest(now() - n * interval '1 minute', date_trunc('month', now(), 'UTC'))
  FROM generate_series(1, 20000) n;
"""
VIEW = "SELECT name, count(*) AS n FROM public.users GROUP BY name;\n"


def a_policy(database: Database, folder: Path, receiver: Receiver) -> Policy:
    database.execute(CREATE_EVENTS)
    with database.connect() as connection:
        connection.execute(LOADED)
    (folder / "per_name.sql").write_text(VIEW)
    keep = {"keep": "12 months", "action": "drop"}
    view = {
        "name": "per_name",
        "definition": "per_name.sql",
        "unique_index": ["name"],
        "refresh": "0 * * * *",
        "max_age": "4 hours",
    }
    computed = {"table": "totals", "calculated_at": "calculated_at", "key": ["user_id"]}
    sections: dict[str, Any] = {name: {} for name in ("statistics", "indexes", "bloat", "workload")}
    path = write_policy(
        folder,
        database.url,
        {**EVENTS, "retention": keep},
        matviews=[view],
        stale_analytics=[computed],
        alerts={"sinks": [receiver.webhook()]},
        **sections,
    )
    return load_policy(path)


def look(folder: Path, instance: dg.DagsterInstance) -> None:
    """Evaluate every sensor once; what they request is not run."""
    definitions = build([folder])
    repository = definitions.get_repository_def()
    for sensor in repository.sensor_defs:
        with dg.build_sensor_context(instance=instance, repository_def=repository) as context:
            sensor.evaluate_tick(context)


def run(folder: Path, instance: dg.DagsterInstance, job: str) -> None:
    definition = build([folder]).resolve_job_def(job)
    result = definition.execute_in_process(instance=instance, raise_on_error=False)
    assert result.success


def told(receiver: Receiver) -> list[tuple[str, str, str, str]]:
    return [(e["state"], e["kind"], e["object"], e["message"]) for e in receiver.events()]


def test_fresh_database_ends_its_first_day_without_an_alert(
    database: Database, tmp_path: Path, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    policy = a_policy(database, tmp_path, receiver)
    look(tmp_path, instance)
    assert told(receiver) == []
    pipeline.apply(policy)
    look(tmp_path, instance)
    rounds.notify(policy)
    assert told(receiver) == []
    run(tmp_path, instance, "app_nightly")
    look(tmp_path, instance)
    rounds.notify(policy)
    assert told(receiver) == []


def test_first_night_in_dagster_alone_ends_without_an_alert(
    database: Database, tmp_path: Path, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    policy = a_policy(database, tmp_path, receiver)
    run(tmp_path, instance, "app_nightly")
    look(tmp_path, instance)
    rounds.notify(policy)
    run(tmp_path, instance, "app_refresh_hourly_at_00")
    look(tmp_path, instance)
    rounds.notify(policy)
    assert told(receiver) == []


@pytest.mark.parametrize("name", ["proposals", pytest.param("learning_platform", marks=slow)])
def test_demo_ends_its_first_day_without_an_alert(
    name: str,
    server: PostgresServer,
    tmp_path: Path,
    receiver: Receiver,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (policy,) = load(tmp_path, [name])
    path = policy.path
    alerts = yaml.safe_dump({"alerts": {"sinks": [receiver.webhook()]}})
    path.write_text(f"{path.read_text()}\n{alerts}")
    database = make_database(server)
    policy = load_policy(path)
    with cache_server(program_of("embedded"), tmp_path / "redis") as cache:
        system = System(policy, database.url)
        for variable, value in {**system.environment, "REDIS_URL": cache.url}.items():
            monkeypatch.setenv(variable, value)
        system.prepare(datetime.now(UTC))
        look(path, instance)
        for job in (f"{name}_nightly", *REFRESHES.get(name, ())):
            run(path, instance, job)
            look(path, instance)
    assert told(receiver) == []
    if name == "proposals":
        months = (
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'public.audit_logs'::regclass ORDER BY 1"
        )
        oldest, *others = database.execute(months)
        database.execute(f"DROP TABLE {oldest[0]}")
        assert not system.prepare(datetime.now(UTC))
        assert database.execute(months) == others, "what was retired does not come back"
    drop_database(database)
