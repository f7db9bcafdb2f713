"""What partitions share that their parent does not give them reaches the next one, or is told."""

import re
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.names import quote
from maintenance.pipeline import run as pipeline
from maintenance.server.session import fetch
from tests.builders import Database, Role
from tests.integration.test_retention import month
from tests.policies import make_policy
from tests.sessions import session

pytestmark = pytest.mark.store

ONLY = ["partitions"]
TABLE: dict[str, Any] = {"table": "public.log", "column": "at", "interval": "1 month", "premake": 2}


def partition(offset: int, schema: str = "public") -> str:
    return f"{schema}.log_{month(offset).replace('-', '_')}"


def make(database: Database, *offsets: int, schema: str = "public", tail: str = "") -> None:
    """Make a table of logs, if there is none, and its months counted from this one."""
    database.execute(
        "CREATE TABLE IF NOT EXISTS public.log (id bigint NOT NULL, at timestamptz NOT NULL,"
        """ a int, body text, "B ""x' $$" int) PARTITION BY RANGE (at)"""
    )
    for n in offsets:
        database.execute(
            f"CREATE TABLE {partition(n, schema)} PARTITION OF public.log"
            f" FOR VALUES FROM ('{month(n)}-01Z') TO ('{month(n + 1)}-01Z'){tail}"
        )


def on(database: Database, statement: str, *offsets: int, schema: str = "public") -> None:
    for n in offsets:
        filled = statement.replace("{t}", partition(n, schema)).replace("{n}", str(abs(n)))
        database.execute(filled)


def own(database: Database, table: str) -> set[tuple[Any, ...]]:
    """All that a table has and its parent does not give it, names left out."""
    query = "SELECT 'public.log'::regclass::oid, %s::regclass::oid"
    ((top, oid),) = database.execute(query, [table])
    with session(database.url) as connection:
        rows = fetch(connection, "catalog", "list_own_objects", {"tops": [top], "relations": [oid]})
    return {(row.kind, str(row.parts), row.state) for row in rows if row.kind != "table"}


def drift(report: pipeline.Report) -> Finding | None:
    kind = FindingKind.PARTITION_PROPERTY_DRIFT
    return next((finding for finding in report.findings if finding.kind is kind), None)


SHARED = (
    "CREATE UNIQUE INDEX ON {t} (id) INCLUDE (a) NULLS NOT DISTINCT",
    'CREATE INDEX "odd ""{n}" ON {t} USING brin (at) WITH (pages_per_range = 7)',
    'CREATE INDEX ON {t} (lower(body) text_pattern_ops DESC) WHERE "B ""x\' $$" > 0',
    'ALTER TABLE {t} ADD CONSTRAINT "only one {n}" UNIQUE (a, id) DEFERRABLE',
    "ALTER TABLE {t} ADD CONSTRAINT short CHECK (length(body) < 1000)",
    'ALTER TABLE {t} ADD CHECK ("B ""x\' $$" > 0) NOT VALID',
    "ALTER TABLE {t} ADD FOREIGN KEY (a) REFERENCES public.other ON DELETE CASCADE NOT VALID",
    "ALTER TABLE {t} ALTER body SET DEFAULT 'it''s', ALTER a SET NOT NULL",
    "ALTER TABLE {t} ALTER body SET STORAGE EXTERNAL, ALTER body SET COMPRESSION pglz",
    'CREATE TRIGGER "T $$" BEFORE UPDATE OF body, "B ""x\' $$" ON {t} FOR EACH ROW'
    " WHEN (new.a > 0) EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    'ALTER TABLE {t} ENABLE ALWAYS TRIGGER "T $$"',
    "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {t} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "ALTER TABLE {t} DISABLE TRIGGER late",
    "CREATE RULE quiet AS ON DELETE TO {t} WHERE old.a = 1 DO INSTEAD NOTHING",
    "CREATE STATISTICS public.dep_{n} (dependencies) ON a, body FROM {t}",
    'CREATE POLICY "some" ON {t} AS RESTRICTIVE FOR SELECT TO PUBLIC USING (a > 1)',
    "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY",
    'ALTER TABLE {t} REPLICA IDENTITY USING INDEX "for identity {n}"',
    "ALTER PUBLICATION p ADD TABLE ONLY {t} (id, a, at, body) WHERE (a > 7)",
)


