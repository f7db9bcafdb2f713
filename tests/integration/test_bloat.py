"""Bloat on real servers: what is estimated, what is measured, what is rebuilt, and at what cost."""

import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from benchmarks.bloated_tables import cases
from maintenance.engine import executor
from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Finding, FindingKind
from maintenance.names import quote
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from maintenance.subjects.bloat.estimate import estimate_index, estimate_table
from maintenance.subjects.bloat.models import Method, ObservedIndex
from maintenance.subjects.bloat.observe import read_relations
from maintenance.subjects.bloat.pgstattuple import exact_index, exact_table
from tests.builders import Database, Role
from tests.policies import make_policy
from tests.sessions import TIMEOUTS, session

SECTION = {"min_size": "100 kB", "index_fraction": 0.3}
ACTING = {
    **SECTION,
    "reindex": "concurrently",
    "reindex_unique": ["public.filled_pkey"],
}

FILLED = """
CREATE TABLE public.filled (id bigint PRIMARY KEY, note text) WITH (autovacuum_enabled = false);
INSERT INTO public.filled SELECT n, 'note ' || n FROM generate_series(1, 20000) n;
DELETE FROM public.filled WHERE id % 4 > 0;
"""
"""A table, and its key, of which three quarters are empty once it is vacuumed."""


def fill(database: Database, sql: str = FILLED) -> None:
    database.execute(sql)
    database.vacuum()


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    return make_policy(tmp_path, database.url, bloat=SECTION)


@pytest.fixture
def acting(database: Database, tmp_path: Path) -> Policy:
    section = ACTING
    preflight = {"preflight": {"free_disk": "1 MB"}}
    return make_policy(
        tmp_path,
        database.url,
        bloat=section,
        indexes=preflight,
        locks={"give_up_after": "1 seconds"},
    )


def only(report: Report, kind: FindingKind) -> list[Finding]:
    return [finding for finding in report.findings if finding.kind is kind]


def bloat(policy: Policy) -> Report:
    return pipeline.plan(policy, only=["bloat"])


def act(policy: Policy) -> Report:
    return pipeline.apply(policy, only=["bloat"])


# Looking


def test_emptied_table_and_index_are_found(database: Database, policy: Policy) -> None:
    fill(database)
    report = bloat(policy)
    (table,) = only(report, FindingKind.TABLE_BLOAT)
    (index,) = only(report, FindingKind.INDEX_BLOAT)
    assert (table.object, index.object) == ("public.filled", "public.filled_pkey")
    assert table.value == pytest.approx(0.75, abs=0.05)
    assert index.value == pytest.approx(0.72, abs=0.05)
    assert report.plan.actions == ()


def test_policy_without_the_section_looks_at_nothing(database: Database, tmp_path: Path) -> None:
    fill(database)
    assert bloat(make_policy(tmp_path, database.url)).findings == ()


@pytest.mark.pg("== 15")
def test_estimates_are_within_ten_points_of_what_is_measured(database: Database) -> None:
    database.execute("CREATE EXTENSION pgstattuple")
    with database.connect() as connection:
        for case in cases(6000):
            for statement in case.statements:
                connection.execute(statement.encode())
    database.vacuum()
    with session(database.url) as connection:
        tables, indexes, _ = read_relations(connection, 8192 * 12, TIMEOUTS.statement)
        estimated = {each.oid: estimate_table(each) for each in tables}
        estimated |= {each.oid: estimate_index(each) for each in indexes}
        off: dict[str, float] = {}
        for each in (*tables, *indexes):
            fraction = estimated[each.oid].fraction
            if estimated[each.oid].method is Method.ESTIMATE and fraction is not None:
                off[str(each.relation)] = abs(fraction - measured(database, each))
    assert max(off.values()) <= 0.1, off
    assert len(off) > 200
    assert len([each for each in tables if each.owner is None]) == len(list(cases()))


