"""Advice to drop indexes on real servers: by use, distribution and size, and all of it together."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.server.sql_library import newest_variant
from maintenance.subjects.indexes import INDEXES
from tests.builders import SQL, Database, server_folder
from tests.index_pairs import INVALIDATE, PARTITIONED
from tests.policies import make_policy
from tests.replicas import caught_up, make_replica
from tests.sessions import until

pytestmark = pytest.mark.in_turn

UNUSED, UNPROVEN = FindingKind.INDEX_UNUSED, FindingKind.INDEX_EVIDENCE_INSUFFICIENT
REDUNDANT, DUPLICATE = FindingKind.INDEX_REDUNDANT, FindingKind.INDEX_DUPLICATE
FEW, INVALID = FindingKind.INDEX_LOW_CARDINALITY, FindingKind.INDEX_INVALID
AFTER = timedelta(days=36)
START = datetime.now(UTC)


def run_all(url: str, script: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in script.split(";"):
            if statement.strip():
                connection.execute(statement.encode())


def record(policy: Policy, now: datetime = START) -> list[Finding]:
    return list(pipeline.apply(policy, only=[INDEXES.name], now=now).findings)


def look(policy: Policy, now: datetime = START + AFTER) -> list[Finding]:
    return list(pipeline.plan(policy, only=[INDEXES.name], now=now).findings)


def told(findings: list[Finding]) -> dict[str, FindingKind]:
    """The verdicts on indexes, by the name of the index."""
    return {f.object: f.kind for f in findings if "drop" in f.data}


def dropped(findings: list[Finding]) -> list[str]:
    return sorted(f.object for f in findings if f.data.get("drop"))


def read_by_index(database: Database, condition: str, table: str = "t") -> None:
    """Read rows by an index, and hand the counters over: the end of a session may take a while."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}".encode())
        connection.execute("SELECT pg_stat_force_next_flush()")


def scans(database: Database, index: str) -> int:
    query = f"SELECT pg_stat_get_numscans('{index}'::regclass)"
    return database.execute(query)[0][0]


# Pairs

PAIR = """
CREATE TABLE u (id int PRIMARY KEY);
INSERT INTO u SELECT generate_series(1, 500);
CREATE TABLE t (id int PRIMARY KEY, user_id int NOT NULL REFERENCES u, at timestamptz NOT NULL);
INSERT INTO t SELECT n, 1 + n % 500, now() - n * interval '1 s' FROM generate_series(1, 150000) n;
CREATE INDEX t_user ON t (user_id);
CREATE INDEX t_user_at ON t (user_id, at);
VACUUM ANALYZE t
"""


def test_of_a_pair_the_longer_one_goes_where_only_the_shorter_one_is_read(
    database: Database, tmp_path: Path
) -> None:
    run_all(database.url, PAIR)
    policy = make_policy(tmp_path, database.url, indexes={})
    (first,) = [f for f in record(policy) if f.kind is REDUNDANT]
    assert (first.severity, first.data["drop"]) == (Severity.INFO, None)
    assert first.data["reason"] == "covering_index_may_be_unused"
    read_by_index(database, "user_id = 7")
    until(lambda: scans(database, "t_user") > 0)
    findings = look(policy)
    assert told(findings) == {"public.t_user_at": UNUSED}
    for finding in findings:
        if finding.data.get("drop"):
            database.execute(finding.data["drop"])
    assert FindingKind.FK_UNINDEXED not in {f.kind for f in look(policy)}
    assert dropped(look(policy)) == []


def test_of_equals_later_runs_name_the_same_one_whichever_the_server_reads(
    database: Database, tmp_path: Path
) -> None:
    run_all(database.url, PAIR)
    for name in ("x1", "x2"):
        database.execute(f"CREATE INDEX {name} ON t (at)")
    policy = make_policy(tmp_path, database.url, indexes={})
    assert dropped(record(policy)) == ["public.x2"]
    with database.connect(autocommit=False) as connection:
        # the only one that the server can choose, until this is rolled back
        connection.execute("DROP INDEX x1")
        connection.execute("SET LOCAL enable_seqscan = off")
        connection.execute("SELECT count(*) FROM t WHERE at = now()")
        connection.rollback()
    until(lambda: scans(database, "x2") > 0)
    assert scans(database, "x1") == 0
    assert dropped(look(policy)) == ["public.t_user_at", "public.x2"]


