"""A fleet on workers of Celery, one of which is killed."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from maintenance.orchestration.celery_launcher import MAX_MISSES
from maintenance.orchestration.dagster_internals import WorkerStatus
from tests.builders import Database, drop_database, make_database, server_folder
from tests.caches import cache_server, program_of
from tests.celery_fleet import Fleet, running_fleet, wait_for_end, workers_of_runs
from tests.e2e.demos import wait_until
from tests.policies import CREATE_EVENTS, EVENTS, write_policy

pytestmark = [pytest.mark.pg("== 18"), pytest.mark.slow, pytest.mark.timeout(900)]

NAMES = [f"db{number}" for number in range(5)]
ORDERS = {"table": "public.orders", "column": "at"}
CREATE_ORDERS = "CREATE TABLE public.orders (id bigint, at timestamptz) PARTITION BY RANGE (at)"
PARTITIONS = """
SELECT inhrelid::regclass::text, inhrelid FROM pg_inherits WHERE inhparent::regclass::text = ANY
  ('{events,orders}'::text[]) ORDER BY 1
"""
CREATED_TWICE = """
SELECT object FROM maintenance.journal WHERE kind = 'create_partition' AND outcome = 'done'
GROUP BY object HAVING count(*) > 1
"""


@pytest.fixture
def databases(database: Database) -> Iterator[dict[str, Database]]:
    made = {name: make_database(database.server) for name in NAMES}
    for each in made.values():
        each.execute(CREATE_EVENTS)
        each.execute(CREATE_ORDERS)
    yield made
    for each in made.values():
        drop_database(each)


@pytest.fixture
def fleet(database: Database, databases: dict[str, Database], tmp_path: Path) -> Iterator[Fleet]:
    for name, each in databases.items():
        write_policy(tmp_path, each.url, EVENTS, ORDERS, name=name)
    with (
        server_folder() as folder,
        cache_server(program_of("system"), folder) as broker,
        running_fleet(folder / "home", tmp_path, database, broker) as fleet,
    ):
        yield fleet


def launch(fleet: Fleet, name: str) -> str:
    return fleet.dagster.webserver.launch(f"{name}_nightly", {})


def healths(instance: dg.DagsterInstance, run_id: str) -> set[WorkerStatus]:
    """What as many checks say of a run as would find it lost."""
    run = instance.get_run_by_id(run_id)
    assert run
    return {instance.run_launcher.check_run_worker_health(run).status for _ in range(MAX_MISSES)}


def test_run_of_a_killed_worker_is_completed_by_another_and_nothing_is_done_twice(
    databases: dict[str, Database], fleet: Fleet
) -> None:
    for name in ("one", "two", "three"):
        fleet.start_worker(name, "--concurrency", "1")
    half_done = databases["db0"]
    blocker = half_done.connect(autocommit=False)
    blocker.execute("LOCK TABLE public.orders IN SHARE ROW EXCLUSIVE MODE")
    runs = {name: launch(fleet, name) for name in NAMES}
    with fleet.instance() as instance:
        wait_until(lambda: bool(half_done.execute(PARTITIONS)))
        assert healths(instance, runs["db0"]) == {WorkerStatus.RUNNING}
        fleet.kill_worker(workers_of_runs(instance)[runs["db0"]])
        begun = half_done.execute(PARTITIONS)
        blocker.rollback()
        ended = wait_for_end(instance, len(NAMES) + 1)
    done = sorted(run.job_name for run in ended if run.is_success)
    assert done == [f"{name}_nightly" for name in NAMES]
    assert [run.run_id for run in ended if run.is_failure] == [runs["db0"]]
    left = {name: each.execute(PARTITIONS) for name, each in databases.items()}
    assert set(begun) <= set(left["db0"])
    of_others = [partition for partition, _ in left["db1"]]
    assert of_others
    assert all([partition for partition, _ in rows] == of_others for rows in left.values())
    assert [each.execute(CREATED_TWICE) for each in databases.values()] == [[]] * len(NAMES)


def test_run_that_is_terminated_is_canceled_and_not_started_again(
    databases: dict[str, Database], fleet: Fleet
) -> None:
    fleet.start_worker("one", "--concurrency", "1")
    blocked = databases["db0"]
    blocker = blocked.connect(autocommit=False)
    blocker.execute("LOCK TABLE public.orders IN SHARE ROW EXCLUSIVE MODE")
    run_id = launch(fleet, "db0")
    with fleet.instance() as instance:
        wait_until(lambda: bool(blocked.execute(PARTITIONS)))
        assert instance.run_launcher.terminate(run_id)
        (ended,) = wait_for_end(instance, 1)
        assert ended.status == dg.DagsterRunStatus.CANCELED
        assert not instance.run_launcher.terminate(run_id)
        # The daemon has had time to start it again when the next run is through.
        blocker.rollback()
        launch(fleet, "db1")
        assert len(wait_for_end(instance, 2)) == 2
