"""Declared indexes on real servers: what is the same, what differs, what can't be built."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maintenance.engine.actions import ActionKind, HeldBy
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName, quote
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.subjects.indexes import INDEXES
from tests.builders import Database, Role, make_role
from tests.policies import make_policy

pytestmark = pytest.mark.store

NOW = datetime.now(UTC)
MISSING, DRIFT = FindingKind.INDEX_MISSING, FindingKind.INDEX_DEFINITION_DRIFT
REFUSED, UNKNOWN_NAME = FindingKind.INDEX_NOT_BUILDABLE, FindingKind.SCHEMA_DRIFT
DECLARED = frozenset(
    {
        MISSING,
        DRIFT,
        REFUSED,
        UNKNOWN_NAME,
        FindingKind.INDEX_NOT_DROPPABLE,
        FindingKind.CONSTRAINT_MISSING,
        FindingKind.CONSTRAINT_VIOLATED,
        FindingKind.COLUMN_MISSING,
        FindingKind.MONITOR_BLIND,
        FindingKind.PRIVILEGE_MISSING,
    }
)

TABLES = """
CREATE SCHEMA "Sales";
CREATE TYPE public."Mood" AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN public.email AS text;
CREATE FUNCTION public.twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2 * $1';
CREATE TABLE "Sales"."Order ""Log"" 1" (
  gone int, id int NOT NULL, "userId" text, "order" int, mood public."Mood", done boolean,
  short varchar(20), padded char(4), mail public.email, at timestamptz, day date, price numeric,
  tags text[], data jsonb, span int4range, place point, words tsvector, ip inet, raw bytea
);
ALTER TABLE "Sales"."Order ""Log"" 1" DROP COLUMN gone;
"""
TABLE = '"Sales"."Order ""Log"" 1"'

DEFINITIONS = (
    "(id)",
    "(id DESC)",
    "(id NULLS FIRST)",
    "(id DESC NULLS LAST, at ASC NULLS LAST)",
    '("userId", "order" DESC)',
    "(id) INCLUDE (at, price)",
    "(id) WITH (fillfactor = 70)",
    "(id) WITH (deduplicate_items = off, fillfactor = 90)",
    '("userId" text_pattern_ops)',
    '("userId" COLLATE "C")',
    '("userId" COLLATE "default" text_ops)',
    '("userId" COLLATE "C" text_pattern_ops DESC)',
    "(short varchar_pattern_ops)",
    '(lower("userId"))',
    '(lower("userId") COLLATE "C" DESC)',
    "((id + 1), (\"userId\" || 'x'))",
    "((id::bigint))",
    "((data ->> 'kind'))",
    "((data -> 'a' ->> 'b'), id)",
    "(public.twice(id))",
    "(twice(id))",
    "(date_trunc('day', at AT TIME ZONE 'UTC'))",
    "(coalesce(short, padded::text, ''))",
    "((CASE WHEN done THEN id ELSE 0 END))",
    "(id) WHERE mood = 'ok'",
    "(id) WHERE mood IN ('ok', 'sad')",
    "(id) WHERE mood <> 'ok'",
    "(id) WHERE mood != ALL ('{sad,happy}'::public.\"Mood\"[])",
    "(id) WHERE \"userId\" = 'x'",
    "(id) WHERE \"userId\" IN ('x', 'it''s', E'a\\\\b')",
    "(id) WHERE short = 'x'",
    "(id) WHERE short IN ('x', 'y')",
    "(id) WHERE padded = 'x'",
    "(id) WHERE mail LIKE 'x%'",
    "(id) WHERE done",
    "(id) WHERE NOT done",
    "(id) WHERE done = true",
    "(id) WHERE done IS NOT TRUE",
    '(id) WHERE "order" BETWEEN 1 AND 5',
    '(id) WHERE "order" NOT BETWEEN 1 AND 5 AND price > 0.5',
    "(id) WHERE price > 10",
    "(id) WHERE at > '2026-01-01 00:00:00+02'",
    "(id) WHERE day >= DATE '2026-01-01' AND day < '2026-02-01'",
    "(id) WHERE at IS NULL AND (done OR id > 3) AND NOT (id = 5)",
    "(id) WHERE id = ANY (ARRAY[1, 2, 3])",
    '(id) WHERE "userId" IS NOT NULL AND length("userId") > 3',
    "(id) WHERE \"userId\" ~ '^a' OR \"userId\" ILIKE '%b'",
    "(id) WHERE (mood, done) = ('ok', true)",
    "USING hash (id)",
    'USING hash ("userId") WHERE done',
    "USING gin (tags)",
    "USING gin (tags) WITH (fastupdate = off)",
    "USING gin (data jsonb_path_ops)",
    "USING gin (words)",
    "USING gin (to_tsvector('english', coalesce(\"userId\", '') || ' ' || coalesce(short, '')))",
    "USING gist (span)",
    "USING gist (place) WITH (buffering = on)",
    "USING gist (words tsvector_ops (siglen = 100))",
    "USING spgist (place)",
    "USING spgist (ip)",
    "USING brin (at) WITH (pages_per_range = 32, autosummarize = on)",
    "USING brin (id int4_minmax_multi_ops (values_per_range = 16))",
)  # fmt: skip

REWRITTEN = "(id) WHERE short IN ('x', 'y')"
"""What the server writes of it is written otherwise once it is built again, as after a restore."""

HOSTILE = ('a"b', "a'b", "über", "a b; --", "%s", "select", "x" * 63, "$1", "a\\b", "\n")


def script_of(*definitions: str) -> str:
    statements: list[str] = []
    for number, definition in enumerate(definitions):
        statements.append(f'CREATE INDEX "idx {number}" ON {TABLE} {definition};')
    return "\n".join(statements)


def declare(folder: Path, url: str, sql: str, **keys: Any) -> Policy:
    (folder / "indexes.sql").write_text(sql)
    return make_policy(folder, url, indexes={"declared": "indexes.sql", **keys})


def plan(policy: Policy) -> Any:
    return pipeline.plan(policy, only=[INDEXES.name], now=NOW)


def apply(policy: Policy) -> Any:
    return pipeline.apply(policy, only=[INDEXES.name], now=NOW)


def told(report: Any, kinds: frozenset[FindingKind] = DECLARED) -> dict[str, Finding]:
    """The findings on declarations, by object."""
    return {f.object: f for f in report.findings if f.kind in kinds}


def kinds_of(report: Any) -> list[tuple[ActionKind, str]]:
    return [(action.kind, action.object) for action in report.plan.actions]


def definitions_of(database: Database) -> dict[str, str]:
    rows = database.execute(
        "SELECT indexname, indexdef FROM pg_indexes"
        " WHERE schemaname IN ('public', 'Sales') ORDER BY 1"
    )
    return dict(rows)


def build(database: Database, sql: str) -> None:
    """Run statements by hand, as an application does."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SET search_path = public")
        connection.execute(sql.encode())