def share_everything(database: Database, *offsets: int) -> None:
    database.execute("CREATE TABLE public.other (a int PRIMARY KEY)")
    database.execute("CREATE PUBLICATION p")
    on(database, 'CREATE UNIQUE INDEX "for identity {n}" ON {t} (id, at)', *offsets)
    for statement in SHARED:
        on(database, statement, *offsets)


def test_a_new_month_has_what_its_siblings_share(
    database: Database, owner_role: Role, tmp_path: Path
) -> None:
    make(database, -2, -1, 0)
    share_everything(database, -2, -1, 0)
    database.give_to(owner_role)
    policy = make_policy(tmp_path, database.url, TABLE)
    report = pipeline.apply(policy, only=ONLY)
    assert report.ok
    found = drift(report)  # their policies are not their parent's
    assert found is not None
    assert found.severity is Severity.INFO
    assert own(database, partition(1)) == own(database, partition(0)) == own(database, partition(2))
    assert len(own(database, partition(1))) >= len(SHARED)
    owners = database.execute(
        "SELECT stxowner::regrole::text FROM pg_statistic_ext WHERE stxrelid = %s::regclass",
        [partition(1)],
    )
    assert set(owners) == {(owner_role.name,)}
    (left,) = database.execute(
        "SELECT count(*), bool_and(convalidated) FROM pg_constraint WHERE conrelid = %s::regclass",
        [partition(1)],
    )
    assert left[1] is True
    assert pipeline.plan(policy, only=ONLY).plan.actions == ()


@pytest.mark.pg("== 18")
def test_a_new_month_is_unlogged_as_its_siblings_are(database: Database, tmp_path: Path) -> None:
    make(database, -1, 0)
    on(database, "ALTER TABLE {t} SET UNLOGGED", -1, 0)
    assert pipeline.apply(make_policy(tmp_path, database.url, TABLE), only=ONLY).ok
    kind = "SELECT relpersistence FROM pg_class WHERE oid = %s::regclass"
    assert database.execute(kind, [partition(1)]) == [("u",)]


@pytest.mark.pg("== 18")
def test_all_tables_of_a_new_tree_have_what_those_of_its_siblings_share(
    database: Database, tmp_path: Path
) -> None:
    make(database, -1, 0, tail=" PARTITION BY HASH (id)")
    for n in (-1, 0):
        for part in (0, 1):
            database.execute(
                f"CREATE TABLE {partition(n)}_p{part} PARTITION OF {partition(n)}"
                f" FOR VALUES WITH (MODULUS 2, REMAINDER {part})"
            )
    on(database, "ALTER TABLE {t} ADD CHECK (a > 3)", -1, 0)
    on(database, "CREATE INDEX ON {t} (a)", -1, 0)
    on(database, "CREATE UNIQUE INDEX ON {t}_p1 (body)", -1, 0)
    on(database, "ALTER TABLE {t}_p0 ADD CHECK (length(body) < 9)", -1, 0)
    on(
        database,
        "CREATE TRIGGER quiet BEFORE UPDATE ON {t}_p0 FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        -1,
        0,
    )
    report = pipeline.apply(make_policy(tmp_path, database.url, TABLE), only=ONLY)
    assert report.ok
    for suffix, n_objects in (("", 2), ("_p0", 2), ("_p1", 1)):
        shared = own(database, partition(-1) + suffix)
        assert len(shared) == n_objects
        assert (
            own(database, partition(1) + suffix) == shared == own(database, partition(2) + suffix)
        )


@pytest.mark.pg("== 15")
def test_one_months_exception_is_not_copied_and_what_came_lately_is(
    database: Database, tmp_path: Path
) -> None:
    make(database, *range(-4, 1))
    on(database, "CREATE INDEX ON {t} (a)", 0)
    on(database, "ALTER TABLE {t} ADD CHECK (a <> 1)", -2)
    on(database, "ALTER TABLE {t} ADD CHECK (a > -{n})", *range(-4, 1))
    on(database, "CREATE UNIQUE INDEX ON {t} (id)", -1, 0)
    report = pipeline.apply(make_policy(tmp_path, database.url, TABLE), only=ONLY)
    assert report.ok
    assert drift(report) is None
    assert {(kind, "UNIQUE" in parts) for kind, parts, _ in own(database, partition(1))} == {
        ("index", True)
    }