def test_index_that_stayed_for_one_that_was_dropped_is_observed_anew(
    database: Database, tmp_path: Path
) -> None:
    run_all(database.url, PAIR)
    database.execute("CREATE INDEX t_at ON t (at)")
    database.execute("CREATE INDEX t_at_copy ON t (at)")
    policy = make_policy(tmp_path, database.url, indexes={})
    (copy,) = [f for f in record(policy) if f.kind is DUPLICATE]
    assert told(look(policy))["public.t_at"] is UNUSED
    database.execute(copy.data["drop"])
    later = look(policy)
    assert "public.t_at" not in told(later), "its readers had the other one until now"
    (unproven,) = [f for f in later if f.kind is UNPROVEN]
    assert "public.t_at" in unproven.data["indexes"]
    assert unproven.data["reasons"]["public.t_at"] == "stayed_for_dropped"
    assert "public.t_at_copy" in unproven.data["gaps"]["public.t_at"]


def test_index_that_stayed_is_observed_anew_whatever_clock_dated_the_counters(
    database: Database, tmp_path: Path
) -> None:
    run_all(database.url, PAIR)
    database.execute("CREATE INDEX t_at ON t (at)")
    database.execute("CREATE INDEX t_at_copy ON t (at)")
    policy = make_policy(tmp_path, database.url, indexes={})
    begun = START + timedelta(days=90)
    (copy,) = [f for f in record(policy, begun) if f.kind is DUPLICATE]
    database.execute(copy.data["drop"])
    later = look(policy, begun + AFTER)
    assert "public.t_at" not in told(later)
    (unproven,) = [f for f in later if f.kind is UNPROVEN]
    assert unproven.data["reasons"]["public.t_at"] == "stayed_for_dropped"


def test_pair_that_nothing_reads_leaves_one_for_the_foreign_key(
    database: Database, tmp_path: Path
) -> None:
    run_all(database.url, PAIR)
    policy = make_policy(tmp_path, database.url, indexes={"unused": {"min_size": "100 kB"}})
    record(policy)
    findings = look(policy)
    assert dropped(findings) == ["public.t_user_at"]
    (kept,) = [f for f in findings if f.object == "public.t_user"]
    assert (kept.kind, kept.severity, kept.data["drop"]) == (UNUSED, Severity.INFO, None)
    assert kept.data["reason"] == "last_index_of_foreign_key"


def test_much_larger_covering_index_is_told_with_both_sizes_and_is_no_warning(
    database: Database, tmp_path: Path
) -> None:
    run_all(
        database.url,
        """
        CREATE TABLE t (a int NOT NULL, b text NOT NULL);
        INSERT INTO t SELECT n % 20, repeat('x', 100) || n FROM generate_series(1, 60000) n;
        CREATE INDEX t_a ON t (a);
        CREATE UNIQUE INDEX t_a_b ON t (a, b);
        VACUUM ANALYZE t
        """,
    )
    policy = make_policy(tmp_path, database.url, indexes={"unused": {"min_size": "100 kB"}})
    record(policy)
    (unread,) = [f for f in look(policy) if f.object == "public.t_a"]
    assert (unread.kind, unread.severity) == (REDUNDANT, Severity.INFO)
    assert unread.data["covered_by_size_bytes"] >= 6 * unread.data["size_bytes"]
    read_by_index(database, "a = 7")
    until(lambda: scans(database, "t_a") > 0)
    (read,) = [f for f in look(policy) if f.object == "public.t_a"]
    assert (read.kind, read.severity, read.data["drop"]) == (REDUNDANT, Severity.INFO, None)
    assert read.data["reason"] == "covering_index_is_larger"


# Few values


def test_index_that_finds_a_rare_value_is_not_reported(database: Database, tmp_path: Path) -> None:
    run_all(
        database.url,
        """
        CREATE TABLE jobs (id int PRIMARY KEY, state text NOT NULL, kind text NOT NULL, gone text);
        INSERT INTO jobs SELECT n, CASE n % 2000 WHEN 0 THEN 'queued' ELSE 'done' END,
          'kind ' || n % 4, CASE n % 1000 WHEN 0 THEN NULL ELSE 'no' END
          FROM generate_series(1, 60000) n;
        CREATE INDEX jobs_state ON jobs (state);
        CREATE INDEX jobs_gone ON jobs (gone);
        CREATE INDEX jobs_kind ON jobs (kind);
        CREATE INDEX jobs_kind_state ON jobs (kind, state) INCLUDE (gone);
        VACUUM ANALYZE jobs
        """,
    )
    sections = {"unused": {"min_size": "20 MB"}}
    policy = make_policy(tmp_path, database.url, indexes=sections)
    assert FEW not in told(look(policy, START)).values(), "use is not known yet"
    record(policy)
    findings = look(policy)
    assert told(findings) == {"public.jobs_kind": REDUNDANT}
    database.execute("DROP INDEX jobs_kind_state")
    (finding,) = [f for f in look(policy) if f.kind is FEW]
    assert (finding.object, finding.severity, finding.value) == (
        "public.jobs_kind",
        Severity.INFO,
        4,
    )
    read_by_index(database, "kind = 'kind 1'", "jobs")
    until(lambda: scans(database, "jobs_kind") > 0)
    assert told(look(policy)) == {}