# The same


def test_index_built_from_its_declaration_is_the_same(database: Database, tmp_path: Path) -> None:
    """By hand and by us: the catalog is the same, and nothing is planned any more."""
    database.execute(TABLES)
    sql = script_of(*DEFINITIONS)
    policy = declare(tmp_path, database.url, sql)
    build(database, sql)
    by_hand = definitions_of(database)
    assert len(by_hand) >= len(DEFINITIONS)
    report = plan(policy)
    assert (kinds_of(report), told(report)) == ([], {})
    for number in range(len(DEFINITIONS)):
        database.execute(f'DROP INDEX "Sales"."idx {number}"')
    assert definitions_of(database) == {}
    built = apply(policy)
    assert {result.outcome for result in built.results} == {Outcome.DONE}
    made = definitions_of(database)
    covered = {f.object for f in built.findings if f.kind in COVERED and "declared" in f.data}
    unlike = {name for name in made if made[name] != by_hand[name]}
    assert {DEFINITIONS[int(name.split()[1])] for name in unlike} == {REWRITTEN}
    assert len(made) + len(covered) == len(by_hand)
    assert kinds_of(plan(policy)) == []


COVERED = frozenset({FindingKind.INDEX_DUPLICATE, FindingKind.INDEX_REDUNDANT})


@pytest.mark.in_turn
@pytest.mark.parametrize(
    "definition",
    [
        "UNIQUE INDEX {} ON {} (id)",
        'UNIQUE INDEX {} ON {} (id, "userId") NULLS NOT DISTINCT',
        'UNIQUE INDEX {} ON {} (lower("userId")) INCLUDE (at) WHERE done',
    ],
)
def test_unique_index_is_the_same(definition: str, database: Database, tmp_path: Path) -> None:
    database.execute(TABLES)
    sql = f"CREATE {definition.format('u', TABLE)};"
    policy = declare(tmp_path, database.url, sql)
    assert [action.outcome for action in apply(policy).results] == [Outcome.DONE]
    report = plan(policy)
    assert (kinds_of(report), told(report)) == ([], {})


def test_hostile_names_are_built_and_found_again(database: Database, tmp_path: Path) -> None:
    for name in HOSTILE:
        database.execute(f"CREATE TABLE public.{quote(name)} ({quote(name)} int, k int)")
    statements = [
        f"CREATE INDEX {quote(f'{name[:50]}_i')} ON {quote(name)} ({quote(name)}, k)"
        f" WHERE {quote(name)} > 0;"
        for name in HOSTILE
    ]
    policy = declare(tmp_path, database.url, "\n".join(statements))
    assert [each.outcome for each in apply(policy).results] == [Outcome.DONE] * len(HOSTILE)
    report = plan(policy)
    assert (kinds_of(report), told(report)) == ([], {})


COLUMNS = st.sampled_from(
    ["id", '"userId"', '"order"', "mood", "done", "short", "at", "day", "price", "ip"]
)
EXPRESSIONS = st.sampled_from(
    [
        "(id + 1)",
        'lower("userId")',
        "(price * 2)",
        "coalesce(short, '')",
        "(day + 1)",
        "(data ->> 'a')",
        "abs(id)",
        "(NOT done)",
    ]
)
CONDITIONS = st.sampled_from(
    [
        "id > 5",
        "done",
        "mood = 'ok'",
        "mood IN ('ok', 'sad')",
        "\"userId\" = 'a'",
        "short <> 'b'",
        "short IN ('a', 'b')",
        "price BETWEEN 1 AND 2.5",
        "at IS NOT NULL",
        "day < '2026-01-01'",
        '"order" IN (1, 2, 3)',
        "NOT (done AND id = 1)",
        "ip = '10.0.0.1'",
    ]
)
ORDERS = st.sampled_from(["", " ASC", " DESC", " NULLS FIRST", " DESC NULLS LAST"])
KEYS = st.tuples(COLUMNS | EXPRESSIONS, ORDERS).map("".join)
PREDICATES = st.lists(CONDITIONS, max_size=3).flatmap(
    lambda parts: st.sampled_from([" AND ", " OR "]).map(lambda word: word.join(parts))
)
INCLUDED = st.lists(COLUMNS, max_size=2, unique=True)


@st.composite
def any_definition(draw: st.DrawFn) -> str:
    keys = ", ".join(draw(st.lists(KEYS, min_size=1, max_size=3)))
    included = draw(INCLUDED)
    predicate = draw(PREDICATES)
    options = draw(st.sampled_from(["", " WITH (fillfactor = 80)"]))
    return (
        f"({keys})"
        + (f" INCLUDE ({', '.join(included)})" if included else "")
        + options
        + (f" WHERE {predicate}" if predicate else "")
    )


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(any_definition(), min_size=8, max_size=16))
def test_any_index_that_the_server_built_is_the_same(
    database: Database, tmp_path: Path, definitions: list[str]
) -> None:
    database.execute('DROP SCHEMA IF EXISTS "Sales" CASCADE; DROP TYPE IF EXISTS public."Mood"')
    database.execute("DROP DOMAIN IF EXISTS public.email; DROP FUNCTION IF EXISTS twice")
    database.execute(TABLES)
    sql = script_of(*definitions)
    build(database, sql)
    policy = declare(tmp_path, database.url, sql)
    report = plan(policy)
    assert (kinds_of(report), told(report)) == ([], {})
    for number in range(len(definitions)):
        database.execute(f'DROP INDEX "Sales"."idx {number}"')
    assert {result.outcome for result in apply(policy).results} == {Outcome.DONE}
    assert kinds_of(plan(policy)) == []