@pytest.mark.pg("== 15")
def test_what_is_missing_is_added_ahead_where_nothing_is_and_told_where_rows_are(
    database: Database, tmp_path: Path
) -> None:
    make(database, *range(-3, 3))
    database.execute(f"INSERT INTO public.log VALUES (1, '{month(2)}-03'), (1, '{month(2)}-03')")
    on(database, "CREATE UNIQUE INDEX ON {t} (id)", -3, -2, -1)
    on(database, "ALTER TABLE {t} ADD CHECK (a > 3), ALTER body SET DEFAULT 'x'", *range(-3, 1))
    policy = make_policy(tmp_path, database.url, {**TABLE, "premake": 3})
    report = pipeline.apply(policy, only=ONLY)
    assert report.ok
    found = drift(report)
    assert found is not None
    assert (found.severity, found.value) == (Severity.WARN, 4)
    kinds = {n: {kind for kind, _, _ in own(database, partition(n))} for n in range(4)}
    assert kinds == {
        0: {"check", "default"},  # in use: the index is told
        1: {"check", "default"},
        2: {"default"},  # has rows: the rest is told
        3: {"check", "default"},
    }
    unique = f"CREATE UNIQUE INDEX CONCURRENTLY ON {partition(0)} USING btree (id)"
    assert unique in found.data["statements"]
    assert any(s.startswith(f"ALTER TABLE {partition(2)} ADD") for s in found.data["statements"])
    database.execute(unique)
    assert pipeline.apply(policy, only=ONLY).ok
    for n in (1, 3):
        assert "index" in {kind for kind, _, _ in own(database, partition(n))}


@pytest.mark.pg("== 15")
def test_what_we_may_not_add_is_a_warning_and_the_month_is_made(
    database: Database, owner_role: Role, tmp_path: Path
) -> None:
    make(database, -1, 0)
    database.execute(
        "CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'"
    )
    on(
        database,
        "CREATE TRIGGER touch BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION public.touch()",
        -1,
        0,
    )
    on(database, f"ALTER TABLE {{t}} ADD CHECK (at < '{month(1)}-01Z')", -1, 0)
    database.execute("CREATE PUBLICATION theirs")
    on(database, "ALTER PUBLICATION theirs ADD TABLE {t} (id)", -1, 0)
    database.execute("REVOKE EXECUTE ON FUNCTION public.touch() FROM PUBLIC")
    database.give_to(owner_role)
    policy = make_policy(tmp_path, database.url_of(owner_role), TABLE)
    report = pipeline.apply(policy, only=ONLY)
    assert report.ok
    found = drift(report)
    assert found is not None
    assert (found.severity, found.value) == (Severity.WARN, 2)
    assert "GRANT EXECUTE ON FUNCTION public.touch() TO" in found.message
    reasons = found.data["reasons"][partition(1)]
    assert {"trigger_lacking", "publication_lacking"} <= set(reasons)
    assert {"theirs", "postgres"} <= set(re.findall(r"\w+", found.message))
    assert own(database, partition(1)) == set()
    # no CHECK of this year keeps the rows of the next one out
    database.execute(f"INSERT INTO public.log VALUES (1, '{month(1)}-03', 1)")