def measured(database: Database, seen: Any) -> float:
    function = "pgstatindex" if isinstance(seen, ObservedIndex) else "pgstattuple"
    with database.connect(row_factory=namedtuple_row) as connection:
        question = f"SELECT * FROM public.{function}(%s::oid::regclass)".encode()
        row = connection.execute(question, [seen.oid]).fetchone()
    exact = exact_index(seen, row) if isinstance(seen, ObservedIndex) else exact_table(seen, row)
    return max(exact, 0.0)


@pytest.mark.pg("== 15")
def test_worst_ones_are_measured_where_the_extension_is(database: Database, policy: Policy) -> None:
    fill(database)
    (missing,) = only(bloat(policy), FindingKind.EXTENSION_MISSING)
    assert missing.data["statements"] == ["CREATE EXTENSION pgstattuple"]
    database.execute("CREATE EXTENSION pgstattuple")
    report = bloat(policy)
    assert only(report, FindingKind.EXTENSION_MISSING) == []
    found = only(report, FindingKind.TABLE_BLOAT) + only(report, FindingKind.INDEX_BLOAT)
    assert [finding.data["method"] for finding in found] == ["exact", "exact"]


@pytest.mark.pg("== 18")
def test_role_that_may_not_read_is_told_so_and_nothing_is_guessed(
    database: Database, limited_role: Role, tmp_path: Path
) -> None:
    fill(database)
    report = bloat(make_policy(tmp_path, database.url_of(limited_role), bloat=SECTION))
    (unknown,) = only(report, FindingKind.BLOAT_UNKNOWN)
    assert unknown.object == "public.filled"
    assert set(unknown.data["relations"]) == {"public.filled", "public.filled_pkey"}
    assert (unknown.data["reason"], unknown.data["remedy"]) == ("not_readable", "GRANT SELECT")
    assert only(report, FindingKind.TABLE_BLOAT) == []


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(
    ("how", "reason", "remedy"),
    [
        ("GRANT SELECT (id) ON public.filled TO {role}", "column_not_readable", "GRANT SELECT"),
        ("GRANT SELECT ON public.filled TO {role}", None, None),
    ],
)
def test_role_that_may_read_some_columns_is_told_what_it_lacks(
    database: Database,
    limited_role: Role,
    tmp_path: Path,
    how: str,
    reason: str | None,
    remedy: str | None,
) -> None:
    fill(database)
    database.execute(how.format(role=quote(limited_role.name)))
    report = bloat(make_policy(tmp_path, database.url_of(limited_role), bloat=SECTION))
    unknown = {f.object: f.data for f in only(report, FindingKind.BLOAT_UNKNOWN)}
    table = unknown.get("public.filled", {})
    assert (table.get("reason"), table.get("remedy")) == (reason, remedy)
    assert len(only(report, FindingKind.INDEX_BLOAT)) == 1


@pytest.mark.pg("== 18")
def test_column_that_analyze_leaves_out_is_told_with_what_helps(
    database: Database, policy: Policy
) -> None:
    without = "; ALTER TABLE public.filled ALTER note SET STATISTICS 0"
    fill(database, FILLED + without)
    (finding,) = only(bloat(policy), FindingKind.BLOAT_UNKNOWN)
    assert (finding.object, finding.data["reason"]) == ("public.filled", "column_not_analyzed")
    database.execute("ALTER TABLE public.filled ALTER note SET STATISTICS -1")
    database.execute("ANALYZE public.filled")
    assert only(bloat(policy), FindingKind.BLOAT_UNKNOWN) == []


@pytest.mark.pg("== 18")
def test_virtual_columns_are_stored_as_nulls(database: Database, policy: Policy) -> None:
    columns = ", ".join(f"c{n} int DEFAULT {n}" for n in range(7))
    fill(
        database,
        f"CREATE TABLE public.filled (id bigint, {columns},"
        " twice bigint GENERATED ALWAYS AS (id * 2) VIRTUAL) WITH (autovacuum_enabled = false);"
        " INSERT INTO public.filled SELECT n FROM generate_series(1, 40000) n;"
        " DELETE FROM public.filled WHERE id % 2 = 0",
    )
    report = bloat(policy)
    assert only(report, FindingKind.BLOAT_UNKNOWN) == []
    (finding,) = only(report, FindingKind.TABLE_BLOAT)
    assert finding.value is not None
    assert finding.value == pytest.approx(rewritten(database, "public.filled"), abs=0.02)


