"""ANALYZE and VACUUM of one table, as the Dagster UI launches them."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.engine.run_lock import RUN_LOCK
from maintenance.orchestration.build import build
from tests.builders import Database, Role
from tests.orchestration.test_alert_jobs import failure_of, run, shown
from tests.policies import EVENTS, write_policy

pytestmark = pytest.mark.pg("== 18")

TIMES = """
SELECT relname, last_analyze IS NOT NULL, last_vacuum IS NOT NULL
FROM pg_catalog.pg_stat_user_tables WHERE schemaname = 'public' ORDER BY 1
"""
TABLES = """
CREATE TABLE public."Quiet" (id int);
CREATE TABLE public.other (id int);
CREATE TABLE public.parted (id int, at int) PARTITION BY RANGE (at);
CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES FROM (0) TO (10);
INSERT INTO public.parted SELECT i, i % 10 FROM generate_series(1, 100) i;
"""


class Launches:
    """Launches of the two jobs in an instance."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder = folder
        self.instance = instance

    def launch(self, job: str, table: str) -> dg.ExecuteInProcessResult:
        return run(self.folder, self.instance, f"app_{job}", f"app_{job}_table", table=table)

    def reason(self, job: str, table: str) -> str:
        """Launch a job that must fail; return what the run says."""
        result = self.launch(job, table)
        assert not result.success
        return failure_of(result, f"app_{job}_table").description


@pytest.fixture
def launches(database: Database, tmp_path: Path, instance: dg.DagsterInstance) -> Launches:
    """A policy that names none of the tables, and has no section of statistics."""
    with database.connect() as connection:
        connection.execute(TABLES)
    write_policy(tmp_path, database.url, EVENTS)
    return Launches(tmp_path, instance)


def times(database: Database) -> dict[str, tuple[bool, bool]]:
    return {name: (analyzed, vacuumed) for name, analyzed, vacuumed in database.execute(TIMES)}


NEVER, ANALYZED, VACUUMED = (False, False), (True, False), (True, True)


def test_one_table_is_analyzed_then_vacuumed_although_nothing_is_due(
    database: Database, launches: Launches
) -> None:
    metadata = shown(launches.launch("analyze", '"Quiet"'))
    assert metadata["analyzed"] == 1
    assert '"Quiet"' in metadata["what"]
    assert times(database)["Quiet"] == ANALYZED
    assert shown(launches.launch("vacuum", 'public."Quiet"'))["analyzed"] == 1
    expected = {"Quiet": VACUUMED, "other": NEVER, "parted": NEVER, "parted_1": NEVER}
    assert times(database) == expected


def test_partitioned_table_is_kept_up_with_its_partitions(
    database: Database, launches: Launches
) -> None:
    assert launches.launch("vacuum", "parted").success
    found = times(database)
    assert (found["parted"], found["parted_1"]) == (ANALYZED, VACUUMED)
    assert found["other"] == NEVER


@pytest.mark.parametrize(
    ("table", "said"),
    [("public.othr", "public.other"), ("quiet", 'public."Quiet"'), ("a.b.c.d", "a.b.c.d")],
)
def test_what_is_no_table_fails_with_the_near_name_and_is_no_alert(
    launches: Launches, table: str, said: str
) -> None:
    assert said in launches.reason("analyze", table)
    repository = build([launches.folder]).get_repository_def()
    assert repository.get_job("app_analyze").tags["maintenance/by_hand"] == "true"


def test_paused_and_reporting_databases_are_left_alone(
    database: Database, launches: Launches
) -> None:
    pause: dict[str, Any] = {"action": "pause", "reason": "a migration"}
    assert run(launches.folder, launches.instance, "app_pause", "app_set_pause", **pause).success
    assert "a migration" in launches.reason("analyze", "other")
    run(launches.folder, launches.instance, "app_pause", "app_set_pause", action="resume")
    report = {"name": "app", "url": database.url, "mode": "report"}
    write_policy(launches.folder, database.url, EVENTS, database=report)
    assert "database.mode" in launches.reason("vacuum", "other")
    write_policy(launches.folder, database.url, EVENTS, statistics={"mode": "report"})
    assert "statistics.mode" in launches.reason("vacuum", "other")
    assert set(times(database).values()) == {NEVER}


def test_another_run_at_work_is_named(database: Database, launches: Launches) -> None:
    holder = database.connect(application_name="somebody at work")
    holder.execute("SELECT pg_advisory_lock(%s)", [RUN_LOCK])
    write_policy(launches.folder, database.url, EVENTS, locks={"give_up_after": "300 ms"})
    assert "somebody at work" in launches.reason("analyze", "other")
    assert times(database)["other"] == NEVER


def test_table_of_others_fails_and_is_named(
    database: Database, launches: Launches, limited_role: Role
) -> None:
    database.execute(f"GRANT CREATE ON DATABASE {database.name} TO {limited_role.name}")
    write_policy(launches.folder, database.url_of(limited_role), EVENTS)
    assert "public.other" in launches.reason("analyze", "other")
    assert times(database)["other"] == NEVER


def test_form_is_shown_and_wants_a_table(launches: Launches) -> None:
    for name in ("analyze", "vacuum"):
        job = build([launches.folder]).resolve_job_def(f"app_{name}")
        assert job.run_config == {"ops": {f"app_{name}_table": {"config": {"table": ""}}}}
        assert "table" in launches.reason(name, "")
