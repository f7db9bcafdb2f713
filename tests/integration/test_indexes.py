"""Advice on indexes, from real catalogs."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.findings import Finding, FindingKind
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName, cut, parse_name, quote
from maintenance.pipeline import run as pipeline
from maintenance.server.session import fetch
from maintenance.subjects.indexes import INDEXES
from maintenance.subjects.indexes.observe import read_definitions
from tests.builders import SQL, Database, Role
from tests.catalogs import GROWN
from tests.index_pairs import CASES, INVALIDATE, PARTITIONED, TABLE
from tests.policies import EVENTS, make_policy
from tests.sessions import session, until

CAP = timedelta(seconds=20)
DUPLICATE, REDUNDANT = FindingKind.INDEX_DUPLICATE, FindingKind.INDEX_REDUNDANT


def advice(database: Database, folder: Path, **section: Any) -> list[Finding]:
    database.execute(GROWN)
    policy = make_policy(folder, database.url, indexes=section)
    return list(pipeline.plan(policy, only=[INDEXES.name]).findings)


def advice_after_a_window(database: Database, folder: Path, **section: Any) -> list[Finding]:
    """Advice where counters were recorded before the window, and nothing was scanned since."""
    policy = make_policy(folder, database.url, indexes=section)
    now = datetime.now(UTC)
    pipeline.apply(policy, only=[INDEXES.name], now=now)
    later = now + timedelta(days=36)
    return list(pipeline.plan(policy, only=[INDEXES.name], now=later).findings)


def proven_advice(database: Database, folder: Path) -> list[Finding]:
    """Advice once it is known that nothing reads the indexes, which are all small."""
    database.execute(GROWN)
    return advice_after_a_window(database, folder)


def covered(findings: list[Finding], kind: FindingKind) -> dict[str, str]:
    """Each index of a kind of finding, with the one that stays for it."""
    return {f.object: f.data["covered_by"] for f in findings if f.kind is kind}


def run_script(database: Database, *path: str) -> None:
    database.execute((SQL / "systems").joinpath(*path).read_text())


# Pairs


def test_there_are_enough_pairs() -> None:
    assert len(CASES) >= 30
    assert len({case.what for case in CASES}) == len(CASES)


def _make_cases(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        for number, case in enumerate(CASES):
            if case.since <= database.server.major:
                script = "; ".join((TABLE, *case.ddl))
                schema = f"CREATE SCHEMA c{number}; SET search_path = c{number}; "
                connection.execute((schema + script).encode())


def test_every_pair_gets_its_verdict(database: Database, tmp_path: Path) -> None:
    _make_cases(database)
    findings = advice(database, tmp_path)
    for number, case in enumerate(CASES):
        if case.since > database.server.major:
            continue
        inside = f"c{number}."
        mine = [f for f in findings if f.object.startswith(inside)]
        for kind, wanted in ((DUPLICATE, case.duplicate), (REDUNDANT, case.redundant)):
            expected = {inside + b: inside + a for b, a in wanted.items()}
            assert covered(mine, kind) == expected, case.what


@pytest.mark.pg(">= 16")
def test_dropping_what_is_advised_works_and_leaves_no_advice_and_restoring_brings_it_back(
    database: Database, tmp_path: Path
) -> None:
    _make_cases(database)
    first = [f for f in proven_advice(database, tmp_path) if f.kind in (DUPLICATE, REDUNDANT)]
    assert first
    for finding in first:
        database.execute(finding.data["drop"])
    left = [f for f in proven_advice(database, tmp_path) if f.kind in (DUPLICATE, REDUNDANT)]
    assert left == []
    for finding in first:
        for statement in finding.data["restore"]:
            database.execute(statement)
    again = {
        f.object for f in proven_advice(database, tmp_path) if f.kind in (DUPLICATE, REDUNDANT)
    }
    # Of equals the younger goes, and who was brought back is younger.
    assert again == {finding.object for finding in first}


def names(findings: list[Finding], *kinds: FindingKind) -> set[str]:
    found = (f.object for f in findings if f.kind in kinds)
    return {name.removeprefix("public.").strip('"') for name in found}


# What else is wrong with an index


MANY_ROWS = """
CREATE TABLE jobs (id int PRIMARY KEY, state text, percent int, at timestamptz, note text);
INSERT INTO jobs SELECT n, 's' || n % 3, n % 101, now() - n * interval '1 s',
    repeat(md5(n::text), 40)
  FROM generate_series(1, 12000) n;