def rewritten(database: Database, table: str) -> float:
    """Rewrite a table; return the fraction of its size that this gave back."""
    size = "SELECT pg_relation_size(%s::regclass)"
    ((before,),) = database.execute(size, [table])
    database.execute(f"VACUUM FULL {table}")
    ((after,),) = database.execute(size, [table])
    return 1 - after / before


@pytest.mark.pg("== 18")
def test_dropped_columns_are_unknown_until_the_table_is_rewritten(
    database: Database, policy: Policy
) -> None:
    fill(database, FILLED.replace("note text", "note text, gone text DEFAULT repeat('x', 60)"))
    database.execute("ALTER TABLE public.filled DROP COLUMN gone")
    (finding,) = only(bloat(policy), FindingKind.BLOAT_UNKNOWN)
    assert (finding.object, finding.data["reason"]) == ("public.filled", "dropped_columns")
    database.execute("VACUUM FULL public.filled")
    database.execute("ANALYZE public.filled")
    report = bloat(policy)
    assert only(report, FindingKind.BLOAT_UNKNOWN) == []
    assert only(report, FindingKind.TABLE_BLOAT) == []


@pytest.mark.pg("== 15")
def test_tables_of_extensions_are_not_judged(database: Database, policy: Policy) -> None:
    fill(database)
    database.execute("CREATE EXTENSION pgstattuple")
    database.execute("ALTER EXTENSION pgstattuple ADD TABLE public.filled")
    assert bloat(policy).findings == ()


def test_rewrite_of_a_table_depends_on_what_the_catalog_says_of_it(database: Database) -> None:
    rows = "SELECT n::bigint AS id FROM generate_series(1, 3000) n"
    database.execute(
        f"CREATE TABLE public.keyed AS {rows}; ALTER TABLE public.keyed ADD PRIMARY KEY (id);"
        f" CREATE UNLOGGED TABLE public.unlogged AS {rows};"
        f" CREATE TABLE public.heap AS {rows}; CREATE UNIQUE INDEX ON public.heap (id);"
        f" CREATE TABLE public.named AS {rows}; ALTER TABLE public.named ALTER id SET NOT NULL;"
        " CREATE UNIQUE INDEX named_id ON public.named (id);"
        f" CREATE TABLE public.whole AS {rows}; ALTER TABLE public.whole ADD PRIMARY KEY (id);"
        " ALTER TABLE public.whole REPLICA IDENTITY FULL;"
        f" CREATE TABLE public.late AS {rows};"
        " ALTER TABLE public.late ADD PRIMARY KEY (id) DEFERRABLE;"
        f" CREATE MATERIALIZED VIEW public.seen AS {rows}"
    )

    def facts() -> dict[str, tuple[bool, bool, bool, bool]]:
        with session(database.url) as connection:
            tables, _, _ = read_relations(connection, 8192, TIMEOUTS.statement)
        return {
            each.relation.name: (each.is_view, each.is_logged, each.has_identity, each.has_key)
            for each in tables
        }

    assert facts() == {
        "keyed": (False, True, True, True),
        "unlogged": (False, False, False, False),
        "heap": (False, True, False, False),
        "named": (False, True, False, True),
        "whole": (False, True, False, True),
        "late": (False, True, False, False),
        "seen": (True, True, False, False),
    }
    database.execute("ALTER TABLE public.named REPLICA IDENTITY USING INDEX named_id")
    assert facts()["named"] == (False, True, True, True)


@pytest.mark.pg("== 18")
def test_stale_statistics_and_statistics_that_are_off_are_no_answer(
    database: Database, policy: Policy
) -> None:
    fill(database)
    database.execute("DELETE FROM public.filled WHERE id % 8 = 0")
    (finding, *_) = only(bloat(policy), FindingKind.BLOAT_UNKNOWN)
    assert finding.data["reason"] == "rows_changed"
    database.execute("SELECT pg_stat_reset()")
    (finding, *_) = only(bloat(policy), FindingKind.BLOAT_UNKNOWN)
    assert finding.data["reason"] == "analyzed_unknown"