# Size


def test_small_indexes_are_information_and_tables_with_hardly_a_row_get_no_advice(
    database: Database, tmp_path: Path
) -> None:
    for name, n_rows in (
        ("empty", 0),
        ("one", 1),
        ("page", 50),
        ("small", 5_000),
        ("large", 90_000),
    ):
        run_all(
            database.url,
            f"""
            CREATE TABLE {name} (a int);
            INSERT INTO {name} SELECT generate_series(1, {n_rows});
            CREATE INDEX {name}_a ON {name} (a);
            CREATE INDEX {name}_b ON {name} (a);
            VACUUM ANALYZE {name}
            """,
        )
    run_all(
        database.url,
        "CREATE TABLE fresh (a int); CREATE INDEX fresh_a ON fresh (a);"
        "CREATE INDEX fresh_b ON fresh (a); INSERT INTO fresh SELECT generate_series(1, 5000)",
    )
    policy = make_policy(tmp_path, database.url, indexes={})
    until(lambda: "public.fresh_b" in told(look(policy, START)))
    found = {f.object: f.severity for f in look(policy, START) if f.kind is DUPLICATE}
    assert found == {
        "public.small_b": Severity.INFO,
        "public.large_b": Severity.WARN,
        "public.fresh_b": Severity.INFO,
    }


def test_tables_of_extensions_get_no_advice(database: Database, tmp_path: Path) -> None:
    run_all(
        database.url,
        """
        CREATE TABLE t AS SELECT generate_series(1, 5000) AS a;
        CREATE INDEX t_a ON t (a);
        CREATE INDEX t_b ON t (a)
        """,
    )
    policy = make_policy(tmp_path, database.url, indexes={})
    assert told(look(policy, START)) == {"public.t_b": DUPLICATE}
    database.execute("ALTER EXTENSION plpgsql ADD TABLE t")
    assert told(look(policy, START)) == {}


# Invalid partitioned indexes


def invalid(policy: Policy) -> Finding:
    (finding,) = [f for f in look(policy, START) if f.kind is INVALID]
    return finding


def test_partitioned_index_with_all_parts_valid_is_made_valid_by_attaching_one_again(
    database: Database, tmp_path: Path
) -> None:
    for statement in (
        *PARTITIONED,
        "CREATE INDEX x ON ONLY p (a)",
        "CREATE INDEX x1 ON p1 (a)",
        "CREATE INDEX x2 ON p2 (a)",
        INVALIDATE.format("x2"),
        "ALTER INDEX x ATTACH PARTITION x1",
    ):
        database.execute(statement)
    policy = make_policy(tmp_path, database.url, indexes={})
    assert told(look(policy, START)) == {"public.x": INVALID, "public.x2": INVALID}
    database.execute("ALTER INDEX x ATTACH PARTITION x2")
    broken = invalid(policy)
    assert (broken.object, broken.data["reason"]) == ("public.x", "parts_invalid")
    assert broken.data["repair"][0] == "REINDEX INDEX CONCURRENTLY public.x2"
    assert broken.data["drop"] is None, "its parts are used"
    database.execute(broken.data["repair"][0])
    finding = invalid(policy)
    assert (finding.object, finding.severity) == ("public.x", Severity.WARN)
    assert finding.data["reason"] == "parts_complete"
    for statement in finding.data["repair"]:
        database.execute(statement)
    assert told(look(policy, START)) == {}


def test_partitioned_index_two_levels_deep_is_made_valid_from_below(
    database: Database, tmp_path: Path
) -> None:
    for statement in (
        *PARTITIONED,
        "CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30) PARTITION BY RANGE (id)",
        "CREATE TABLE p31 PARTITION OF p3 FOR VALUES FROM (0) TO (10)",
        "CREATE INDEX x ON p (a)",
        INVALIDATE.format("x"),
        INVALIDATE.format("p3_a_idx"),
    ):
        database.execute(statement)
    policy = make_policy(tmp_path, database.url, indexes={})
    finding = invalid(policy)
    assert finding.data["repair"] == [
        "ALTER INDEX public.p3_a_idx ATTACH PARTITION public.p31_a_idx"
    ]
    database.execute(finding.data["repair"][0])
    assert told(look(policy, START)) == {}


# Skip scan

