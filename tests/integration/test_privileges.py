"""The documented role is enough for everything, and less is said precisely."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maintenance.engine.findings import Finding, FindingKind
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.registry import SUBJECTS
from tests.builders import ROOT, Database, Role
from tests.caches import cache_server, program_of
from tests.documents import blocks
from tests.policies import CREATE_EVENTS, EVENTS, make_policy

VIEW = "SELECT count(*) AS n, 1 AS id FROM public.users"
SINCE_17 = 170000
EXTENDED = 15
"""The server with contrib modules."""


def documented(database: Database, role: Role, owner: Role) -> list[str]:
    """The statements of the page, with this test's names; the role is made already."""
    page = (ROOT / "docs/privileges.md").read_text()
    first, second = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    wanted = first + (second if database.server.major >= SINCE_17 // 10000 else "")
    names = {"app": database.name, "app_owner": owner.name, "maintenance": role.name}
    text = re.sub(r"\b(app_owner|app|maintenance)\b", lambda m: names[m[1]], wanted)
    return [line for line in text.splitlines() if line.startswith("GRANT")]


@pytest.fixture
def owned(database: Database, owner_role: Role) -> Database:
    """An application's database: partitioned table, plain table, view, all of its owner's."""
    database.execute(CREATE_EVENTS)
    database.execute("CREATE TABLE public.users (id int PRIMARY KEY, note text)")
    database.execute("INSERT INTO public.users SELECT i, 'n' FROM generate_series(1, 500) i")
    database.give_to(owner_role)
    return database


def test_documented_role_carries_out_every_subject(
    owned: Database, owner_role: Role, limited_role: Role, tmp_path: Path
) -> None:
    owned.execute(OF_EVERY_SUBJECT)
    owned.give_to(owner_role)
    for grant in documented(owned, limited_role, owner_role):
        owned.execute(grant)
    (tmp_path / "view.sql").write_text(VIEW)
    (tmp_path / "recalculate.sql").write_text(RECALCULATE)
    (tmp_path / "indexes.sql").write_text("CREATE INDEX declared ON public.notes (log_id)")
    with cache_server(program_of("embedded"), tmp_path / "redis") as cache:
        policy = make_policy(
            tmp_path,
            owned.url_of(limited_role),
            {**EVENTS, "start": f"{datetime.now(UTC).year - 1}-01", "retention": ARCHIVED},
            {"table": "log", "column": "at", "convert": "online", "convert_when": SMALL},
            matviews=[{"name": "public.mv", "definition": "view.sql", "unique_index": ["id"]}],
            stale_analytics=[STALE],
            statistics={},
            indexes={"declared": "indexes.sql"},
            redis={"url": cache.url},
            bloat={},
            workload={},
        )
        reports = [pipeline.apply(policy) for _ in range(3)]
    done = {r.action.kind.value for report in reports for r in report.results}
    found = [f for report in reports for f in report.findings]
    assert reports[0].subjects == {subject.name for subject in SUBJECTS}
    assert done >= DONE, done
    assert [f for f in found if f.kind in UNSERVED] == []
    assert all(report.ok for report in reports), found


OF_EVERY_SUBJECT = """
CREATE TABLE public.rows (id int PRIMARY KEY, calculated_at timestamptz);
INSERT INTO public.rows SELECT g FROM generate_series(1, 500) g;
CREATE TABLE public.log (id bigint PRIMARY KEY, at timestamptz NOT NULL);
INSERT INTO public.log SELECT g, now() FROM generate_series(1, 500) g;
CREATE TABLE public.notes (id int PRIMARY KEY, log_id bigint);
CREATE TABLE public.events_2021_01 PARTITION OF public.events
  FOR VALUES FROM ('2021-01-01 00:00:00+00') TO ('2021-02-01 00:00:00+00');
INSERT INTO public.events VALUES (1, '2021-01-02');
"""
RECALCULATE = "UPDATE public.rows SET calculated_at = now() WHERE id = ANY (%(keys)s)"
STALE = {
    "table": "rows",
    "calculated_at": "calculated_at",
    "key": ["id"],
    "recalculate": "recalculate.sql",
}
SMALL = {"larger_than": "1 kB"}
DONE = {
    *("create_partition", "archive_partition", "analyze_table", "convert_table"),
    *("create_matview", "recalculate_rows", "create_index"),
}
UNSERVED = (FindingKind.PRIVILEGE_MISSING, FindingKind.MONITOR_BLIND)

ARCHIVED = {
    "keep": "24 months",
    "action": "archive_then_drop",
    "archive": {"url": "./archive"},
}


def test_missing_rights_are_said_once_each_with_a_grant_that_mends_them(
    owned: Database, limited_role: Role, tmp_path: Path
) -> None:
    owned.execute(f"GRANT CREATE ON DATABASE {owned.name} TO {limited_role.name}")
    policy = make_policy(tmp_path, owned.url_of(limited_role), statistics={})
    missing = pipeline.check(policy).findings
    assert {f.kind for f in missing} == {FindingKind.PRIVILEGE_MISSING}
    assert {f.object for f in missing} == {"app", "app/statistics"}
    for finding in missing:
        for grant in finding.data["grants"]:
            assert grant in finding.message
            owned.execute(grant)
    assert pipeline.check(policy).findings == ()
    assert pipeline.apply(policy).ok


ADMINISTRATORS = {
    "superuser": "",
    "creates roles": "CREATE ROLE {name} CREATEROLE",
    "member of a superuser": "CREATE ROLE {name} IN ROLE postgres",
    "grants predefined roles": "CREATE ROLE {name}; GRANT pg_monitor TO {name} WITH ADMIN OPTION",
}
"""Roles in which membership is never to be granted, and how each is made."""

OF_ALL_KINDS = """
CREATE TABLE public.events (id bigint NOT NULL, at timestamptz NOT NULL, note text DEFAULT 'n',
  PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE MATERIALIZED VIEW public.mv AS SELECT 1 AS id;
CREATE TABLE public.rows (id int PRIMARY KEY, calculated_at timestamptz);
INSERT INTO public.rows SELECT g FROM generate_series(1, 500) g;
CREATE TABLE public.log (id bigint PRIMARY KEY, at timestamptz NOT NULL);
INSERT INTO public.log VALUES (1, now());
CREATE TABLE public.notes (id int PRIMARY KEY, log_id bigint REFERENCES public.log (id));
"""
"""An object for each subject that needs the rights of owners."""


@pytest.mark.in_turn
@pytest.mark.parametrize("kind", ADMINISTRATORS)
def test_membership_in_an_administrator_is_never_asked_for(
    database: Database, limited_role: Role, tmp_path: Path, kind: str
) -> None:
    """It would make our role one too; who owns the tables is what has to change."""
    owner = f"{database.name}_admin" if ADMINISTRATORS[kind] else "postgres"
    if ADMINISTRATORS[kind]:
        database.execute(ADMINISTRATORS[kind].format(name=owner))
        database.execute(f"GRANT CREATE ON SCHEMA public TO {owner}")
    database.execute(f"SET ROLE {owner}; {OF_ALL_KINDS}")
    database.execute(f"GRANT pg_read_all_data, pg_monitor TO {limited_role.name}")
    (tmp_path / "recalculate.sql").write_text(
        "UPDATE public.rows SET calculated_at = now() WHERE id = ANY (%(keys)s)"
    )
    (tmp_path / "view.sql").write_text("SELECT 1 AS id")
    (tmp_path / "indexes.sql").write_text("CREATE INDEX declared ON public.notes (log_id)")
    stale = {"table": "rows", "calculated_at": "calculated_at", "key": ["id"]}
    policy = make_policy(
        tmp_path,
        database.url_of(limited_role),
        EVENTS,
        {
            "table": "log",
            "column": "at",
            "convert": "online",
            "convert_when": {"larger_than": "1 kB"},
        },
        matviews=[{"name": "mv"}, {"name": "new", "definition": "view.sql", "owner": owner}],
        stale_analytics=[{**stale, "recalculate": "recalculate.sql"}],
        statistics={},
        indexes={"declared": "indexes.sql"},
    )
    found = pipeline.plan(policy).findings
    lacking = {f.object for f in found if f.kind is FindingKind.PRIVILEGE_MISSING}
    assert {"public.events", "public.mv", "public.rows", "public.declared"} <= lacking
    (held,) = (f for f in found if f.kind is FindingKind.NOT_PARTITIONED)
    assert {"not_owner", "reference_owner"} <= set(held.data["reasons"])
    asked = re.compile(rf"GRANT \W?{owner}\b")
    assert [f for f in found if asked.search(f"{f.message} {f.data}")] == []
    done: set[str] = set()
    while advised := set(grants_of(pipeline.plan(policy).findings)) - done:
        for grant in sorted(advised, key=order):
            database.execute(grant)
        done |= advised
    left = [f for f in pipeline.plan(policy).findings if f.kind is FindingKind.PRIVILEGE_MISSING]
    assert [(f.object, f.data) for f in left] == []
    member = "SELECT pg_has_role(%s, %s, 'MEMBER')"
    assert database.execute(member, (limited_role.name, owner)) == [(False,)]


def grants_of(findings: Iterable[Finding]) -> list[str]:
    """The single statements that findings advise, each once."""
    texts = (
        t
        for f in findings
        if f.kind is FindingKind.PRIVILEGE_MISSING
        for t in f.data.get("grants", ())
    )
    return list(dict.fromkeys(one for text in texts for one in text.split("; ")))


def order(statement: str) -> int:
    """A role is made before it is used."""
    return ("CREATE", "GRANT", "ALTER").index(statement.split(maxsplit=1)[0])


def test_own_cost_is_counted_by_purpose_and_kept(owned: Database, tmp_path: Path) -> None:
    policy = make_policy(tmp_path, owned.url, EVENTS, statistics={})
    report = pipeline.apply(policy)
    assert {"catalog", "statistics", "actions", "store"} <= report.costs.keys()
    assert all(cost.n_statements > 0 for cost in report.costs.values())
    kept = dict(owned.execute("SELECT purpose, n_statements FROM maintenance.cost"))
    assert kept.keys() == report.costs.keys()
    assert kept["statistics"] == report.costs["statistics"].n_statements
    (run,) = pipeline.status(policy).runs
    assert run.own_rows
    assert run.own_seconds


def test_documented_role_has_what_others_know_by_other_names(
    owned: Database, owner_role: Role, limited_role: Role, tmp_path: Path
) -> None:
    for grant in documented(owned, limited_role, owner_role):
        owned.execute(grant)
    if owned.server.major == EXTENDED:
        owned.execute("CREATE EXTENSION pg_stat_statements")
    owned.execute("CREATE TABLE public.large AS SELECT generate_series(1, 50000) AS n")
    owned.execute("CREATE INDEX large_n ON public.large (n)")
    owned.execute("VACUUM ANALYZE public.large")
    (tmp_path / "view.sql").write_text(VIEW)
    policy = make_policy(
        tmp_path,
        owned.url_of(limited_role),
        EVENTS,
        matviews=[{"name": "public.mv", "definition": "view.sql", "unique_index": ["id"]}],
        workload={},
    )

    def look() -> list[tuple[object, ...]]:
        examples = blocks(ROOT / "docs/store-views.md")
        found = [owned.execute(each.text, role=limited_role) for each in examples]
        assert len(found) == 4
        return [tuple(rows[0]) if rows else () for rows in found]

    monthly = pipeline.apply(policy, only=["partitions", "retention"])
    assert {result.action.kind.value for result in monthly.results} == {"create_partition"}
    refresh_all = pipeline.apply(policy, only=["matviews"])
    assert refresh_all.ok
    assert "public.mv" in {result.action.object for result in refresh_all.results}
    for _ in range(2):
        owned.execute("SELECT count(*) FROM public.large")
        pipeline.apply(policy, only=["workload"])
    queries, indexes, sizes, views = look()
    assert bool(queries) is (owned.server.major == EXTENDED)
    assert indexes
    assert sizes[0] == "public.large"
    assert views[:2] == ("public.mv", "leave")
    recommended = pipeline.plan(policy, only=["matviews"])
    assert recommended.plan.actions or recommended.plan.skipped


def test_owner_of_a_view_that_may_make_no_temporary_table_is_told(
    owned: Database, owner_role: Role, limited_role: Role, tmp_path: Path
) -> None:
    for grant in documented(owned, limited_role, owner_role):
        owned.execute(grant)
    owned.execute("CREATE MATERIALIZED VIEW public.mv AS SELECT id FROM public.users")
    owned.execute("CREATE UNIQUE INDEX ON public.mv (id)")
    owned.execute(f"ALTER MATERIALIZED VIEW public.mv OWNER TO {owner_role.name}")
    owned.execute(f"ALTER DATABASE {owned.name} OWNER TO postgres")
    owned.execute(f"REVOKE ALL ON DATABASE {owned.name} FROM PUBLIC, {owner_role.name}")
    policy = make_policy(tmp_path, owned.url_of(limited_role), matviews=[{"name": "mv"}])
    found = pipeline.plan(policy).findings
    (finding,) = (f for f in found if f.kind is FindingKind.PRIVILEGE_MISSING)
    assert finding.object == "public.mv"
    (grant,) = finding.data["grants"]
    assert grant.startswith("GRANT TEMPORARY ON DATABASE ")
    assert grant in finding.message
    owned.execute(grant)
    assert pipeline.apply(policy).ok