@pytest.mark.pg("== 18")
def test_locked_table_holds_nobody_up_and_is_told(database: Database, policy: Policy) -> None:
    fill(database)
    fill(database, FILLED.replace("filled", "other"))
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE public.filled IN ACCESS EXCLUSIVE MODE")
    report = bloat(policy)
    assert [f.object for f in only(report, FindingKind.TABLE_BLOAT)] == ["public.other"]
    unknown = {f.object: f.data["reason"] for f in only(report, FindingKind.BLOAT_UNKNOWN)}
    assert unknown["public.filled"] == "locked"


@pytest.mark.pg("== 18")
def test_temporary_tables_that_come_and_go_are_no_matter(
    database: Database, policy: Policy
) -> None:
    fill(database)
    over = threading.Event()

    def churn() -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            while not over.is_set():
                connection.execute("CREATE TEMP TABLE t AS SELECT generate_series(1, 5000) n")
                connection.execute("CREATE TABLE public.brief AS SELECT * FROM t")
                connection.execute("DROP TABLE t; DROP TABLE public.brief")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        reports = [bloat(policy) for _ in range(5)]
    finally:
        over.set()
        thread.join()
    for report in reports:
        assert [f.object for f in only(report, FindingKind.TABLE_BLOAT)] == ["public.filled"]


HOSTILE = 'we"ird.\nnäme <b>' + "x" * 40


@pytest.mark.pg(">= 16")
def test_hostile_names_are_served(database: Database, acting: Policy) -> None:
    table, index = quote(HOSTILE), quote(HOSTILE[:30] + "_idx")
    database.execute(f"CREATE TABLE {table} (id bigint) WITH (autovacuum_enabled = false)")
    database.execute(f"CREATE INDEX {index} ON {table} (id)")
    database.execute(f"INSERT INTO {table} SELECT generate_series(1, 20000)")
    database.execute(f"DELETE FROM {table} WHERE id % 4 > 0")
    database.vacuum()
    report = act(acting)
    assert [result.outcome for result in report.results] == [Outcome.DONE]
    assert len(only(report, FindingKind.TABLE_BLOAT)) == 1


# Acting

PKEY = "SELECT oid, relname FROM pg_class WHERE relkind = 'i' AND relname ~ '^filled' ORDER BY 2"


def test_bloated_index_is_rebuilt_once_and_tells_what_it_won(
    database: Database, acting: Policy
) -> None:
    fill(database)
    ((oid, _),) = database.execute(PKEY)
    (result,) = act(acting).results
    assert result.outcome is Outcome.DONE
    assert result.detail["won_fraction"] == pytest.approx(0.7, abs=0.1)
    assert result.detail["size_before"] - result.detail["size_after"] == result.detail["won_bytes"]
    ((after, name),) = database.execute(PKEY)
    assert name == "filled_pkey"
    assert after != oid
    assert act(acting).results == ()
    history = database.execute("SELECT object, count(*) FROM maintenance.bloat GROUP BY 1")
    assert ("public.filled", 2) in history
    (rebuilt,) = database.execute(
        "SELECT old_oid, coalesce(new_oid, %s) > 0, ended_at IS NOT NULL, size_after > 0"
        " FROM maintenance.rebuild",
        [after],
    )
    assert rebuilt == (oid, True, True, True)