SKIPPED = """
CREATE TABLE t (a int NOT NULL, b int NOT NULL);
INSERT INTO t SELECT n % 5, n FROM generate_series(1, 100000) n;
CREATE INDEX t_a_b ON t (a, b);
VACUUM ANALYZE t
"""


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes(child))]


@pytest.mark.pg("== 18")
def test_skip_scan_counts_each_of_its_searches_as_a_scan(
    database: Database,
) -> None:
    run_all(database.url, SKIPPED)
    explain = "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM t WHERE b = 777"
    document = database.execute(explain)[0][0][0]
    (scan,) = [node for node in nodes(document["Plan"]) if "Index Name" in node]
    assert scan["Index Name"] == "t_a_b"
    assert scan["Index Searches"] > 1
    assert scan["Actual Rows"] == 1
    until(lambda: scans(database, "t_a_b") > 0)
    assert scans(database, "t_a_b") == scan["Index Searches"]


@pytest.mark.pg("== 18")
def test_unused_index_beside_one_that_a_skip_scan_can_use_names_it(
    database: Database, tmp_path: Path
) -> None:
    run_all(database.url, SKIPPED)
    database.execute("CREATE INDEX t_b ON t (b)")
    policy = make_policy(tmp_path, database.url, indexes={})
    assert told(look(policy, START)) == {}, "(b) is not redundant by (a, b)"
    record(policy)
    # Far from both ends: the planner probes an index for the true end, which counts as a scan.
    read_by_index(database, "a = 1 AND b BETWEEN 40000 AND 60000")
    until(lambda: scans(database, "t_a_b") > 0)
    (finding,) = [f for f in look(policy) if f.kind is UNUSED]
    assert finding.object == "public.t_b"
    assert finding.data["skip_scan_by"] == ["public.t_a_b"]


# Evidence


def test_reset_of_one_index_begins_its_evidence_anew(database: Database, tmp_path: Path) -> None:
    run_all(database.url, SKIPPED)
    policy = make_policy(tmp_path, database.url, indexes={})
    record(policy)
    database.execute("SELECT pg_stat_reset_single_table_counters('t_a_b'::regclass)")
    findings = look(policy)
    assert told(findings) == {}
    (unproven,) = [f for f in findings if f.kind is UNPROVEN]
    assert unproven.data["indexes"] == ["public.t_a_b"]
    again = record(policy, START + timedelta(hours=2))
    assert told(again) == {}
    assert told(look(policy, START + timedelta(hours=2) + AFTER)) == {"public.t_a_b": UNUSED}


def test_promotion_begins_the_evidence_anew(server: PostgresServer, tmp_path: Path) -> None:
    with server_folder() as folder:
        primary = PostgresServer(server.binaries, folder / "primary", fsync=False)
        try:
            primary.start()
            run_all(primary.url(), SKIPPED)
            record(make_policy(tmp_path, primary.url(), indexes={}))
            replica = make_replica(primary, folder / "replica", server.binaries)
            try:
                until(lambda: caught_up(primary, replica))
                primary.stop()
                run_all(replica.url(), "SELECT pg_promote(wait => true)")
                findings = look(make_policy(tmp_path, replica.url(), indexes={}))
                assert told(findings) == {}
                (unproven,) = [f for f in findings if f.kind is UNPROVEN]
                assert unproven.data["reasons"] == {"primary": "counters_reset"}
            finally:
                replica.remove()
        finally:
            primary.remove()


STAND_IN = """
SET allow_system_table_mods = on;
CREATE FUNCTION pg_catalog.pg_stat_get_stat_reset_time(oid) RETURNS timestamptz
  LANGUAGE sql STABLE AS $$ SELECT '2026-11-20 12:00+00'::timestamptz
    WHERE $1 = 'public.t_a_b'::regclass $$
"""


@pytest.mark.pg("== 18")
def test_statement_for_version_19_reads_when_each_counter_was_reset(database: Database) -> None:
    """The function that only 19 has is stood in for; the columns are those of the other files."""
    run_all(database.url, SKIPPED)
    database.execute("CREATE INDEX t_b ON t (b)")
    with psycopg.connect(database.url, autocommit=True) as connection:
        for statement in STAND_IN.strip().split(";\n"):
            connection.execute(statement.encode())
        path = newest_variant(SQL / "indexes", "list_usage", 19)
        cursor = connection.execute(path.read_bytes())
        assert cursor.description is not None
        names = [column.name for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    assert path.name == "list_usage.pg19.sql"
    assert set(names) == {"oid", "scans", "last_scan_at", "reset_at"}
    assert sorted(row["reset_at"] is not None for row in rows) == [False, True]