CREATE INDEX jobs_state ON jobs (state);
CREATE INDEX jobs_percent ON jobs (percent);
CREATE INDEX jobs_percent_state ON jobs (percent, state);
CREATE INDEX jobs_state_at ON jobs (state, at);
CREATE INDEX jobs_open ON jobs (percent) WHERE state = 's1';
CREATE INDEX jobs_open_state ON jobs (at, state) WHERE state = 's1';
CREATE INDEX jobs_note ON jobs (at) INCLUDE (note);
ANALYZE jobs
"""


def test_few_values_constant_keys_and_wide_entries_are_told(
    database: Database, tmp_path: Path
) -> None:
    for statement in MANY_ROWS.split(";"):
        database.execute(statement)
    findings = advice(database, tmp_path, low_cardinality={"except": ["jobs_percent"]})
    assert names(findings, FindingKind.INDEX_LOW_CARDINALITY) == set(), "jobs_state is a prefix"
    assert names(findings, REDUNDANT) == {"jobs_state", "jobs_percent"}
    assert names(findings, FindingKind.INDEX_PREDICATE_IN_KEY) == {"jobs_open_state"}
    (wide,) = [f for f in findings if f.kind is FindingKind.INDEX_WIDE_KEY]
    assert wide.object == "public.jobs_note"
    assert isinstance(wide.value, int)
    assert wide.value > 676
    database.execute("DROP INDEX jobs_percent_state, jobs_state_at")
    assert names(advice(database, tmp_path), FindingKind.INDEX_LOW_CARDINALITY) == set(), "unproven"
    findings = advice_after_a_window(database, tmp_path)
    few = {f.object: f.value for f in findings if f.kind is FindingKind.INDEX_LOW_CARDINALITY}
    assert few == {"public.jobs_state": 3, "public.jobs_percent": 101}
    findings = advice_after_a_window(
        database, tmp_path, low_cardinality={"except": ["jobs_percent"]}
    )
    assert names(findings, FindingKind.INDEX_LOW_CARDINALITY) == {"jobs_state"}


def test_partitioned_index_is_dropped_and_restored_as_a_whole(
    database: Database, tmp_path: Path
) -> None:
    script = "; ".join((*PARTITIONED, "CREATE INDEX x ON p (a)", "CREATE INDEX y ON p (a, id)"))
    for statement in script.split("; "):
        database.execute(statement)
    (finding,) = [f for f in proven_advice(database, tmp_path) if f.kind is REDUNDANT]
    assert finding.object == "public.x"
    assert finding.data["partitions"] == 2
    assert finding.data["drop"] == "DROP INDEX public.x"
    database.execute(finding.data["drop"])
    for statement in finding.data["restore"]:
        database.execute(statement)
    assert names(proven_advice(database, tmp_path), REDUNDANT) == {"x"}


DETAILS = """
SELECT c.relname, obj_description(c.oid, 'pg_class'), obj_description(k.oid, 'pg_constraint'),
       ARRAY(SELECT NULLIF(a.attstattarget, -1)::int FROM pg_attribute a
              WHERE a.attrelid = c.oid ORDER BY a.attnum),
       (SELECT count(*) FROM pg_stats s WHERE s.tablename = c.relname)
  FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
  LEFT JOIN pg_constraint k ON k.conindid = c.oid
 WHERE i.indrelid = 't'::regclass ORDER BY c.relname