@pytest.mark.pg("== 15")
def test_large_tables_take_no_turns_of_an_index_that_would_be_rebuilt(
    database: Database, acting: Policy
) -> None:
    for n in range(6):
        fill(database, FILLED.replace("filled", f"large_{n}").replace("PRIMARY KEY", ""))
    small = FILLED.replace("filled", "small").replace("PRIMARY KEY", "")
    fill(database, f"{small}; CREATE INDEX small_id ON public.small (id) WITH (fillfactor = 20)")
    database.execute("ALTER INDEX public.small_id SET (fillfactor = 90)")
    database.execute("CREATE EXTENSION pgstattuple")
    report = act(acting)
    assert {r.action.object: r.outcome for r in report.results} == {"public.small_id": Outcome.DONE}
    act(acting)
    methods = {
        finding.object: finding.data["method"]
        for finding in only(act(acting), FindingKind.TABLE_BLOAT)
    }
    assert len(methods) == 7
    assert set(methods.values()) == {"exact", "measured before"}, "all had their turn"


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("subjects", [["bloat"], ["indexes", "bloat"]])
def test_index_that_advice_calls_superfluous_is_not_rebuilt(
    database: Database, tmp_path: Path, subjects: list[str]
) -> None:
    fill(database, FILLED.replace("PRIMARY KEY", ""))
    for name, keys in (("twin_a", "id"), ("twin_b", "id"), ("short", "note"), ("long", "note, id")):
        database.execute(f"CREATE INDEX {name} ON public.filled ({keys}) WITH (fillfactor = 20)")
        database.execute(f"ALTER INDEX public.{name} SET (fillfactor = 90)")
    database.execute(
        "CREATE TABLE public.parts (id bigint, at date) PARTITION BY RANGE (id);"
        " CREATE TABLE public.part PARTITION OF public.parts FOR VALUES FROM (0) TO (100000)"
        " WITH (autovacuum_enabled = false);"
        " CREATE INDEX ON public.parts (id); CREATE INDEX ON public.parts (id, at);"
        " INSERT INTO public.parts SELECT n, now() FROM generate_series(1, 20000) n;"
        " DELETE FROM public.parts WHERE id % 4 > 0;"
        " SELECT pg_catalog.pg_stat_force_next_flush()"
    )
    database.vacuum()
    policy = make_policy(
        tmp_path, database.url, bloat=ACTING, indexes={"preflight": {"free_disk": "1 MB"}}
    )
    report = pipeline.apply(policy, only=subjects)
    assert {result.action.object: result.outcome for result in report.results} == {
        "public.long": Outcome.DONE,
        "public.part_id_at_idx": Outcome.DONE,
    }
    told = {f.object: f.data for f in only(report, FindingKind.INDEX_BLOAT)}
    assert {name: data.get("superfluous") for name, data in told.items()} == {
        "public.short": "index_redundant",
        "public.part_id_idx": "index_redundant",
        "public.twin_a": None,
        "public.twin_b": "index_duplicate",
    }
    assert told["public.twin_a"]["duplicated"] is True
    assert all("reindex" not in data for data in told.values())
    assert bool(only(report, FindingKind.INDEX_DUPLICATE)) is ("indexes" in subjects)
    assert pipeline.apply(policy, only=subjects).results == ()


@pytest.mark.pg("== 18")
def test_old_transaction_in_the_way_is_named_before_anything_is_done(
    database: Database, acting: Policy, tmp_path: Path
) -> None:
    fill(database)
    holder = database.connect(autocommit=False, application_name="the reporter")
    holder.execute("SELECT 1")
    strict = make_policy(
        tmp_path,
        database.url,
        bloat=ACTING,
        indexes={"preflight": {"max_transaction_age": "0 seconds"}},
        locks={"give_up_after": "1 s"},
    )
    report = act(strict)
    (result,) = report.results
    assert result.outcome is Outcome.FAILED
    assert "the reporter" in (result.error or "")
    assert len(only(report, FindingKind.LOCK_NOT_ACQUIRED)) == 1
    assert len(database.execute(PKEY)) == 1


@pytest.mark.pg("== 18")
def test_full_disk_is_refused(database: Database, tmp_path: Path) -> None:
    fill(database)
    greedy = make_policy(
        tmp_path,
        database.url,
        bloat=ACTING,
        indexes={"preflight": {"free_disk": "900000 GB"}},
    )
    (result,) = act(greedy).results
    assert result.outcome is Outcome.FAILED
    assert result.cause is not None
    assert result.cause.reason == "free_disk_low"


