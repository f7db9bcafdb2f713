"""Statements of a real server: what is slow, slower or looped, and what is not news."""

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from maintenance.alerts.models import Event
from maintenance.demo.postgres import PostgresServer
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.formatting import readable_size
from maintenance.orchestration.health_metadata import workload_metadata
from maintenance.pipeline import notify
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.subjects.workload.history import moments
from maintenance.subjects.workload.statement_history import (
    heaviest,
    totals_of_the_day,
    worst_of_the_day,
)
from tests.builders import Database, Role, make_database, server_folder
from tests.policies import make_policy
from tests.sessions import session, until

from_debian = pytest.mark.pg("== 15")
"""Only Debian's package has the extension."""

SECTION = {"slow_query": "100 ms", "mean_query": "10 hours", "disk_growth": {"free_disk": "1 MB"}}
KINDS = ("query_slow", "query_regressed", "query_n_plus_one", "matview_candidate")


class Counted:
    """A database whose statements are counted, and observed with its policy."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self.database = database
        self.policy = policy

    def look(self, days_ago: float = 0) -> list[Finding]:
        now = datetime.now(UTC) - timedelta(days=days_ago)
        report = pipeline.apply(self.policy, only=["workload"], now=now)
        assert report.ok
        return [finding for finding in report.findings if finding.kind.value in KINDS]

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def sleep(self, *seconds: float, what: str = "usual") -> None:
        self.run(*(f"SELECT pg_sleep({each}) AS {what}" for each in seconds))


def counting(database: Database, folder: Path) -> Counted:
    database.execute("CREATE EXTENSION pg_stat_statements")
    database.execute("SELECT pg_stat_statements_reset()")
    return Counted(database, make_policy(folder, database.url, workload=SECTION))


@pytest.fixture
def counted(database: Database, tmp_path: Path) -> Counted:
    return counting(database, tmp_path)


@pytest.fixture
def eager(server: PostgresServer, tmp_path: Path) -> Iterator[Counted]:
    """A database of a server of its own, whose autovacuum looks each second."""
    settings = {"autovacuum_naptime": "1s", "shared_preload_libraries": "pg_stat_statements"}
    with server_folder() as folder:
        own = PostgresServer(server.binaries, folder / "eager", fsync=False, settings=settings)
        own.start()
        yield counting(make_database(own), tmp_path)
        own.remove()


@from_debian
def test_one_slow_call_among_two_hundred_is_raised_once_and_resolved(counted: Counted) -> None:
    counted.sleep(*[0.0] * 50)
    assert counted.look(days_ago=2) == []
    counted.sleep(*[0.0] * 200, 0.3)
    (slow,) = counted.look(days_ago=1)
    assert (slow.kind, slow.severity, slow.data["measure"]) == (
        "query_slow",
        Severity.WARN,
        "worst_call",
    )
    assert 300 <= slow.data["worst_ms"] < 3000
    assert slow.data["calls"] == 201
    assert slow.data["p95_ms"] < 100
    counted.sleep(*[0.0] * 50)
    assert counted.look() == []


def told(counted: Counted) -> list[Event]:
    """The events about statements of a round that observes the database itself."""
    events = notify.notify(counted.policy).events
    return [event for event in events if event.alert.identity.kind.value in KINDS]


@from_debian
def test_first_look_raises_nothing_and_the_next_ones_only_what_is_new(counted: Counted) -> None:
    counted.run("CREATE TABLE t AS SELECT generate_series(1, 10) AS n, pg_sleep(0.2) IS NULL")
    counted.sleep(0.3, what="old")
    counted.run("INSERT INTO t SELECT 1, pg_sleep(0.2) IS NULL")
    assert counted.look() == []
    assert told(counted) == []
    counted.run("SELECT FROM pg_sleep(0.3)", *["SELECT pg_sleep(0.3), 1 AS new"] * 3)
    slow, once = counted.look()
    assert (once.severity, once.data["calls"]) == (Severity.INFO, 1)
    assert once.data["text"] == "SELECT FROM pg_sleep(?)"
    assert (slow.severity, slow.data["calls"]) == (Severity.WARN, 3)
    assert slow.data["text"] == "SELECT pg_sleep(?), ? AS new"
    (raised,) = told(counted)
    assert (raised.turn, raised.alert.identity.object) == ("raised", slow.object)
    assert told(counted) == []


@from_debian
def test_loads_and_statements_of_maintenance_are_not_slow(counted: Counted) -> None:
    counted.run("CREATE TABLE t (n int, slept boolean)")
    counted.run(
        "CREATE FUNCTION slept(n int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.15); RETURN true; END'"
    )
    assert counted.look() == []
    counted.run(
        "INSERT INTO t SELECT 1, slept(1) FROM generate_series(1, 1)",
        "INSERT INTO t VALUES (2, false) RETURNING slept(2)",
        "CREATE INDEX t_slept ON t (slept(n))",
        "ANALYZE t",
        "VACUUM t",
        "CREATE MATERIALIZED VIEW m AS SELECT n, slept(n) FROM t",
        "REFRESH MATERIALIZED VIEW m",
        "COPY (SELECT slept(3)) TO PROGRAM 'cat > /dev/null'",
    )
    assert counted.look() == []
    counted.run("SELECT slept(n) FROM t")
    (slow,) = counted.look()
    assert slow.data["text"] == "SELECT slept(n) FROM t"


SAMPLED = [
    "CREATE FUNCTION lower_all(a text[]) RETURNS text[] LANGUAGE sql IMMUTABLE"
    " AS 'SELECT array_agg(lower(v)) FROM unnest(a) v'",
    "CREATE TABLE codes AS SELECT n AS code, 'name ' || n AS name FROM generate_series(0, 9) n",
    "CREATE FUNCTION name_of(c int) RETURNS text LANGUAGE plpgsql IMMUTABLE"
    " AS 'DECLARE found text; BEGIN SELECT name INTO found FROM public.codes WHERE code = c;"
    " RETURN found; END'",
    "CREATE TABLE tags (id int PRIMARY KEY, code int, names text[])",
    "CREATE INDEX tags_names ON tags USING gin (lower_all(names))",
    "CREATE INDEX tags_name ON tags (name_of(code))",
    "INSERT INTO tags SELECT n, n % 9, array['A' || n, 'B'] FROM generate_series(1, 40000) n",
]


@from_debian
def test_sample_of_autovacuum_for_an_expression_index_is_no_loop(eager: Counted) -> None:
    assert eager.look() == []
    eager.run(*SAMPLED)
    analyzed = "SELECT autoanalyze_count FROM pg_stat_user_tables WHERE relname = 'tags'"
    until(lambda: eager.database.execute(analyzed)[0][0] > 0)
    rows = eager.database.execute(
        "SELECT calls, toplevel FROM pg_stat_statements"
        " WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND query ~ 'unnest|codes WHERE' AND calls > 10000"
    )
    assert [toplevel for _, toplevel in rows] == [True, True]
    assert eager.look() == []


@from_debian
def test_statement_that_got_slower_is_told_with_numbers_before_and_after(
    counted: Counted,
) -> None:
    for days_ago in (6, 5, 4, 3):
        counted.sleep(*[0.001] * 40)
        assert counted.look(days_ago) == []
    counted.sleep(*[0.045] * 25)
    (slower,) = counted.look(days_ago=2)
    assert slower.kind == "query_regressed"
    assert slower.data["before"]["mean_ms"] < 20
    assert slower.data["after"]["mean_ms"] > 45
    assert slower.data["before"]["calls"] == 120


@from_debian
def test_reset_is_no_regression_and_no_history(counted: Counted) -> None:
    counted.sleep(*[0.0] * 30, 0.3)
    assert counted.look(days_ago=2) == []
    counted.run("SELECT pg_stat_statements_reset()")
    counted.sleep(*[0.0] * 40)
    assert counted.look(days_ago=1) == []
    counted.run("SELECT pg_stat_statements_reset()")
    counted.sleep(0.3)
    (slow,) = counted.look()
    assert slow.data["measure"] == "worst_call"


@from_debian
def test_one_row_at_a_time_is_a_warning_by_its_share_of_the_time(counted: Counted) -> None:
    counted.run("CREATE TABLE t AS SELECT generate_series(1, 100) AS n", "ANALYZE t")
    assert counted.look() == []
    counted.run("SET plan_cache_mode = force_generic_plan", *LOOP)
    (loop,) = counted.look()
    assert (loop.kind, loop.severity) == ("query_n_plus_one", Severity.WARN)
    assert loop.data["time_share"] > 0.05
    assert loop.data["rows_per_call"] == 1


@from_debian
def test_summary_of_many_blocks_is_a_candidate_for_a_materialized_view(counted: Counted) -> None:
    counted.run(
        "CREATE TABLE wide (status int, pad text) WITH (fillfactor = 10)",
        "INSERT INTO wide SELECT n % 3, repeat('x', 700) FROM generate_series(1, 1100) n",
        "ANALYZE wide",
    )
    assert counted.look() == []
    counted.run(*["SELECT status, count(*) FROM wide WHERE pad <> 'y' GROUP BY status"] * 100)
    (candidate,) = counted.look()
    assert candidate.kind == "matview_candidate"
    assert candidate.data["rows_per_call"] == 3
    assert candidate.data["after"]["blocks"] >= 1000


LOOP = ["SELECT n FROM t WHERE n = 7; " * 100] * 101


@from_debian
def test_spilled_and_written_volume_is_kept_and_shown(counted: Counted) -> None:
    counted.run("CREATE TABLE t (n int, pad text)")
    counted.look(days_ago=0.5)
    counted.run(
        "INSERT INTO t SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n",
        "SET work_mem = '64 kB'",
        "SELECT count(*) FROM (SELECT * FROM t ORDER BY pad, n OFFSET 1) AS s",
    )
    counted.look()
    now = datetime.now(UTC)
    with session(counted.database.url) as store:
        found = {each.text: each for each in heaviest(store, "app", now, 20)}
        worst = worst_of_the_day(store, "app", now)
        shown = workload_metadata(counted.policy, store)["statements"].value
    sorted_ = next(each for text, each in found.items() if "ORDER BY" in text)
    written = next(each for text, each in found.items() if text.startswith("INSERT INTO t"))
    assert (sorted_.temp_bytes or 0) > 100_000
    assert (written.wal_bytes or 0) > 1_000_000
    assert written.rows_per_call == 20_000
    assert worst is not None
    assert worst.text in (sorted_.text, written.text)
    assert 0 < worst.time_share <= 1
    assert worst.worst_ms == pytest.approx(worst.total_ms)
    columns = "worst_ms, time_share, calls_per_second, rows_per_call, temp_blocks, wal_bytes"
    (row,) = counted.database.execute(
        f"SELECT {columns} FROM maintenance.query_performance_monitor"
        " WHERE text LIKE 'INSERT INTO t %' AND calls = 1"
    )
    assert row[0] == pytest.approx(written.worst_ms)
    assert 0 < row[1] <= 1
    assert row[3:] == (20_000, 0, written.wal_bytes)
    assert "20,000.0" in shown
    assert readable_size(written.wal_bytes or 0) in shown


@from_debian
def test_worst_of_the_day_is_unknown_before_the_second_observation(counted: Counted) -> None:
    counted.sleep(0.2)
    counted.look()
    with session(counted.database.url) as store:
        now = datetime.now(UTC)
        assert worst_of_the_day(store, "app", now) is None
        assert "SELECT pg_sleep(?) AS usual" in {
            each.text for each in heaviest(store, "app", now, 9)
        }


@from_debian
def test_percentile_is_near_that_of_the_times_seen_by_the_client(counted: Counted) -> None:
    counted.sleep(0.0)
    counted.look()
    rng = random.Random(5)
    times: list[float] = []
    with psycopg.connect(counted.database.url, autocommit=True) as connection:
        for _ in range(100):
            began = time.perf_counter()
            connection.execute("SELECT pg_sleep(%s) AS usual", [rng.lognormvariate(-5.5, 0.7)])
            times.append((time.perf_counter() - began) * 1000)
    counted.look()
    with session(counted.database.url) as store:
        (found,) = [
            each
            for each in heaviest(store, "app", datetime.now(UTC), 9)
            if each.text == "SELECT pg_sleep(?) AS usual"
        ]
    assert found.calls == 100
    assert found.p95_ms is not None
    assert 0.5 < found.p95_ms / sorted(times)[94] < 2


@from_debian
def test_role_without_pg_monitor_takes_hidden_statements_for_no_news(
    counted: Counted, limited_role: Role, tmp_path: Path
) -> None:
    """What it may not read now was there before; once it may, that is no activity."""
    database = counted.database
    counted.sleep(0.3, what="hidden")
    url = database.url_of(limited_role)
    database.execute(f"GRANT CREATE ON DATABASE {database.name} TO {limited_role.name}")
    counted.policy = make_policy(tmp_path, url, workload=SECTION)
    assert counted.look() == []
    database.execute(f"GRANT pg_read_all_stats TO {limited_role.name}")
    assert counted.look() == []
    counted.sleep(0.4, what="hidden")
    (slow,) = counted.look()
    assert slow.data["calls"] == 1


def remedies(policy: Policy) -> list[str]:
    """The statements that make the counters readable, as the plan names them."""
    findings = pipeline.plan(policy, only=["workload"]).findings
    found = [each for each in findings if each.kind is FindingKind.EXTENSION_MISSING]
    return [text for each in found for text in each.data["statements"][0].split("; ")]


@from_debian
def test_rights_on_the_counters_are_looked_at_and_named(
    counted: Counted, limited_role: Role, tmp_path: Path
) -> None:
    view, function = "public.pg_stat_statements", "public.pg_stat_statements(boolean)"
    counted.run(
        f"REVOKE SELECT ON {view} FROM PUBLIC",
        f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC",
        "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
    )
    policy = make_policy(tmp_path, counted.database.url_of(limited_role), workload=SECTION)
    grants = remedies(policy)
    assert len(grants) == 3
    counted.run(*grants)
    assert remedies(policy) == []


@from_debian
def test_extension_of_an_older_server_is_to_be_updated(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE EXTENSION pg_stat_statements VERSION '1.8'")
    policy = make_policy(tmp_path, database.url, workload=SECTION)
    (update,) = remedies(policy)
    database.execute(update)
    assert remedies(policy) == []


NEWER = """
CREATE SCHEMA counted;
CREATE TABLE counted.pg_stat_statements (
  userid oid, dbid oid, toplevel bool, queryid bigint, query text, calls bigint,
  total_exec_time float8, max_exec_time float8, mean_exec_time float8, stddev_exec_time float8,
  rows bigint, shared_blks_hit bigint, shared_blks_read bigint, temp_blks_written bigint,
  shared_blk_read_time float8, wal_bytes numeric, wal_buffers_full bigint, stats_since timestamptz,
  minmax_stats_since timestamptz);
