"""When a view may be left alone: each thing that changes its content must be noticed."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import pq
from psycopg.conninfo import make_conninfo

from maintenance.demo.postgres import PostgresServer
from maintenance.engine.plan import Plan
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.subjects.matviews.freshness import EPOCH_CHANGED, NOT_PROVEN
from tests.builders import Database, Role
from tests.policies import make_policy
from tests.sessions import until

newest = pytest.mark.pg("== 18")

SCHEMA = """
CREATE TYPE public.mood AS ENUM ('sad', 'glad');
CREATE TYPE public.pair AS (a int, b int);
CREATE TABLE public.people (id int PRIMARY KEY, mood public.mood, two public.pair, note text);
CREATE TABLE public.events (id int, at date, v int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE public.events_1 PARTITION OF public.events
  FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE public.events_2 PARTITION OF public.events
  FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE public.events_3 (LIKE public.events INCLUDING ALL);
CREATE TABLE public.other (id int);
INSERT INTO public.people SELECT n, 'sad', ROW(n, n)::public.pair, 'n'
  FROM generate_series(1, 5) n;
INSERT INTO public.events SELECT n, '2026-01-05', n FROM generate_series(1, 5) n;
INSERT INTO public.events SELECT n, '2026-02-05', n FROM generate_series(1, 5) n;
CREATE VIEW public.glad AS SELECT p.*, to_jsonb(p) AS whole, mood::text AS said FROM people p;
CREATE FUNCTION public.doubled(n int) RETURNS int LANGUAGE sql IMMUTABLE
  BEGIN ATOMIC SELECT n * 2; END;
CREATE FUNCTION public.biggest() RETURNS int LANGUAGE sql STABLE
  BEGIN ATOMIC SELECT max(v) FROM public.events; END;
"""
QUERY = """
SELECT g.id, g.said, g.whole, public.doubled(e.v) AS v, public.biggest() AS most, e.at
FROM public.glad g LEFT JOIN public.events e ON e.id = g.id
"""


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    with database.connect() as connection:
        connection.execute(SCHEMA.encode())
    return a_policy(database, tmp_path, QUERY)


def a_policy(database: Database, folder: Path, query: str, **more: object) -> Policy:
    (folder / "v.sql").write_text(query)
    view = {"name": "public.v", "definition": "v.sql", **more}
    return make_policy(folder, database.url, matviews=[view])


def settle(policy: Policy) -> None:
    """Make the view, and see it left alone."""
    made = pipeline.apply(policy)
    assert [r.error for r in made.results] == [None]
    assert reason(pipeline.plan(policy).plan) is None


def reason(plan: Plan) -> str | None:
    """Why the view is refreshed; None where it is left alone."""
    assert len(plan.actions) + len(plan.skipped) == 1
    return plan.actions[0].reason if plan.actions else None


CHANGES = {
    "insert": "INSERT INTO public.people VALUES (9, 'sad')",
    "update": "UPDATE public.people SET note = 'm' WHERE id = 1",
    "delete": "DELETE FROM public.people WHERE id = 1",
    "truncate": "TRUNCATE public.people",
    "truncate of a partition": "TRUNCATE public.events_1",
    "insert into a partition": "INSERT INTO public.events_2 VALUES (9, '2026-02-09', 1)",
    "detach": "ALTER TABLE public.events DETACH PARTITION public.events_1",
    "attach": "ALTER TABLE public.events ATTACH PARTITION public.events_3"
    " FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
    "column with a default": "ALTER TABLE public.people ADD extra int DEFAULT 7",
    "renamed label": "ALTER TYPE public.mood RENAME VALUE 'sad' TO 'blue'",
    "renamed attribute": "ALTER TYPE public.pair RENAME ATTRIBUTE a TO c",
    "view in between": "CREATE OR REPLACE VIEW public.glad AS"
    " SELECT p.*, to_jsonb(p) AS whole, 'x' || mood::text AS said FROM people p",
    "function in between": "CREATE OR REPLACE FUNCTION public.doubled(n int) RETURNS int"
    " LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT n * 3; END",
    "reset statistics": "SELECT pg_stat_reset()",
    "reset statistics of one table": "SELECT pg_stat_reset_single_table_counters("
    "'public.people'::regclass)",
    "row security": "ALTER TABLE public.people ENABLE ROW LEVEL SECURITY",
    "somebody else's refresh": "REFRESH MATERIALIZED VIEW public.v",
    "rewritten view": "VACUUM FULL public.v",
    "counting switched off": "ALTER DATABASE {database} SET track_counts = off",
}


@newest
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_may_change_the_content_leads_to_a_refresh(
    database: Database, policy: Policy, change: str
) -> None:
    database.execute("ALTER TABLE public.people REPLICA IDENTITY FULL") if change == "x" else None
    settle(policy)
    database.execute(CHANGES[change].replace("{database}", database.name))
    found = reason(pipeline.plan(policy).plan)
    assert found is not None


COLUMN_CHANGES = {
    "rewriting type": "ALTER TABLE public.people ALTER note TYPE char(5)",
    "type that rewrites nothing": "ALTER TABLE public.people ALTER note TYPE varchar",
    "renamed column": "ALTER TABLE public.people RENAME note TO remark",
    "dropped column": "ALTER TABLE public.people DROP note",
}


@newest
@pytest.mark.parametrize("change", COLUMN_CHANGES)
def test_whatever_changes_the_columns_of_whole_rows_leads_to_a_refresh(
    database: Database, tmp_path: Path, change: str
) -> None:
    database.execute("CREATE TABLE public.people (id int, note text)")
    database.execute("INSERT INTO public.people VALUES (1, 'n')")
    policy = a_policy(database, tmp_path, "SELECT to_jsonb(p) AS w FROM public.people p")
    settle(policy)
    database.execute(COLUMN_CHANGES[change])
    assert reason(pipeline.plan(policy).plan) is not None


UNRELATED = {
    "another table": "INSERT INTO public.other VALUES (1)",
    "an index": "CREATE INDEX ON public.people (note)",
    "analyze and vacuum": "VACUUM ANALYZE public.people",
    "a grant": "GRANT SELECT ON public.people TO PUBLIC",
}


@newest
@pytest.mark.parametrize("change", UNRELATED)
def test_whatever_changes_no_content_leads_to_none(
    database: Database, policy: Policy, change: str
) -> None:
    settle(policy)
    database.execute(UNRELATED[change])
    assert reason(pipeline.plan(policy).plan) is None


UNPROVABLE = {
    "the clock": "SELECT now() AS x",
    "a date": "SELECT CURRENT_DATE AS x",
    "who asks": "SELECT current_user AS x",
    "chance": "SELECT random() AS x",
    "a setting": "SELECT current_setting('work_mem') AS x",
    "a sample": "SELECT * FROM public.other TABLESAMPLE SYSTEM (50)",
    "a catalog": "SELECT count(*) AS x FROM pg_catalog.pg_class",
    "a name": "SELECT tableoid::regclass AS x FROM public.other",
    "a system column": "SELECT xmax::text AS x FROM public.other",
    "a sequence": "SELECT last_value FROM public.counter",
    "an opaque body": "SELECT public.opaque() AS x",
    "an age": "SELECT age(at) AS x FROM public.events",
}


@newest
@pytest.mark.parametrize("query", UNPROVABLE)
def test_what_rows_alone_do_not_decide_is_refreshed_every_time(
    database: Database, tmp_path: Path, query: str
) -> None:
    with database.connect() as connection:
        connection.execute(SCHEMA.encode())
    database.execute("CREATE SEQUENCE public.counter")
    database.execute(
        "CREATE FUNCTION public.opaque() RETURNS bigint LANGUAGE sql IMMUTABLE"
        " AS 'SELECT count(*) FROM public.other'"
    )
    policy = a_policy(database, tmp_path, UNPROVABLE[query])
    pipeline.apply(policy)
    found = reason(pipeline.plan(policy).plan)
    assert found is not None
    assert found.startswith(f"{NOT_PROVEN}: ")


@newest
def test_days_under_the_pinned_time_zone_can_be_proven(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE public.log (at timestamptz)")
    database.execute(f"ALTER DATABASE {database.name} SET timezone = 'Asia/Tokyo'")
    query = "SELECT date_trunc('day', at) AS day, count(*) AS n FROM public.log GROUP BY 1"
    policy = a_policy(database, tmp_path, query)
    database.execute("INSERT INTO public.log VALUES ('2026-01-01 20:00Z')")
    settle(policy)
    with database.connect(options="-c TimeZone=UTC") as connection:
        (row,) = connection.execute("SELECT day::text FROM public.v").fetchall()
    assert row == ("2026-01-01 00:00:00+00",)


def vouched_for(database: Database, policy: Policy) -> datetime | None:
    """Up to when a look says that the view is right; None where it does not."""
    report = pipeline.apply(policy)
    if report.plan.actions:
        return None
    ((moment,),) = database.execute(
        "SELECT greatest(as_of, proven_as_of) FROM maintenance.matview_refresh"
    )
    return moment


def test_rows_written_by_a_session_that_stays_open_are_not_vouched_for(
    database: Database, policy: Policy
) -> None:
    """A session that has just delivered its counts keeps those of its next commits."""
    settle(policy)
    with database.connect() as writer:
        writer.execute("SELECT 1 FROM public.people")
        writer.execute("INSERT INTO public.people VALUES (9, 'sad')")
        (committed,) = writer.execute("SELECT clock_timestamp()").fetchone() or (None,)
        moment = vouched_for(database, policy)
    assert committed
    assert moment is None or moment < committed


def test_commits_right_before_a_long_transaction_are_not_vouched_for(
    database: Database, policy: Policy
) -> None:
    """The session has not delivered its counts, and will not until its transaction ends."""
    settle(policy)
    with database.connect() as writer:
        writer.execute("SELECT 1 FROM public.people")
        writer.execute("INSERT INTO public.people VALUES (9, 'sad')")
        (committed,) = writer.execute("SELECT clock_timestamp()").fetchone() or (None,)
        writer.execute("BEGIN")
        moment = vouched_for(database, policy)
    assert committed
    assert moment is None or moment < committed


@newest
def test_sessions_that_can_not_be_seen_prove_nothing(
    database: Database, tmp_path: Path, owner_role: Role, limited_role: Role
) -> None:
    database.execute("CREATE TABLE public.t (id int)")
    database.give_to(owner_role)
    database.execute(f"GRANT CREATE ON SCHEMA public TO {owner_role.name}")
    (tmp_path / "v.sql").write_text("SELECT id FROM public.t")
    view = {"name": "public.v", "definition": "v.sql"}
    policy = make_policy(tmp_path, database.url_of(owner_role), matviews=[view])
    settle(policy)
    with database.connect(limited_role) as other:
        other.execute("SELECT 1")
        found = reason(pipeline.plan(policy).plan)
    assert found is not None
    assert "GRANT pg_read_all_stats" in found


def test_crash_of_the_server_makes_counters_worthless(
    server: PostgresServer, database: Database, policy: Policy
) -> None:
    settle(policy)
    server.stop(immediate=True)
    server.start()
    found = reason(pipeline.plan(policy).plan)
    assert found == EPOCH_CHANGED


def test_two_crashes_in_a_row_hide_no_change(
    server: PostgresServer, database: Database, tmp_path: Path
) -> None:
    """The server recovers by itself: it did not start anew, and its reset time is empty again."""
    database.execute("CREATE TABLE public.t (id int); INSERT INTO public.t VALUES (1)")
    policy = a_policy(database, tmp_path, "SELECT id FROM public.t", unique_index=["id"])
    settle(policy)
    kill_a_backend(database)
    pipeline.apply(policy)
    assert reason(pipeline.plan(policy).plan) is None
    database.execute("INSERT INTO public.t VALUES (2)")
    kill_a_backend(database)
    found = reason(pipeline.plan(policy).plan)
    assert found == EPOCH_CHANGED


def kill_a_backend(database: Database) -> None:
    """Kill one backend, and wait until the server has recovered from it."""
    session = database.connect()
    os.kill(session.info.backend_pid, signal.SIGKILL)

    def is_back() -> bool:
        with suppress(psycopg.Error):
            return database.execute("SELECT 1") == [(1,)]
        return False

    until(session_is_gone(session))
    until(is_back)


def session_is_gone(session: psycopg.Connection[Any]) -> Callable[[], bool]:
    def is_gone() -> bool:
        try:
            session.execute("SELECT 1")
        except psycopg.Error:
            return True
        return False

    return is_gone


@newest
def test_rows_written_through_the_replication_protocol_are_not_vouched_for(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE public.t (id int)")
    policy = a_policy(database, tmp_path, "SELECT id FROM public.t")
    settle(policy)
    options = make_conninfo(database.url, replication="database")
    writer = pq.PGconn.connect(options.encode())
    try:
        for statement in (b"BEGIN", b"INSERT INTO public.t VALUES (1)"):
            assert writer.exec_(statement).error_message == b""
        with database.connect() as clock:
            (open_at,) = clock.execute("SELECT clock_timestamp()").fetchone() or (None,)
        moment = vouched_for(database, policy)
        writer.exec_(b"COMMIT")
    finally:
        writer.finish()
    assert open_at
    assert moment is None or moment < open_at


def test_prepared_transaction_counts_when_it_is_committed(
    database: Database, policy: Policy
) -> None:
    with database.connect(autocommit=False) as writer:
        writer.execute("INSERT INTO public.people VALUES (9, 'sad')")
        writer.execute("PREPARE TRANSACTION 'pending'")
    settle(policy)
    database.execute("COMMIT PREPARED 'pending'")
    assert reason(pipeline.plan(policy).plan) is not None


def test_partition_that_is_being_detached_is_noticed(database: Database, policy: Policy) -> None:
    settle(policy)
    reader = database.connect(autocommit=False)
    reader.execute("SELECT count(*) FROM public.events")
    with database.connect() as other:
        other.execute("SET statement_timeout = '300ms'")
        with pytest.raises(Exception, match="timeout"):
            other.execute("ALTER TABLE public.events DETACH PARTITION public.events_1 CONCURRENTLY")
    reader.rollback()
    assert reason(pipeline.plan(policy).plan) is not None