@pytest.mark.pg("== 15")
def test_rights_are_the_owners_and_those_over_publications_ours(
    database: Database, owner_role: Role, limited_role: Role, tmp_path: Path
) -> None:
    owner, us = owner_role.name, limited_role.name
    make(database, -1, 0, 2)
    database.give_to(owner_role)
    database.execute("CREATE TABLE public.other (id int PRIMARY KEY)")
    database.execute(f"GRANT REFERENCES ON public.other TO {owner}")
    database.execute(f"GRANT {owner} TO {us}; GRANT CREATE ON DATABASE {database.name} TO {us}")
    on(database, "ALTER TABLE {t} ADD FOREIGN KEY (a) REFERENCES public.other", -1, 0)
    for place, columns in enumerate(("", " (id, at)")):
        database.execute(f"CREATE PUBLICATION ours_{place}")
        on(database, f"ALTER PUBLICATION ours_{place} ADD TABLE {{t}}{columns}", -1, 0)
        database.execute(f"ALTER PUBLICATION ours_{place} OWNER TO {us}")
    database.execute(
        "CREATE FUNCTION public.who() RETURNS text LANGUAGE plpgsql IMMUTABLE"
        " AS 'BEGIN RAISE LOG ''who? %'', current_user; RETURN current_user; END'"
    )
    on(database, "ALTER TABLE {t} ADD CHECK (body <> public.who())", -1, 0)
    log = database.server.log
    before = log.stat().st_size
    report = pipeline.apply(make_policy(tmp_path, database.url_of(limited_role), TABLE), only=ONLY)
    assert report.ok, report.results
    assert drift(report) is None
    shared = own(database, partition(0))
    assert {kind for kind, _, _ in shared} == {"check", "foreign key", "publication"}
    assert own(database, partition(1)) == shared == own(database, partition(2))
    said = log.read_bytes()[before:].decode()
    assert f"who? {us}" not in said


@pytest.mark.pg("== 15")
def test_months_are_made_where_their_siblings_live_or_where_the_policy_says(
    database: Database, owner_role: Role, tmp_path: Path
) -> None:
    database.execute('CREATE SCHEMA "The $$ parts"')
    database.execute("CREATE SCHEMA elsewhere")
    make(database, -2, -1, 0, schema='"The $$ parts"')
    make(database, 1)
    policy = make_policy(tmp_path, database.url, TABLE)
    report = pipeline.apply(policy, only=ONLY)
    found = drift(report)
    assert found is not None
    assert f'ALTER TABLE ONLY {partition(1)} SET SCHEMA "The $$ parts"' in found.data["statements"]
    assert database.execute("SELECT to_regclass(%s)", [partition(2, '"The $$ parts"')]) != [(None,)]
    given = make_policy(tmp_path, database.url, {**TABLE, "premake": 3, "schema": "elsewhere"})
    assert pipeline.apply(given, only=ONLY).ok
    assert database.execute("SELECT to_regclass(%s)", [partition(3, "elsewhere")]) != [(None,)]


@pytest.mark.pg("== 15")
def test_schema_of_months_that_we_may_not_use_is_an_error_on_the_table(
    database: Database, owner_role: Role, tmp_path: Path
) -> None:
    database.execute("CREATE SCHEMA parts")
    make(database, 0, schema="parts")
    database.give_to(owner_role)
    database.execute(f"ALTER TABLE {partition(0, 'parts')} OWNER TO {owner_role.name}")
    url = database.url_of(owner_role)
    owner = quote(owner_role.name)
    for section, statement in (
        (TABLE, f"GRANT USAGE, CREATE ON SCHEMA parts TO {owner}, {owner}"),
        ({**TABLE, "schema": "no"}, f"CREATE SCHEMA no AUTHORIZATION {owner}"),
    ):
        report = pipeline.plan(make_policy(tmp_path, url, section), only=ONLY)
        assert report.plan.actions == ()
        finding = next(f for f in report.findings if f.kind is FindingKind.PRIVILEGE_MISSING)
        assert (finding.object, finding.severity) == ("public.log", Severity.ERROR)
        assert finding.data["statements"] == [statement]


@pytest.mark.pg("== 15")
def test_month_elsewhere_that_is_detached_for_a_while_is_dropped_later(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE SCHEMA parts")
    make(database, *range(-3, 3), schema="parts")
    database.execute("INSERT INTO public.log VALUES (1, now())")
    retention = {"keep": "1 month", "action": "drop", "grace": "7 days"}
    policy = make_policy(tmp_path, database.url, {**TABLE, "retention": retention})
    assert pipeline.apply(policy).ok
    old = partition(-3, "parts")
    ((comment,),) = database.execute("SELECT obj_description(%s::regclass)", [old])
    past = comment.replace(comment.split('"at": "')[1].split('"')[0], "2020-01-01T00:00Z")
    database.execute(f"COMMENT ON TABLE {old} IS $c${past}$c$")
    assert pipeline.apply(policy).ok
    assert database.execute("SELECT to_regclass(%s)", [old]) == [(None,)]