# Different


@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("declared", "existing"),
    [
        ("(id)", "(id DESC)"),
        ("(id DESC)", "(id DESC NULLS LAST)"),
        ("(id, at)", "(at, id)"),
        ("(id, at)", "(id) INCLUDE (at)"),
        ('("userId")', '("userId" text_pattern_ops)'),
        ('("userId")', '("userId" COLLATE "C")'),
        ("(id) WHERE done", "(id)"),
        ("(id) WHERE done", "(id) WHERE NOT done"),
        ("(id) WHERE done", "(id) WHERE done IS NOT FALSE"),
        ("(id) WHERE price > 10", "(id) WHERE price >= 10"),
        ("(id) WHERE price > 10", "(id) WHERE price > 10.0"),
        ("(id) WHERE mood IN ('ok', 'sad')", "(id) WHERE mood IN ('ok', 'happy')"),
        ("(id) WHERE \"userId\" = 'a b'", "(id) WHERE \"userId\" = 'a  b'"),
        ('(lower("userId"))', '(upper("userId"))'),
        ("((id::bigint))", "((id::numeric))"),
        ("(twice(id))", "((id * 2))"),
        ("USING hash (id)", "(id)"),
        ("USING gin (data)", "USING gin (data jsonb_path_ops)"),
        ("(id) WITH (fillfactor = 70)", "(id) WITH (fillfactor = 80)"),
        ("(id)", "(id) WITH (fillfactor = 70)"),
    ],
)
def test_other_definition_is_drift_and_nothing_is_changed(
    declared: str, existing: str, database: Database, tmp_path: Path
) -> None:
    database.execute(TABLES)
    build(database, f"CREATE INDEX i ON {TABLE} {existing}")
    policy = declare(tmp_path, database.url, f"CREATE INDEX i ON {TABLE} {declared}")
    report = plan(policy)
    assert kinds_of(report) == []
    finding = told(report)['"Sales".i']
    assert (finding.kind, finding.severity) == (DRIFT, Severity.WARN)
    assert finding.data["reason"] == "definition"
    assert finding.data["found"] != finding.data["wanted"]


@pytest.mark.parametrize(
    ("declared", "existing"),
    [
        ("UNIQUE INDEX {} (id)", "INDEX {} (id)"),
        ("UNIQUE INDEX {} (id)", "UNIQUE INDEX {} (id) NULLS NOT DISTINCT"),
    ],
)
def test_other_uniqueness_is_drift(
    declared: str, existing: str, database: Database, tmp_path: Path
) -> None:
    database.execute(TABLES)
    build(database, f"CREATE {existing.format(f'i ON {TABLE}')}")
    policy = declare(tmp_path, database.url, f"CREATE {declared.format(f'i ON {TABLE}')}")
    assert [f.kind for f in told(plan(policy)).values()] == [DRIFT]


def test_name_of_something_else_is_drift(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int); CREATE TABLE u (a int); CREATE TABLE x ()")
    database.execute("CREATE INDEX i ON u (a)")
    sql = "CREATE INDEX i ON t (a); CREATE INDEX x ON t (a)"
    report = plan(declare(tmp_path, database.url, sql))
    assert kinds_of(report) == []
    assert {name: (f.kind, f.data["reason"]) for name, f in told(report).items()} == {
        "public.i": (DRIFT, "name_taken"),
        "public.x": (DRIFT, "name_taken"),
    }


# Refused