@pytest.mark.pg("== 18")
def test_rebuild_that_waits_too_long_gives_up_and_leaves_nothing(
    database: Database, acting: Policy
) -> None:
    fill(database)
    holder = database.connect(autocommit=False, application_name="the writer")
    holder.execute("INSERT INTO public.filled VALUES (-1, 'open')")
    (result,) = act(acting).results
    assert result.outcome is Outcome.FAILED
    assert "the writer" in (result.error or "")
    holder.rollback()
    again = act(acting)
    assert [(r.action.kind, r.outcome) for r in again.results] == [
        (ActionKind.REMOVE_REBUILD, Outcome.DONE)
    ], "the writer kept what was left; and the rebuild backs off"
    assert [name for _, name in database.execute(PKEY)] == ["filled_pkey"]
    assert act(acting).results == ()
    backdate(database, days=1)
    (result,) = act(acting).results
    assert result.outcome is Outcome.DONE
    assert [name for _, name in database.execute(PKEY)] == ["filled_pkey"]


def backdate(database: Database, days: int) -> None:
    """Make the recorded rebuilds some days older."""
    database.execute(
        "UPDATE maintenance.rebuild SET started_at = started_at - %s * interval '1 day'", [days]
    )


RAISING = """
CREATE TABLE public.switch (raises bool);
INSERT INTO public.switch VALUES (false);
CREATE FUNCTION public.inner_part(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF (SELECT s.raises FROM public.switch s) THEN RAISE EXCEPTION 'not today'; END IF;
  RETURN $1;
END$$;
CREATE FUNCTION public.part(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  $$BEGIN RETURN inner_part($1); END$$;
CREATE TABLE public.filled (id bigint, note text) WITH (autovacuum_enabled = false);
CREATE INDEX {index} ON public.filled (public.part(note), id) WHERE public.part(note) <> 'none';
INSERT INTO public.filled SELECT n, 'note ' || n FROM generate_series(1, 20000) n;
DELETE FROM public.filled WHERE id % 4 > 0;
CREATE EXTENSION pgstattuple;
"""
INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"


@pytest.mark.pg("== 15")
def test_rebuild_that_an_owners_function_fails_leaves_nothing_and_backs_off(
    database: Database, acting: Policy
) -> None:
    name = 'x"' * 30 + "é!"
    assert len(name.encode()) == 63
    database.execute(RAISING.replace("{index}", quote(name)))
    database.vacuum("public.filled")
    database.execute("UPDATE public.switch SET raises = true")
    index = f"public.{quote(name)}"
    for days, is_tried in ((0, True), (0, False), (1, True), (1, False), (1, True), (3, False)):
        backdate(database, days) if days else None
        report = act(acting)
        assert [(r.action.object, r.outcome) for r in report.results] == (
            [(index, Outcome.FAILED)] if is_tried else []
        )
        assert all("public.inner_part(text)" in (r.error or "") for r in report.results)
        assert database.execute(INVALID) == []
        (finding,) = only(report, FindingKind.INDEX_BLOAT)
        assert "public.inner_part(text)" in finding.data["error"]
        assert finding.data["next_try"] > finding.data["failed_at"]
    assert finding.data["failures"] == 3
    database.execute("UPDATE public.switch SET raises = false")
    backdate(database, 1)
    (result,) = act(acting).results
    assert result.outcome is Outcome.DONE, "its functions are found by database.search_path"


@pytest.mark.pg("== 18")
def test_rebuild_that_meets_duplicates_leaves_nothing(database: Database, acting: Policy) -> None:
    fill(database, FILLED.replace("PRIMARY KEY", ""))
    database.execute("UPDATE public.filled SET id = 8 WHERE id = 4")
    database.execute("CREATE INDEX filled_pkey ON public.filled (id) WITH (fillfactor = 20)")
    # As in the data of people whose unique index was damaged by another collation.
    database.execute(
        "UPDATE pg_index SET indisunique = true WHERE indexrelid = 'filled_pkey'::regclass"
    )
    database.execute("ALTER INDEX public.filled_pkey SET (fillfactor = 90)")
    database.vacuum("public.filled")
    (result,) = act(acting).results
    assert result.outcome is Outcome.FAILED
    for _ in range(2):
        assert act(acting).results == ()
        assert [name for _, name in database.execute(PKEY)] == ["filled_pkey"]
    assert database.execute(INVALID) == []


