"""Index usage, as the Dagster UI shows it."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.orchestration.build import build
from maintenance.orchestration.markdown import code, sql
from maintenance.subjects.indexes import INDEXES
from tests.builders import Database
from tests.policies import write_policy

pytestmark = pytest.mark.pg("== 18")

KEY = dg.AssetKey(["app", "index_usage"])
LIMITS = {"unused": {"min_size": "20 kB"}}
HOSTILE = 'a|b `c`\n"d" <b>é'


@pytest.fixture
def defs(database: Database, tmp_path: Path) -> dg.Definitions:
    """Thirty superfluous indexes, one of a hostile name, and one foreign key without any."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
    database.execute("INSERT INTO t SELECT generate_series(1, 1000)")
    database.execute("CREATE TABLE child (a int REFERENCES t)")
    database.execute("INSERT INTO child SELECT generate_series(1, 300)")
    for number in range(29):
        database.execute(f"CREATE INDEX t_{number} ON t (id)")
    quoted = HOSTILE.replace('"', '""')
    database.execute(f'CREATE INDEX "{quoted}" ON t (id)')
    database.execute("VACUUM ANALYZE t")
    write_policy(tmp_path, database.url, indexes=LIMITS, schedules={"weekly": "1 2 * * 3"})
    return build([tmp_path])


def run(defs: dg.Definitions, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def("app_weekly_review")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def metadata_of(instance: dg.DagsterInstance) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(KEY)
    assert event is not None
    assert event.asset_materialization is not None
    return {k: v.value for k, v in event.asset_materialization.metadata.items()}


def test_weekly_review_shows_the_worst_twenty_and_numbers_that_plot(
    defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    assert run(defs, instance).success
    metadata = metadata_of(instance)
    assert metadata["superfluous_indexes"] == metadata["index_duplicate"] == 30
    assert metadata["index_unused"] == 0
    assert metadata["fk_unindexed"] == 1
    assert "CREATE INDEX CONCURRENTLY child_a_idx ON public.child (a);" in metadata["to_create"]
    assert metadata["superfluous_megabytes"] > 0
    _head, _rule, *rows = metadata["worst"].splitlines()
    found = [re.fullmatch(r"\| (\w+) \| .* \| ` public\.t ` \| ([^|]+) \| .*", row) for row in rows]
    shown = [match.groups() if match else None for match in found]
    assert shown == [("index_duplicate", "40.0 kB")] * 20
    assert "DROP INDEX CONCURRENTLY public.t_0;" in metadata["to_drop"]
    assert (
        "CREATE INDEX CONCURRENTLY t_0 ON public.t USING btree (id);" in metadata["to_bring_back"]
    )


def test_every_kind_is_a_check_and_red_where_it_was_found(
    defs: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    result = run(defs, instance)
    checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
    left_out = {kind.value for kind in INDEXES.finding_kinds if kind.spec.is_of_declaration}
    assert set(checks) == {kind.value for kind in INDEXES.finding_kinds} - left_out
    assert {name for name, check in checks.items() if not check.passed} == {"index_duplicate"}
    assert checks["index_duplicate"].metadata["objects"].value == 30


def test_schedule_is_the_policy_s_weekly_one(defs: dg.Definitions) -> None:
    schedule = defs.resolve_schedule_def("app_weekly_review")
    assert schedule.cron_schedule == "1 2 * * 3"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_policy_without_the_section_has_no_such_asset(tmp_path: Path) -> None:
    write_policy(tmp_path, "postgresql://nobody@127.0.0.1:9/nowhere")
    assert not build([tmp_path]).resolve_asset_graph().get_all_asset_keys()


def test_hostile_name_stays_in_its_cell_and_block() -> None:
    shown = code(HOSTILE)
    assert shown == '`` a\\|b `c` "d" <b>é ``'
    assert sql(["```"]).value == "````sql\n```;\n````"