@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("definition", "sqlstate"),
    [
        ("INDEX {} (at) WHERE at > now()", "42P17"),
        ("INDEX {} (to_tsvector(note))", "42P17"),
        ("INDEX {} USING gin (note)", "42704"),
        ("INDEX {} (data)", "42704"),
        ("INDEX {} (id bogus_ops)", "42704"),
        ("INDEX {} (nothing(id))", "42883"),
        ("INDEX {} USING bogus (id)", "42704"),
        ("INDEX {} (id) WITH (bogus = 1)", "22023"),
        ("INDEX {} (id) TABLESPACE bogus", "42704"),
        ("INDEX {} (id) WHERE note", "42804"),
        ("UNIQUE INDEX {} USING gin (tags)", "0A000"),
        ("INDEX {} USING hash (id, at)", "0A000"),
    ],
)
def test_index_that_the_server_refuses_is_skipped_and_the_rest_is_built(
    definition: str, sqlstate: str, database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE t (id int, at timestamptz, note text, data json, tags text[])")
    sql = f"CREATE {definition.format('bad ON t')}; CREATE INDEX good ON t (id);"
    report = apply(declare(tmp_path, database.url, sql))
    assert [(r.action.object, r.outcome) for r in report.results] == [("public.good", Outcome.DONE)]
    finding = told(report)["public.bad"]
    assert (finding.kind, finding.severity) == (REFUSED, Severity.ERROR)
    assert finding.data["sqlstate"] == sqlstate


def test_unknown_names_are_told_with_those_that_are_near(
    database: Database, tmp_path: Path
) -> None:
    database.execute('CREATE TABLE "courseProgress" ("userId" text, "progressPercent" int)')
    sql = """
    CREATE INDEX a ON course_progress (user_id);
    CREATE INDEX b ON "courseProgress" (user_id) WHERE progressPercent < 100;
    CREATE INDEX c ON "courseProgress" ("userId") INCLUDE (nothing);
    ALTER TABLE "courseProgress" ADD CONSTRAINT d CHECK (progress_percent >= 0);
    """
    report = plan(declare(tmp_path, database.url, sql))
    assert kinds_of(report) == []
    found = told(report)
    assert {f.kind for f in found.values()} == {UNKNOWN_NAME}
    assert found["public.a"].data["near"] == {"public.course_progress": ['public."courseProgress"']}
    assert found["public.b"].data["near"] == {
        "user_id": ["userId"],
        "progresspercent": ["progressPercent"],
    }
    assert found["public.c"].data["missing"] == ["nothing"]
    assert found['public."courseProgress".d'].data["near"] == {
        "progress_percent": ["progressPercent"]
    }


def test_view_has_no_index_and_a_materialized_one_has(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int); CREATE VIEW v AS SELECT * FROM t")
    database.execute("CREATE MATERIALIZED VIEW m AS SELECT a + 1 AS b FROM t")
    sql = "CREATE INDEX i ON v (a); CREATE UNIQUE INDEX j ON m (b)"
    policy = declare(tmp_path, database.url, sql)
    report = apply(policy)
    assert [(r.action.object, r.outcome) for r in report.results] == [("public.j", Outcome.DONE)]
    assert told(report)["public.i"].data["sqlstate"] == "42809"


def test_duplicates_of_a_unique_index_are_shown_and_it_is_not_built(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE t (a int, b text, gone bool)")
    database.execute(
        "INSERT INTO t VALUES (1, 'x', false), (1, 'x', false), (2, 'y', true), (2, 'y', true),"
        " (3, null, false), (3, null, false)"
    )
    sql = """
    CREATE UNIQUE INDEX all_rows ON t (a, lower(b));
    CREATE UNIQUE INDEX some_rows ON t (a, b) WHERE a > 1 AND NOT gone;
    CREATE UNIQUE INDEX nulls ON t (a, b) NULLS NOT DISTINCT WHERE a > 2;
    """
    report = plan(declare(tmp_path, database.url, sql))
    assert kinds_of(report) == [(ActionKind.CREATE_INDEX, "public.some_rows")]
    found = told(report)
    assert (found["public.all_rows"].kind, found["public.all_rows"].value) == (REFUSED, 2)
    assert set(found["public.all_rows"].data["keys"]) == {"a=1, lower(b)=x", "a=2, lower(b)=y"}
    assert found["public.nulls"].value == 1


# Covered


def test_index_that_another_one_covers_is_not_built(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int, b int, c int, d timestamptz)")
    database.execute("CREATE INDEX active ON t (a, b DESC) WHERE c IS NULL")
    sql = """
    CREATE INDEX equal ON t (a, b DESC) WHERE c IS NULL;
    CREATE INDEX other_order ON t (a, b) WHERE c IS NULL;
    CREATE INDEX prefix ON t (d);
    CREATE INDEX longer ON t (d, a);
    CREATE INDEX twin ON t (d, a);
    """
    report = plan(declare(tmp_path, database.url, sql))
    assert [name for _, name in kinds_of(report)] == ["public.other_order", "public.longer"]
    covered = {f.object: f for f in report.findings if f.kind in COVERED}
    assert {name: (f.kind, f.data["covered_by"]) for name, f in covered.items()} == {
        "public.equal": (FindingKind.INDEX_DUPLICATE, "public.active"),
        "public.prefix": (FindingKind.INDEX_REDUNDANT, "public.longer"),
        "public.twin": (FindingKind.INDEX_DUPLICATE, "public.longer"),
    }


# Waves, replacements, drops


def test_waves_build_before_they_drop(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int, b int, c int)")
    database.execute("CREATE INDEX old ON t (a); CREATE INDEX useless ON t (c)")
    sql = """
    DROP INDEX useless, not_there;
    -- wave: 2
    CREATE INDEX second ON t (b);
    -- replaces: old
    CREATE INDEX first ON t (a, b);
    """
    policy = declare(tmp_path, database.url, sql, allow_drop=True)
    report = plan(policy)
    assert kinds_of(report) == [
        (ActionKind.CREATE_INDEX, "public.first"),
        (ActionKind.REPLACE_INDEX, "public.old"),
        (ActionKind.CREATE_INDEX, "public.second"),
        (ActionKind.DROP_INDEX, "public.useless"),
    ]
    first, replaced, second, dropped = report.plan.actions
    assert (replaced.after, second.after, dropped.after) == ((first.id,), (first.id,), (second.id,))
    assert replaced.detail["restore"] == [
        "CREATE INDEX CONCURRENTLY old ON public.t USING btree (a)"
    ]
    assert {result.outcome for result in apply(policy).results} == {Outcome.DONE}
    assert sorted(definitions_of(database)) == ["first", "second"]
    assert kinds_of(plan(policy)) == []


def test_drops_need_a_key_and_hold_up_nothing_else(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int, b int); CREATE INDEX old ON t (a)")
    sql = """
    -- replaces: old
    CREATE INDEX new ON t (a, b);
    -- wave: 2
    CREATE INDEX later ON t (b);
    """
    policy = declare(tmp_path, database.url, sql)
    outcomes = {r.action.object: (r.outcome, r.action.held) for r in apply(policy).results}
    assert outcomes["public.later"] == outcomes["public.new"] == (Outcome.DONE, None)
    assert outcomes["public.old"][1].by is HeldBy.DROPS_NOT_ALLOWED
    assert sorted(definitions_of(database)) == ["later", "new", "old"]


def test_namesake_is_replaced_under_its_name(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int, b int); CREATE INDEX i ON t (a)")
    sql = "-- replaces: i\nCREATE INDEX i ON t (a, b)"
    held = apply(declare(tmp_path, database.url, sql))
    assert {r.outcome for r in held.results} == {Outcome.SKIPPED}
    assert list(definitions_of(database)) == ["i"]
    policy = declare(tmp_path, database.url, sql, allow_drop=True)
    assert {r.outcome for r in apply(policy).results} == {Outcome.DONE}
    assert definitions_of(database) == {"i": "CREATE INDEX i ON public.t USING btree (a, b)"}
    assert kinds_of(plan(policy)) == []


def test_namesake_on_a_partitioned_table_is_told_to_need_another_name(
    database: Database, tmp_path: Path
) -> None:
    database.execute(
        "CREATE TABLE p (a int, b int) PARTITION BY RANGE (a);"
        " CREATE TABLE p1 PARTITION OF p DEFAULT; CREATE INDEX i ON p (a)"
    )
    same = declare(tmp_path, database.url, "-- replaces: i\nCREATE INDEX i ON p (a, b)")
    (finding,) = (each for each in plan(same).findings if each.kind is DRIFT)
    assert "give the new index another name and write -- replaces: i" in finding.message
    sql = "-- replaces: i\nCREATE INDEX i_b ON p (a, b)"
    report = apply(declare(tmp_path, database.url, sql, allow_drop=True))
    assert {r.outcome for r in report.results} == {Outcome.DONE}
    assert sorted(n for n in definitions_of(database) if n in ("i", "i_b")) == ["i_b"]


def test_replacement_that_was_interrupted_is_finished(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int, b int)")
    sql = "-- replaces: i\nCREATE INDEX i ON t (a, b)"
    policy = declare(tmp_path, database.url, sql, allow_drop=True)
    database.execute("CREATE INDEX i_new ON t (a, b)")
    report = apply(policy)
    assert [r.action.sql for r in report.results] == [("ALTER INDEX public.i_new RENAME TO i",)]
    assert list(definitions_of(database)) == ["i"]


@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("setup", "name", "reason"),
    [
        ("ALTER TABLE t ADD CONSTRAINT k UNIQUE (a)", "k", "constraint"),
        ("CREATE UNIQUE INDEX k ON t (a)", "k", "unique"),
        ("CREATE UNIQUE INDEX k ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX k", "k",
         "replica_identity"),
        ("CREATE UNIQUE INDEX k ON t (a); CREATE TABLE r (a int REFERENCES t (a))", "k",
         "referenced"),
        ("CREATE TABLE p (a int) PARTITION BY RANGE (a);"
         " CREATE TABLE p1 PARTITION OF p DEFAULT; CREATE INDEX ON p (a)", "p1_a_idx", "partition"),
    ],
)  # fmt: skip
def test_index_that_something_needs_is_kept(
    setup: str, name: str, reason: str, database: Database, tmp_path: Path
) -> None:
    database.execute(f"CREATE TABLE t (a int NOT NULL); {setup}")
    report = plan(declare(tmp_path, database.url, f"DROP INDEX {name}", allow_drop=True))
    assert kinds_of(report) == []
    finding = told(report)[f"public.{name}"]
    assert (finding.kind, finding.data["reason"]) == (FindingKind.INDEX_NOT_DROPPABLE, reason)


def test_unique_index_goes_if_another_one_is_as_strict(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int PRIMARY KEY, b int); CREATE UNIQUE INDEX k ON t (a, b)")
    policy = declare(tmp_path, database.url, "DROP INDEX k", allow_drop=True)
    assert [r.outcome for r in apply(policy).results] == [Outcome.DONE]


@pytest.mark.pg("== 18")
def test_unusable_leftover_goes_before_its_table_is_rewritten(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)")
    sql = """
    ALTER TABLE t ADD COLUMN b int GENERATED ALWAYS AS (a * 2) STORED;
    CREATE INDEX i ON t (a);
    """
    report = apply(declare(tmp_path, database.url, sql, allow_rewrite=True))
    assert [(r.action.kind, r.outcome) for r in report.results] == [
        (ActionKind.DROP_INVALID_INDEX, Outcome.DONE),
        (ActionKind.ADD_COLUMN, Outcome.DONE),
        (ActionKind.CREATE_INDEX, Outcome.DONE),
    ]


def test_unusable_leftover_is_dropped_and_built_again(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)")
    policy = declare(tmp_path, database.url, "CREATE INDEX i ON t (a)")
    report = apply(policy)
    assert [r.action.kind for r in report.results] == [
        ActionKind.DROP_INVALID_INDEX,
        ActionKind.CREATE_INDEX,
    ]
    assert {r.outcome for r in report.results} == {Outcome.DONE}
    assert definitions_of(database) == {"i": "CREATE INDEX i ON public.t USING btree (a)"}


# Partitioned tables

TREE = """
CREATE TABLE p (gone int, id int NOT NULL, u text, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
ALTER TABLE p DROP COLUMN gone;
CREATE TABLE p2 (at date NOT NULL, u text, id int NOT NULL);
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE p3 PARTITION OF p FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')
  PARTITION BY HASH (id);
CREATE TABLE p3_0 PARTITION OF p3 FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE p3_1 PARTITION OF p3 FOR VALUES WITH (modulus 2, remainder 1);
"""
DECLARED_ON_TREE = "CREATE INDEX i ON p (u, lower(u), at DESC) INCLUDE (id) WHERE u <> 'x'"


def test_partitioned_index_is_built_part_by_part(database: Database, tmp_path: Path) -> None:
    database.execute(TREE)
    database.execute("CREATE INDEX mine ON p2 (u, lower(u), at DESC) INCLUDE (id) WHERE u <> 'x'")
    policy = declare(tmp_path, database.url, DECLARED_ON_TREE)
    (action,) = plan(policy).plan.actions
    assert sorted(action.preconditions["leaves"]) == [
        "public.p1", "public.p2", "public.p3_0", "public.p3_1",
    ]  # fmt: skip
    assert sum(step.concurrent for step in action.steps) == 3
    assert [r.outcome for r in apply(policy).results] == [Outcome.DONE]
    assert database.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == [
        (True,)
    ]
    assert "mine" in definitions_of(database)
    report = plan(policy)
    assert (kinds_of(report), told(report)) == ([], {})


@pytest.mark.in_turn
@pytest.mark.parametrize("n_steps", range(1, 11))
def test_partitioned_index_is_finished_after_any_step(
    n_steps: int, database: Database, tmp_path: Path
) -> None:
    database.execute(TREE)
    policy = declare(tmp_path, database.url, DECLARED_ON_TREE)
    (action,) = plan(policy).plan.actions
    assert len(action.sql) == 11
    for statement in action.sql[:n_steps]:
        database.execute(statement)
    report = apply(policy)
    assert [r.outcome for r in report.results] == [Outcome.DONE]
    assert told(report) == {}
    assert FindingKind.INDEX_INVALID not in {f.kind for f in report.findings}
    assert kinds_of(plan(policy)) == []


def test_taken_name_of_a_part_is_avoided(database: Database, tmp_path: Path) -> None:
    database.execute(TREE)
    database.execute("CREATE INDEX p1_i ON p1 (id)")
    policy = declare(tmp_path, database.url, DECLARED_ON_TREE)
    assert [r.outcome for r in apply(policy).results] == [Outcome.DONE]
    assert {"p1_i", "p1_i1"} <= set(definitions_of(database))


def test_new_partition_gets_what_is_declared(database: Database, tmp_path: Path) -> None:
    database.execute(TREE)
    policy = declare(tmp_path, database.url, DECLARED_ON_TREE)
    apply(policy)
    database.execute("CREATE TABLE p4 PARTITION OF p DEFAULT")
    assert kinds_of(plan(policy)) == []


def test_unique_index_without_the_partition_key_is_refused(
    database: Database, tmp_path: Path
) -> None:
    database.execute(TREE)
    report = plan(declare(tmp_path, database.url, "CREATE UNIQUE INDEX i ON p (u)"))
    assert kinds_of(report) == []
    assert told(report)["public.i"].data["sqlstate"] == "0A000"


def test_foreign_partition_is_no_place_for_an_index(database: Database, tmp_path: Path) -> None:
    database.execute(
        "CREATE TABLE p (a int) PARTITION BY RANGE (a);"
        " CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
        " CREATE FOREIGN TABLE f PARTITION OF p DEFAULT SERVER s"
    )
    report = plan(declare(tmp_path, database.url, "CREATE INDEX i ON p (a)"))
    assert kinds_of(report) == []
    assert told(report)["public.i"].data["reason"] == "foreign_partitions"


# Constraints and columns


def test_constraint_is_added_and_validated(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, q int)")
    database.execute("INSERT INTO t VALUES (1, 1), (2, null)")
    sql = "ALTER TABLE t ADD CONSTRAINT q_ok CHECK (q > 0 AND q IN (1, 2))"
    policy = declare(tmp_path, database.url, sql)
    report = apply(policy)
    assert [r.action.kind for r in report.results] == [
        ActionKind.ADD_CONSTRAINT,
        ActionKind.VALIDATE_CONSTRAINT,
    ]
    assert {r.outcome for r in report.results} == {Outcome.DONE}
    report = plan(policy)
    assert (kinds_of(report), told(report)) == ([], {})


def test_constraint_that_was_not_validated_is_validated(database: Database, tmp_path: Path) -> None:
    database.execute(
        "CREATE TABLE t (q int); ALTER TABLE t ADD CONSTRAINT c CHECK (q > 0) NOT VALID"
    )
    policy = declare(tmp_path, database.url, "ALTER TABLE t ADD CONSTRAINT c CHECK (q > 0)")
    assert kinds_of(plan(policy)) == [(ActionKind.VALIDATE_CONSTRAINT, "public.t.c")]
    assert [r.outcome for r in apply(policy).results] == [Outcome.DONE]
    assert kinds_of(plan(policy)) == []


def test_rows_that_violate_a_constraint_are_counted_and_it_is_not_added(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, secret text, q int)")
    database.execute("INSERT INTO t SELECT i, 'secret', -i FROM generate_series(1, 9) i")
    report = plan(declare(tmp_path, database.url, "ALTER TABLE t ADD CONSTRAINT c CHECK (q > 0)"))
    assert kinds_of(report) == []
    finding = told(report)["public.t.c"]
    assert (finding.kind, finding.value) == (FindingKind.CONSTRAINT_VIOLATED, 9)
    assert finding.data["keys"] == ["id=1", "id=2", "id=3", "id=4", "id=5"]
    assert "secret" not in finding.message


def test_constraint_with_another_definition_is_drift(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (q int, CONSTRAINT c CHECK (q > 0))")
    report = plan(declare(tmp_path, database.url, "ALTER TABLE t ADD CONSTRAINT c CHECK (q >= 0)"))
    assert kinds_of(report) == []
    assert [f.kind for f in told(report).values()] == [DRIFT]


def doubt(report: Any) -> Finding | None:
    kind = FindingKind.INDEX_DECLARATION_DOUBTFUL
    return next((finding for finding in report.findings if finding.kind is kind), None)


def test_mistyped_name_of_an_index_to_replace_is_told_with_the_near_one(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE t (a int, b int)")
    database.execute("CREATE INDEX t_old_idx ON t (a)")
    database.execute("CREATE INDEX something_else ON t (b)")
    sql = "-- replaces: t_odl_idx\nCREATE INDEX t_a_b ON t (a, b);"
    policy = declare(tmp_path, database.url, sql, allow_drop=True)
    before = doubt(plan(policy))
    assert before is not None
    assert (before.severity, before.object) == (Severity.WARN, "public.t_a_b")
    assert before.data["near"] == {"public.t_odl_idx": ["public.t_old_idx"]}
    after = doubt(apply(policy))
    assert after is not None
    assert after.severity is Severity.INFO
    right = "-- replaces: t_old_idx\nCREATE INDEX t_a_b ON t (a, b);"
    policy = declare(tmp_path, database.url, right, allow_drop=True)
    assert doubt(apply(policy)) is None
    # One that a run dropped is not mistyped, whatever there is beside it.
    database.execute("CREATE INDEX t_old_idx1 ON t (b)")
    assert doubt(plan(policy)) is None
    nothing = "-- replaces: zzz\nCREATE INDEX t_b_a ON t (b, a);"
    lost = doubt(plan(declare(tmp_path, database.url, nothing, allow_drop=True)))
    assert lost is not None
    assert (lost.severity, lost.data["near"]) == (Severity.INFO, {"public.zzz": []})


def test_mistyped_name_of_an_index_to_drop_is_told(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int)")
    database.execute("CREATE INDEX t_old_idx ON t (a)")
    told = doubt(plan(declare(tmp_path, database.url, "DROP INDEX t_odl_idx;")))
    assert told is not None
    assert told.data["near"] == {"public.t_odl_idx": ["public.t_old_idx"]}
    assert doubt(plan(declare(tmp_path, database.url, "DROP INDEX gone;"))) is None


SUBPARTITIONED = (
    "CREATE TABLE m (id int NOT NULL, at date NOT NULL, kind int NOT NULL, tag text)"
    " PARTITION BY RANGE (at)",
    "CREATE TABLE m_1 PARTITION OF m FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    "CREATE TABLE m_2 PARTITION OF m FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')"
    " PARTITION BY LIST (kind)",
    "CREATE TABLE m_2_1 PARTITION OF m_2 FOR VALUES IN (1) PARTITION BY {}",
    "CREATE TABLE m_2_1_a PARTITION OF m_2_1 FOR VALUES {}",
)


@pytest.mark.parametrize(
    ("third", "bound", "keys", "lacks"),
    [
        ("HASH (id)", "WITH (MODULUS 1, REMAINDER 0)", "id, at, kind", None),
        ("HASH (id)", "WITH (MODULUS 1, REMAINDER 0)", "id, at", ("public.m_2", ("kind",))),
        ("HASH (tag)", "WITH (MODULUS 1, REMAINDER 0)", "id, at, kind", ("public.m_2_1", ("tag",))),
        ("LIST (lower(tag))", "IN ('x')", "id, at, kind, tag", ("public.m_2_1", ())),
    ],
)
def test_unique_index_needs_the_keys_of_all_levels(
    database: Database,
    tmp_path: Path,
    third: str,
    bound: str,
    keys: str,
    lacks: tuple[str, tuple[str, ...]] | None,
) -> None:
    for statement in SUBPARTITIONED:
        database.execute(statement.format(bound if "m_2_1_a" in statement else third))
    policy = declare(tmp_path, database.url, f"CREATE UNIQUE INDEX m_unique ON m ({keys});")
    report = plan(policy)
    if lacks is None:
        assert kinds_of(report) == [(ActionKind.CREATE_INDEX, "public.m_unique")]
        assert {r.outcome for r in apply(policy).results} == {Outcome.DONE}
        assert told(plan(policy)) == {}
        return
    assert kinds_of(report) == []
    refused = told(report)["public.m_unique"]
    assert (refused.kind, refused.severity) == (REFUSED, Severity.ERROR)
    assert refused.data["sqlstate"] == "0A000"
    assert (refused.data["partition"], tuple(refused.data["lacks"])) == lacks
    with pytest.raises(psycopg.errors.FeatureNotSupported):  # the server says the same
        database.execute(f"CREATE UNIQUE INDEX ON m ({keys})")


SEARCH = """
ALTER TABLE t ADD COLUMN words tsvector
  GENERATED ALWAYS AS (to_tsvector('english', title || ' ' || coalesce(body, ''))) STORED;
CREATE INDEX t_words ON t USING gin (words);
"""


def test_column_needs_a_key_and_its_index_waits_for_it(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (title text, body text)")
    policy = declare(tmp_path, database.url, SEARCH)
    held = apply(policy)
    assert {r.action.held.by for r in held.results if r.action.held} == {
        HeldBy.REWRITES_NOT_ALLOWED
    }
    assert [r.outcome for r in held.results] == [Outcome.SKIPPED, Outcome.SKIPPED]
    found = told(held)
    assert found["public.t.words"].kind is FindingKind.COLUMN_MISSING
    assert {f.object: f.data["held_by"] for f in held.findings if "held_by" in f.data} == {
        "public.t.words": HeldBy.REWRITES_NOT_ALLOWED,
        "public.t_words": HeldBy.REWRITES_NOT_ALLOWED,
    }
    doubt = next(f for f in held.findings if f.kind is FindingKind.INDEX_DECLARATION_DOUBTFUL)
    assert doubt.data["reasons"] == {"null_in_expression": ["title"]}
    policy = declare(tmp_path, database.url, SEARCH, allow_rewrite=True)
    assert {r.outcome for r in apply(policy).results} == {Outcome.DONE}
    report = plan(policy)
    assert (kinds_of(report), told(report)) == ([], {})


SLOW = """CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql
AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.02); RETURN $1; END'"""


@pytest.mark.parametrize("is_owner", [True, False])
def test_rewrite_and_validation_take_as_long_as_they_need(
    database: Database, tmp_path: Path, is_owner: bool
) -> None:
    database.execute("CREATE TABLE t (a int)")
    database.execute("INSERT INTO t SELECT g FROM generate_series(1, 100) g")
    database.execute(SLOW)
    if not is_owner:
        database.give_to(make_role(database.server, "owner"))
    sql = """
    ALTER TABLE t ADD COLUMN b int GENERATED ALWAYS AS (slow(a)) STORED;
    ALTER TABLE t ADD CONSTRAINT t_positive CHECK (slow(a) > 0);
    """
    (tmp_path / "indexes.sql").write_text(sql)
    policy = make_policy(
        tmp_path,
        database.url,
        indexes={"declared": "indexes.sql", "allow_rewrite": True},
        locks={"lock_timeout": "100 ms", "give_up_after": "1 second"},
    )
    assert {(r.action.kind, r.outcome) for r in apply(policy).results} == {
        (ActionKind.ADD_COLUMN, Outcome.DONE),
        (ActionKind.ADD_CONSTRAINT, Outcome.DONE),
        (ActionKind.VALIDATE_CONSTRAINT, Outcome.DONE),
    }


def test_column_with_another_expression_is_drift(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) STORED, c int)")
    sql = """
    ALTER TABLE t ADD COLUMN b int GENERATED ALWAYS AS (a + 2) STORED,
                  ADD COLUMN c int GENERATED ALWAYS AS (a) STORED;
    """
    report = plan(declare(tmp_path, database.url, sql))
    assert kinds_of(report) == []
    assert {name: f.kind for name, f in told(report).items()} == {
        "public.t.b": DRIFT,
        "public.t.c": DRIFT,
    }


# Doubts


def test_btree_on_what_contains_others_is_doubtful_and_gin_is_not(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE t (id int, category text[], data jsonb)")
    sql = """
    CREATE INDEX by_category ON t (id, category);
    CREATE INDEX by_data ON t USING hash (data);
    CREATE INDEX contained ON t USING gin (category);
    """
    report = plan(declare(tmp_path, database.url, sql))
    doubts = {each.object: each for each in report.findings if each.kind is not MISSING}
    assert {name: each.data["reasons"] for name, each in doubts.items()} == {
        "public.by_category": {"contained_not_found": ["category"]},
        "public.by_data": {"contained_not_found": ["data"]},
    }
    assert {each.severity for each in doubts.values()} == {Severity.INFO}
    assert len(kinds_of(report)) == 3


def test_what_is_doubtful_is_told_and_built(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a text NOT NULL, b text, done bool, n int)")
    database.execute("INSERT INTO t VALUES ('x', repeat('y', 2000), true, 1)")
    sql = """
    CREATE INDEX always ON t (n) WHERE a IS NOT NULL;
    CREATE INDEX nulls ON t ((a || b));
    CREATE INDEX wide ON t (n) INCLUDE (b);
    CREATE INDEX constant ON t (a, done) WHERE done = true;
    """
    report = plan(declare(tmp_path, database.url, sql))
    assert len(kinds_of(report)) == 4
    doubts = {f.object: f for f in report.findings if f.kind is not MISSING}
    assert doubts["public.always"].data["reasons"] == {"predicate_always_true": ["a"]}
    assert doubts["public.nulls"].data["reasons"] == {"null_in_expression": ["b"]}
    assert (doubts["public.wide"].kind, doubts["public.wide"].value) == (
        FindingKind.INDEX_WIDE_KEY,
        2000,
    )
    assert doubts["public.constant"].kind is FindingKind.INDEX_PREDICATE_IN_KEY


# Rights


def test_role_without_the_owners_rights_says_so(
    database: Database, tmp_path: Path, limited_role: Role, owner_role: Role
) -> None:
    database.execute("CREATE TABLE t (a int); CREATE TABLE u (a int); CREATE INDEX i ON u (a)")
    database.give_to(owner_role)
    database.execute("CREATE TABLE s (a int)")
    sql = "CREATE INDEX j ON t (a); CREATE INDEX i ON u (a); CREATE INDEX k ON s (a)"
    report = plan(declare(tmp_path, database.url_of(limited_role), sql))
    assert kinds_of(report) == []
    found = told(report)
    assert found["public.j"].kind is FindingKind.PRIVILEGE_MISSING
    assert not found["public.j"].data["is_superuser"]
    assert found["public.k"].data["is_superuser"]
    assert "public.i" not in found


def test_role_that_may_not_create_in_the_schema_says_so(
    database: Database, tmp_path: Path, limited_role: Role
) -> None:
    database.execute("CREATE SCHEMA s; CREATE TABLE s.t (a int)")
    name = quote(limited_role.name)
    database.execute(f"ALTER TABLE s.t OWNER TO {name}; GRANT USAGE ON SCHEMA s TO {name}")
    sql = "CREATE INDEX i ON s.t (a)"
    finding = told(plan(declare(tmp_path, database.url_of(limited_role), sql)))["s.i"]
    assert (finding.kind, finding.data["schema"]) == (FindingKind.PRIVILEGE_MISSING, "s")
    database.execute(f"GRANT CREATE ON SCHEMA s TO {name}")
    report = plan(declare(tmp_path, database.url_of(limited_role), sql))
    assert kinds_of(report) == [(ActionKind.CREATE_INDEX, "s.i")]


def test_owners_functions_run_with_the_owners_rights_alone(
    database: Database, tmp_path: Path, owner_role: Role
) -> None:
    """A function in a predicate would tell the role it ran as."""
    database.execute("CREATE TABLE seen (role text); CREATE TABLE t (a int)")
    database.give_to(owner_role)
    database.execute(
        "CREATE FUNCTION spy(int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS"
        " $$BEGIN IF current_user = 'postgres' OR session_user <> current_user AND"
        " pg_has_role(current_user, 'pg_read_server_files', 'USAGE') THEN"
        " RAISE EXCEPTION 'too many rights'; END IF; RETURN true; END$$",
        role=owner_role,
    )
    sql = "CREATE INDEX i ON t (a) WHERE spy(1) AND spy(a)"
    report = plan(declare(tmp_path, database.url, sql))
    assert kinds_of(report) == [(ActionKind.CREATE_INDEX, "public.i")]


def test_definition_that_could_not_be_tried_is_said_to_be_unknown(
    database: Database, tmp_path: Path, owner_role: Role
) -> None:
    database.execute("CREATE TABLE t (a int, b int); CREATE INDEX i ON t (a) WHERE b > 0")
    database.give_to(owner_role)
    database.execute(f"REVOKE TEMPORARY ON DATABASE {quote(database.name)} FROM PUBLIC")
    database.execute(f"ALTER DATABASE {quote(database.name)} OWNER TO CURRENT_USER")
    sql = "CREATE INDEX i ON t (a) WHERE b > 0; CREATE INDEX j ON t (b)"
    report = plan(declare(tmp_path, database.url, sql))
    assert kinds_of(report) == [(ActionKind.CREATE_INDEX, "public.j")]
    assert told(report)["public.i"].kind is FindingKind.MONITOR_BLIND


def test_locked_table_is_unknown_and_the_rest_goes_on(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int); CREATE TABLE u (a int)")
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
    sql = "CREATE INDEX i ON t (a) WHERE a > 0; CREATE INDEX j ON u (a)"
    report = plan(declare(tmp_path, database.url, sql))
    holder.rollback()
    assert kinds_of(report) == [(ActionKind.CREATE_INDEX, "public.j")]
    assert told(report)["public.i"].kind is FindingKind.MONITOR_BLIND


def test_check_tells_what_is_missing(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int)")
    sql = "CREATE INDEX i ON t (a); CREATE INDEX j ON t (b)"
    found = pipeline.check(declare(tmp_path, database.url, sql)).findings
    assert {f.object: f.kind for f in found if f.kind in DECLARED} == {
        "public.i": MISSING,
        "public.j": UNKNOWN_NAME,
    }


def test_trial_leaves_nothing_behind(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int)")
    count = "SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text LIKE 'pg_temp%'"
    before = database.execute(count)
    plan(declare(tmp_path, database.url, "CREATE INDEX i ON t (a) WHERE a > 0"))
    assert database.execute(count) == before
    assert definitions_of(database) == {}


@pytest.mark.parametrize("mode", ["report"])
def test_report_mode_plans_and_builds_nothing(
    mode: str, database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE t (a int)")
    policy = declare(tmp_path, database.url, "CREATE INDEX i ON t (a)", mode=mode)
    report = apply(policy)
    assert [r.outcome for r in report.results] == [Outcome.SKIPPED]
    assert (definitions_of(database), [f.kind for f in told(report).values()]) == ({}, [MISSING])


def test_one_declared_table_is_rolled_out_alone(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int); CREATE TABLE u (a int)")
    policy = declare(tmp_path, database.url, "CREATE INDEX i ON t (a); CREATE INDEX j ON u (a);")
    pipeline.apply(policy, only=[INDEXES.name], request=Request(table=QualifiedName("public", "u")))
    assert set(definitions_of(database)) == {"j"}