"""


def test_restored_index_has_its_comment_its_targets_and_its_statistics(
    database: Database, tmp_path: Path
) -> None:
    for statement in (
        "CREATE TABLE t (a int, b text, CONSTRAINT t_a UNIQUE (a))",
        "ALTER TABLE t ADD CONSTRAINT t_b UNIQUE (a)",
        "INSERT INTO t SELECT n, 'B' || n FROM generate_series(1, 5000) n",
        "CREATE INDEX x ON t (a, lower(b), upper(b))",
        "CREATE INDEX y ON t (a, lower(b), upper(b), b)",
        "ALTER INDEX x ALTER COLUMN 3 SET STATISTICS 700",
        "COMMENT ON INDEX x IS E'it''s for\\\\ %s \"reports\"'",
        "COMMENT ON CONSTRAINT t_b ON t IS 'of the import'",
        "ANALYZE t",
    ):
        database.execute(statement)
    before = database.execute(DETAILS)
    assert any(row[3] == [None, None, 700] for row in before)
    found = {
        f.object: f.data
        for f in proven_advice(database, tmp_path)
        if f.kind in (DUPLICATE, REDUNDANT)
    }
    assert {name: data["locks_writers"] for name, data in found.items()} == {
        "public.t_b": True,
        "public.x": False,
    }
    for data in found.values():
        database.execute(data["drop"])
    for data in found.values():
        for statement in data["restore"]:
            database.execute(statement)
    assert database.execute(DETAILS) == before


@pytest.mark.pg("== 18")
def test_partitioned_index_without_all_its_parts_is_invalid(
    database: Database, tmp_path: Path
) -> None:
    for statement in (*PARTITIONED, "CREATE INDEX x ON ONLY p (a)"):
        database.execute(statement)
    (finding,) = [f for f in advice(database, tmp_path) if f.kind is FindingKind.INDEX_INVALID]
    assert finding.object == "public.x"
    assert finding.data["reason"] == "parts_lacking"


def invalid(database: Database, folder: Path, role: Role | None = None) -> set[str]:
    url = database.url_of(role) if role else database.url
    policy = make_policy(folder, url, indexes={})
    return names(
        list(pipeline.plan(policy, only=[INDEXES.name]).findings), FindingKind.INDEX_INVALID
    )


def test_build_that_waits_for_an_old_transaction_is_not_invalid_and_one_that_was_killed_is(
    database: Database, limited_role: Role, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE t (a int)")
    holder = database.connect(autocommit=False)
    holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    holder.execute("SELECT 1")
    builder = database.connect()
    build = threading.Thread(target=_fail_to_build, args=(builder,))
    build.start()
    waits = "SELECT 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots'"
    try:
        until(lambda: database.execute(waits) != [])
        assert invalid(database, tmp_path) == set()
        assert invalid(database, tmp_path, limited_role) == set()
    finally:
        database.execute(f"SELECT pg_terminate_backend({builder.info.backend_pid})")
        build.join()
        holder.rollback()
    assert invalid(database, tmp_path, limited_role) == {"t_a"}
    (finding,) = [f for f in advice(database, tmp_path) if f.kind is FindingKind.INDEX_INVALID]
    assert (finding.object, finding.data["reason"]) == ("public.t_a", "build_incomplete")
    database.execute(finding.data["drop"])
    assert invalid(database, tmp_path) == set()


def _fail_to_build(builder: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.AdminShutdown):
        builder.execute("CREATE INDEX CONCURRENTLY t_a ON t (a)")


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("work", ["VACUUM", "ANALYZE"])
def test_vacuum_and_analyze_are_no_build(database: Database, tmp_path: Path, work: str) -> None:
    database.execute("CREATE TABLE t AS SELECT generate_series(1, 100000) a")
    database.execute("CREATE INDEX t_a ON t (a)")
    database.execute(INVALIDATE.format("t_a"))
    worker = database.connect(options="-c vacuum_cost_delay=100 -c vacuum_cost_limit=1")
    thread = threading.Thread(target=_be_cancelled, args=(worker, f"{work} t"))
    thread.start()
    try:
        until(lambda: database.execute(f"SELECT 1 FROM pg_stat_progress_{work.lower()}") != [])
        assert invalid(database, tmp_path) == {"t_a"}
    finally:
        database.execute(f"SELECT pg_cancel_backend({worker.info.backend_pid})")
        thread.join()


def _be_cancelled(worker: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        worker.execute(statement.encode())


@pytest.mark.pg("== 18")
def test_leftover_of_a_rebuild_is_told_as_such(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int)")
    database.execute("CREATE INDEX t_a_ccnew1 ON t (a)")
    database.execute(INVALIDATE.format("t_a_ccnew1"))
    (finding,) = [f for f in advice(database, tmp_path) if f.kind is FindingKind.INDEX_INVALID]
    assert finding.object == "public.t_a_ccnew1"
    assert finding.data["reason"] == "reindex_leftover"


# What stands in the way of looking


def test_locked_table_is_told_and_blinds_nothing_else(database: Database, tmp_path: Path) -> None:
    for name in ("free", "locked"):
        database.execute(f"CREATE TABLE {name} (a int, b int)")
        database.execute(f"CREATE INDEX {name}_a ON {name} (a) WHERE b > 0")
        database.execute(f"CREATE INDEX {name}_a2 ON {name} (a) WHERE b > 0")
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE locked IN ACCESS EXCLUSIVE MODE")
    findings = advice(database, tmp_path)
    holder.rollback()
    assert covered(findings, DUPLICATE) == {"public.free_a2": "public.free_a"}
    (blind,) = [finding for finding in findings if finding.kind is FindingKind.MONITOR_BLIND]
    assert blind.object == "public.locked"
    assert blind.leaves_open(DUPLICATE, "public.locked_a2"), "it may well be one still"
    assert not blind.leaves_open(DUPLICATE, "public.free_a2")


@pytest.mark.pg("== 18")
def test_index_dropped_meanwhile_has_no_definition_and_does_no_harm(database: Database) -> None:
    with session(database.url) as connection:
        assert read_definitions(connection, [4_000_000_000], CAP) == {}


HOSTILE = ['"; DROP TABLE t; --', "a.b", "new\nline", "<b>`x`</b>", "Ünïcödé", "%s {x}", "x" * 63]


def test_names_may_hold_anything(database: Database, tmp_path: Path) -> None:
    for text in HOSTILE:
        name, second = quote(text), quote(cut(text, 60) + "_2")
        database.execute(f"CREATE SCHEMA {name}")
        database.execute(f"CREATE TABLE {name}.{name} ({name} int, other int)")
        predicate = f"WHERE {name} IS NOT NULL"
        database.execute(f"CREATE UNIQUE INDEX kept ON {name}.{name} ({name}) {predicate}")
        database.execute(f"CREATE INDEX {second} ON {name}.{name} ({name}) {predicate}")
    findings = [f for f in advice(database, tmp_path) if f.kind is DUPLICATE]
    assert {parse_name(f.object).schema for f in findings} == set(HOSTILE)
    for finding in findings:
        database.execute(finding.data["drop"])
        for statement in finding.data["restore"]:
            database.execute(statement)
    again = [f for f in advice(database, tmp_path) if f.kind is DUPLICATE]
    assert {f.object for f in again} == {f.object for f in findings}


@pytest.mark.pg("== 18")
def test_statistics_that_are_hidden_are_told_once_with_what_to_run(
    database: Database, limited_role: Role, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        database.execute(
            f"CREATE TABLE {name} AS SELECT n, n % 3 AS few FROM generate_series(1, 20000) n"
        )
        database.execute(f"CREATE INDEX {name}_few ON {name} (few)")
        database.execute(f"ANALYZE {name}")
    database.execute("ALTER TABLE second ENABLE ROW LEVEL SECURITY")
    create = f"CREATE ON DATABASE {quote(database.name)}"
    database.execute(f"GRANT {create} TO {quote(limited_role.name)}")
    policy = make_policy(tmp_path, database.url_of(limited_role), indexes={})
    pipeline.apply(policy, only=[INDEXES.name])
    later = datetime.now(UTC) + timedelta(days=36)

    def seen() -> list[Finding]:
        return list(pipeline.plan(policy, only=[INDEXES.name], now=later).findings)

    (missing,) = [finding for finding in seen() if finding.object == "app/indexes"]
    assert missing.kind is FindingKind.PRIVILEGE_MISSING
    assert missing.value == 2
    assert missing.data["tables"] == ["public.first", "public.second"]
    assert missing.leaves_open(FindingKind.INDEX_LOW_CARDINALITY, "public.first_few")
    for grant in missing.data["grants"]:
        assert grant in missing.message
        database.execute(grant)
    after = seen()
    assert [finding for finding in after if finding.object == "app/indexes"] == []
    assert names(after, FindingKind.INDEX_LOW_CARDINALITY) == {"first_few", "second_few"}


def test_role_without_any_privilege_gets_the_same_verdicts_on_definitions(
    database: Database, limited_role: Role, tmp_path: Path
) -> None:
    run_script(database, "lms", "schema.sql")
    database.execute(GROWN)
    policy = make_policy(tmp_path, database.url_of(limited_role), indexes={})
    findings = list(pipeline.plan(policy, only=[INDEXES.name]).findings)
    assert names(findings, DUPLICATE) == {
        "users_email_idx",
        "courses_slug_idx",
        "transactions_providerTxnId_idx",
        "certificates_certificateNo_idx",
    }
    assert names(findings, REDUNDANT) == {
        "enrollments_userId_idx",
        "course_progress_userId_idx",
        "lesson_progress_progressId_idx",
    }


@pytest.mark.pg("== 18")
def test_policy_without_the_section_does_nothing(database: Database, tmp_path: Path) -> None:
    run_script(database, "lms", "schema.sql")
    policy = make_policy(tmp_path, database.url)
    report = pipeline.apply(policy, only=[INDEXES.name])
    assert report.findings == ()
    assert database.execute("SELECT count(*) FROM maintenance.index_usage") == [(0,)]


@pytest.mark.pg("== 18")
def test_one_table_asked_for_is_one_table_answered(database: Database, tmp_path: Path) -> None:
    run_script(database, "lms", "schema.sql")
    database.execute(GROWN)
    policy = make_policy(tmp_path, database.url, {**EVENTS, "table": "users"}, indexes={})
    request = Request(table=QualifiedName("public", "users"))
    findings = list(pipeline.plan(policy, only=["partitions", "indexes"], request=request).findings)
    assert names(findings, DUPLICATE) == {"users_email_idx"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.pg("== 18")
def test_ten_thousand_tables_are_judged_in_one_look(database: Database, tmp_path: Path) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(
            "DO $$ BEGIN FOR n IN 1..10000 LOOP"
            " EXECUTE format('CREATE TABLE t%1$s (a int); CREATE INDEX t%1$s_a ON t%1$s (a)', n);"
            " IF n % 100 = 0 THEN COMMIT; END IF; END LOOP; END $$"
        )
        connection.execute("CREATE INDEX twice ON t77 (a)")
    assert covered(advice(database, tmp_path), DUPLICATE) == {"public.twice": "public.t77_a"}


def test_size_of_an_index_whose_table_was_never_analyzed_is_that_of_its_file(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE t (a int) WITH (autovacuum_enabled = off)")
    database.execute("CREATE INDEX t_a ON t (a)")
    database.execute("CREATE INDEX t_a2 ON t (a)")
    database.execute("INSERT INTO t SELECT generate_series(1, 100000)")
    policy = make_policy(tmp_path, database.url, indexes={})
    (finding,) = [
        each
        for each in pipeline.plan(policy, only=[INDEXES.name]).findings
        if each.kind is DUPLICATE
    ]
    ((size,),) = database.execute("SELECT pg_relation_size('t_a2')")
    assert finding.data["size_bytes"] == size > 2**20
    assert finding.severity == "warn"
    pipeline.apply(policy, only=[INDEXES.name])
    sizes = database.execute("SELECT size_bytes FROM maintenance.index_effectiveness")
    assert sizes == [(size,), (size,)]


def test_size_is_not_read_behind_an_exclusive_lock(database: Database) -> None:
    for name in ("free", "locked"):
        database.execute(f"CREATE TABLE {name} (a int) WITH (autovacuum_enabled = off)")
        database.execute(f"CREATE INDEX {name}_a ON {name} (a)")
        database.execute(f"INSERT INTO {name} SELECT generate_series(1, 9999)")
    with database.connect(autocommit=False) as holder, database.connect() as reader:
        holder.execute("REINDEX INDEX locked_a")
        reader.execute("SET lock_timeout = '5s'")
        pages = {row.name: row.pages for row in fetch(reader, "indexes", "list_indexes")}
        holder.rollback()
    assert pages["free_a"] > pages["locked_a"]