@pytest.mark.pg("== 18")
def test_index_that_was_renamed_since_it_was_planned_is_rebuilt_by_its_oid(
    database: Database, acting: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)
    ((oid, _),) = database.execute(PKEY)
    whole = executor.run

    def raced(actions: Any, *args: Any, **kwargs: Any) -> Any:
        if any(action.kind is ActionKind.REINDEX for action in actions):
            database.execute('ALTER INDEX public.filled_pkey RENAME TO "filled ""Key"""')
            database.execute("ALTER TABLE public.filled RENAME TO full_no_more")
        return whole(actions, *args, **kwargs)

    monkeypatch.setattr(executor, "run", raced)
    (result,) = act(acting).results
    assert result.outcome is Outcome.DONE, result.error
    ((after, name),) = database.execute(PKEY)
    assert (name, after != oid) == ('filled "Key"', True)
    assert database.execute(INVALID) == []


@pytest.mark.pg("== 18")
def test_unique_index_is_rebuilt_only_where_the_policy_names_it(
    database: Database, acting: Policy, tmp_path: Path
) -> None:
    fill(database)
    database.execute("CREATE MATERIALIZED VIEW public.filled_mv AS SELECT id FROM public.filled")
    assert acting.bloat is not None
    unnamed = acting.model_copy(
        update={"bloat": acting.bloat.model_copy(update={"reindex_unique": ()})}
    )
    report = act(unnamed)
    assert report.results == ()
    (finding,) = only(report, FindingKind.INDEX_BLOAT)
    assert finding.data["unique"] is True
    assert finding.data["reindex"] == "REINDEX INDEX CONCURRENTLY public.filled_pkey"
    (result,) = act(acting).results
    assert result.outcome is Outcome.DONE


@pytest.mark.pg("== 18")
def test_index_of_an_exclusion_constraint_is_told_with_what_rebuilds_it(
    database: Database, tmp_path: Path
) -> None:
    constraint = "note text, CONSTRAINT apart EXCLUDE USING btree (id WITH =)"
    fill(database, FILLED.replace(" PRIMARY KEY", "").replace("note text", constraint))
    policy = make_policy(tmp_path, database.url, bloat={**SECTION, "reindex": "concurrently"})
    report = act(policy)
    assert report.results == ()
    (finding,) = only(report, FindingKind.INDEX_BLOAT)
    database.execute(finding.data["reindex"])
    assert only(bloat(policy), FindingKind.INDEX_BLOAT) == []


