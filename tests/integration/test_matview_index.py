"""The unique index of a view: old snapshots, leftovers, duplicates, names that are taken."""

import threading
from pathlib import Path

import psycopg
import pytest

from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database
from tests.policies import make_policy

pytestmark = pytest.mark.store

newest = pytest.mark.pg("== 18")
SCHEMA = """
CREATE TABLE public.t (id int, a int);
INSERT INTO public.t SELECT g, g FROM generate_series(1, 9) g;
CREATE MATERIALIZED VIEW public.mv AS SELECT id, a FROM public.t;
CREATE TABLE public.other (x int);
"""
INDEXES = """
SELECT c.relname::text, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = 'public.mv'::regclass ORDER BY 1"""


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(SCHEMA)
    return a_policy(database, tmp_path)


def a_policy(database: Database, folder: Path, **more: object) -> Policy:
    view = {"name": "public.mv", "unique_index": ["id"], **more}
    locks = {"lock_timeout": "50 ms", "give_up_after": "2 seconds"}
    return make_policy(folder, database.url, matviews=[view], locks=locks)


def unindexed(policy: Policy) -> Finding:
    (found,) = [
        each
        for each in pipeline.plan(policy).findings
        if each.kind is FindingKind.MATVIEW_NO_UNIQUE_INDEX
    ]
    return found


def execute_plan(policy: Policy) -> None:
    """Apply a policy; findings may stand, but what is done succeeds."""
    assert {result.error for result in pipeline.apply(policy).results} <= {None}


def test_build_waits_for_old_snapshots_and_gives_up_without_a_leftover(
    database: Database, policy: Policy
) -> None:
    old = database.connect(autocommit=False)
    old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    old.execute("SELECT * FROM public.other")
    report = pipeline.apply(policy)
    assert [result.outcome for result in report.results] == [Outcome.FAILED]
    threading.Timer(1.0, old.rollback).start()  # longer than any lock_timeout
    report = pipeline.apply(policy)
    assert [result.error for result in report.results] == [None]
    assert database.execute(INDEXES) == [("mv_id_key", True)]
    assert pipeline.apply(policy).ok
    assert [f.kind for f in pipeline.plan(policy).findings] == []


@newest
def test_what_a_killed_build_has_left_is_dropped_first(database: Database, policy: Policy) -> None:
    with database.connect(autocommit=False) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT * FROM public.other")
        with database.connect() as builder:
            builder.execute("SET lock_timeout = '100ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                builder.execute("CREATE UNIQUE INDEX CONCURRENTLY mv_id_key ON public.mv (id)")
    assert database.execute(INDEXES) == [("mv_id_key", False)]
    execute_plan(policy)
    assert database.execute(INDEXES) == [("mv_id_key", True)]


@newest
def test_duplicates_are_shown_and_the_view_is_refreshed_all_the_same(
    database: Database, policy: Policy
) -> None:
    database.execute("INSERT INTO public.t VALUES (3, 0), (3, 1), (4, 0), (NULL, 0), (NULL, 1)")
    database.execute("REFRESH MATERIALIZED VIEW public.mv")
    database.execute("INSERT INTO public.t VALUES (77, 0)")
    execute_plan(policy)
    found = unindexed(policy)
    assert (found.severity, found.object, found.value) == (Severity.ERROR, "public.mv", 2)
    assert found.data["duplicates"] == [
        {"key": {"id": "3"}, "rows": 3},
        {"key": {"id": "4"}, "rows": 2},
    ]
    assert database.execute("SELECT count(*) FROM public.mv WHERE id = 77") == [(1,)]
    assert database.execute(INDEXES) == []
    database.execute("DELETE FROM public.t WHERE a < 2")
    execute_plan(policy)
    execute_plan(policy)
    assert database.execute(INDEXES) == [("mv_id_key", True)]


@newest
def test_duplicates_that_come_with_the_first_rows_leave_the_view_full(
    database: Database, policy: Policy
) -> None:
    database.execute("INSERT INTO public.t VALUES (3, 0)")
    database.execute("REFRESH MATERIALIZED VIEW public.mv WITH NO DATA")
    report = pipeline.apply(policy)
    assert [result.outcome for result in report.results] == [Outcome.FAILED]
    assert database.execute("SELECT count(*) FROM public.mv") == [(10,)]
    assert unindexed(policy).value == 1
    assert database.execute(INDEXES) == []


TAKEN = {
    "a table": "CREATE TABLE public.mv_id_key (x int)",
    "an index of another table": "CREATE INDEX mv_id_key ON public.other (x)",
    "another index of the view": "CREATE INDEX mv_id_key ON public.mv (a)",
}


@newest
@pytest.mark.parametrize("thing", TAKEN)
def test_taken_name_is_told_and_not_touched(database: Database, policy: Policy, thing: str) -> None:
    database.execute(TAKEN[thing])
    for _ in range(2):
        execute_plan(policy)
        found = unindexed(policy)
        assert found.severity is Severity.ERROR
        assert found.data == {"taken": "public.mv_id_key"}
    assert database.execute("SELECT to_regclass('public.mv_id_key') IS NULL") == [(False,)]


@newest
def test_column_that_is_not_there_is_told(database: Database, tmp_path: Path) -> None:
    database.execute(SCHEMA)
    policy = a_policy(database, tmp_path, unique_index=["ID"])
    execute_plan(policy)
    assert unindexed(policy).data == {"missing_columns": ["ID"]}
    database.execute("INSERT INTO public.t VALUES (77, 0)")
    policy = a_policy(database, tmp_path, unique_index=["ID"], mode="concurrently")
    report = pipeline.apply(policy)
    assert [result.outcome for result in report.results] == [Outcome.REFUSED]