CREATE VIEW counted.pg_stat_statements_info AS
  SELECT 0::bigint AS dealloc, pg_postmaster_start_time() AS stats_reset;
SET allow_system_table_mods = on;
INSERT INTO pg_extension
  VALUES (99999, 'pg_stat_statements', 10, 'counted'::regnamespace, true, '1.12');
"""
ENTRY = """
INSERT INTO counted.pg_stat_statements
SELECT 10, d.oid, true, 1, 'SELECT * FROM t WHERE a = $1', {calls}, {calls} * 10.0, {longest}, 10.0,
  0.0, {calls}, 0, 0, 0, 0.0, 0, 0, {since}, {since}
FROM pg_database d WHERE datname = current_database()
"""


@pytest.mark.pg("== 18")
def test_columns_of_newer_versions_tell_that_an_entry_began_anew(
    database: Database, tmp_path: Path
) -> None:
    """A table with the columns from 17 on stands in for the extension, which is not there."""
    began = "now() - interval '9 days'"
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(NEWER.encode())
        connection.execute(ENTRY.format(calls=100, longest=20, since=began).encode())
    counted = Counted(database, make_policy(tmp_path, database.url, workload=SECTION))
    assert counted.look(days_ago=2) == []
    counted.run(
        "DELETE FROM counted.pg_stat_statements",
        ENTRY.format(calls=120, longest=500, since="now() - interval '1 day'"),
    )
    (slow,) = counted.look()
    assert (slow.data["calls"], slow.data["worst_ms"]) == (120, 500.0)


@from_debian
def test_declared_query_above_its_target_is_found_and_shown_in_dagster(
    database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "queries"
    folder.mkdir()
    body = "FROM generate_series(1, $1) AS n"
    (folder / "sum.sql").write_text(f"-- params: 10\nSELECT sum(n) {body}")
    (folder / "least.sql").write_text(f"-- params: 10\nSELECT min(n) {body}")
    (folder / "most.sql").write_text(f"-- params: 10\nSELECT max(n) {body}")
    limits = {"sum": "1 ms", "least": "1 hour", "most": "1 ms"}
    indexes = {"queries": "queries", "targets": limits}
    database.execute("CREATE EXTENSION pg_stat_statements")
    # On a busy machine one call may well take longer than the limit of the other tests.
    workload = {**SECTION, "slow_query": "10 hours"}
    policy = make_policy(tmp_path, database.url, workload=workload, indexes=indexes)
    counted = Counted(database, policy)
    assert counted.look(days_ago=1) == []
    for name in ("sum", "min"):
        counted.run(
            *[f"select {name}(n) from generate_series(1, {50_000 + n}) n" for n in range(30)]
        )
    (finding,) = counted.look()
    assert (finding.kind, finding.object) == ("query_slow", "app/queries/sum")
    assert (finding.threshold, finding.data["reason"]) == (1.0, "target")
    assert finding.value is not None
    with Target(policy).store() as store:
        shown = workload_metadata(policy, store)["targets"].value
    assert shown.index("sum") < shown.index("least") < shown.index("most")
    assert "not called" in shown


@from_debian
def test_statements_and_rolled_back_transactions_of_the_day_are_summed(counted: Counted) -> None:
    counted.run("CREATE TABLE t (n int)")
    counted.look(days_ago=0.5)
    counted.run(*["SELECT n FROM t"] * 30, *["SELECT pg_sleep(0.15), n FROM t LIMIT 1"] * 2)
    counted.run("INSERT INTO t VALUES (1)", *["SELECT pg_sleep(0.15), n FROM t LIMIT 1"] * 3)
    connection = counted.database.connect(autocommit=False)
    for _ in range(5):
        connection.execute("SELECT 1")
        connection.rollback()
    connection.close()
    counted.look()
    with session(counted.database.url) as store:
        totals = totals_of_the_day(store, "app", datetime.now(UTC), 50)
        moment = moments(store, "app")[-1]
    assert totals is not None
    assert totals.calls >= 36
    assert totals.n_slow == 1
    assert 0 < totals.mean_ms < 100
    assert moment.rollback_rate is not None
    assert 0 < moment.rollback_rate < 1
    assert moment.n_connections >= 1