@pytest.mark.pg("== 18")
def test_name_of_a_partitioned_unique_index_stands_for_those_of_its_partitions(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE public.filled (id bigint PRIMARY KEY) PARTITION BY RANGE (id)")
    for n in range(2):
        database.execute(
            f"CREATE TABLE public.filled_{n} PARTITION OF public.filled FOR VALUES"
            f" FROM ({n * 20000}) TO ({n * 20000 + 20000}) WITH (autovacuum_enabled = false)"
        )
    database.execute("INSERT INTO public.filled SELECT generate_series(0, 39999)")
    database.execute("DELETE FROM public.filled WHERE id % 4 > 0")
    database.vacuum()
    named = {**ACTING, "reindex_unique": ["public.filled_pkey", "public.absent", "public.filled"]}
    policy = make_policy(
        tmp_path, database.url, bloat=named, indexes={"preflight": {"free_disk": "1 MB"}}
    )
    report = act(policy)
    assert {r.action.object: r.outcome for r in report.results} == {
        "public.filled_0_pkey": Outcome.DONE,
        "public.filled_1_pkey": Outcome.DONE,
    }
    (finding,) = only(report, FindingKind.NO_SUCH_TABLE)
    assert finding.data["names"] == ["public.absent", "public.filled"]


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("what", ["apply", "watch"])
def test_killed_rebuild_is_cleaned_up_and_done_by_the_next_run(
    database: Database, acting: Policy, what: str
) -> None:
    fill(database)
    holder = database.connect(autocommit=False)
    holder.execute("INSERT INTO public.filled VALUES (-1, 'open')")
    patient = acting.model_copy(
        update={"locks": acting.locks.model_copy(update={"give_up_after": TIMEOUTS.statement * 6})}
    )
    reports: list[Any] = []

    def run() -> None:
        try:
            reports.append(act(patient))
        except Exception as exc:  # noqa: BLE001 - the thread's end is looked at below
            reports.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: len(database.execute(PKEY)) == 2)
    wait_for(lambda: bool(database.execute("SELECT 1 FROM maintenance.rebuild")))
    name = "watch" if what == "watch" else "apply"
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s"
    database.execute(end, [f"maintenance {name} %"])
    if what == "watch":
        database.execute(end, ["maintenance apply %"])
    thread.join()
    assert isinstance(reports[0], Exception)
    holder.rollback()
    wait_for(
        lambda: (
            not database.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'maintenance apply%'"
            )
        )
    )
    assert len(database.execute(PKEY)) == 2, "the killed build left its index"
    report = act(acting)
    assert [result.outcome for result in report.results] == [Outcome.DONE, Outcome.DONE]
    assert [name for _, name in database.execute(PKEY)] == ["filled_pkey"]


@pytest.mark.pg("== 18")
def test_old_index_that_a_rebuild_killed_after_the_swap_left_is_dropped(
    database: Database, acting: Policy
) -> None:
    fill(database)
    act(acting)
    database.execute("CREATE UNIQUE INDEX filled_pkey_ccold ON public.filled (id)")
    database.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'filled_pkey_ccold'::regclass"
    )
    database.execute(
        "INSERT INTO maintenance.rebuild (database, index_name, run_id, old_oid, size_before)"
        " VALUES ('app', 'public.filled_pkey', gen_random_uuid(), 'filled_pkey_ccold'::regclass, 1)"
    )
    (result,) = act(acting).results
    assert (result.outcome, result.action.object) == (Outcome.DONE, "public.filled_pkey_ccold")
    assert act(acting).results == ()
    assert database.execute("SELECT count(*) FROM maintenance.rebuild WHERE ended_at IS NULL") == [
        (0,)
    ]


@pytest.mark.pg("== 18")
def test_invalid_index_of_somebody_else_stays(database: Database, acting: Policy) -> None:
    fill(database)
    database.execute("CREATE INDEX theirs_ccnew ON public.filled (id)")
    database.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'theirs_ccnew'::regclass"
    )
    act(acting)
    assert database.execute("SELECT to_regclass('theirs_ccnew') IS NOT NULL") == [(True,)]


def wait_for(condition: Any, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("n_tables", [50, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_tables_and_indexes_take_as_many_queries_as_one(
    database: Database, tmp_path: Path, n_tables: int
) -> None:
    fill(database)
    # The index of a table without rows has one page, which is large enough here.
    policy = make_policy(tmp_path, database.url, bloat={**SECTION, "min_size": "1 kB"})
    one = bloat(policy)
    for start in range(0, n_tables, 1000):  # a transaction's locks are limited
        database.execute(
            f"DO $$ BEGIN FOR n IN {start + 1}..{min(start + 1000, n_tables)} LOOP EXECUTE"
            " 'CREATE TABLE public.t' || n || ' (id bigint PRIMARY KEY)'; END LOOP; END $$"
        )
    database.execute("ANALYZE")
    many = bloat(policy)
    assert many.costs["bloat"].n_statements == one.costs["bloat"].n_statements
    assert many.costs["bloat"].n_rows >= one.costs["bloat"].n_rows + n_tables
    # Nothing is known of an index without rows.
    known, before = (
        [(f.kind, f.object) for f in report.findings if f.kind is not FindingKind.BLOAT_UNKNOWN]
        for report in (many, one)
    )
    assert known == before
    assert (FindingKind.TABLE_BLOAT, "public.filled") in known
