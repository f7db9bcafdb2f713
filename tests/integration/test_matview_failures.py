"""What can go wrong with a view stays with that view: a clear message, nothing half done."""

import threading
from pathlib import Path
from typing import Any

import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind
from maintenance.errors import PolicyError
from maintenance.names import QualifiedName
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from maintenance.policy.view_sql import ViewSqlError, view_query
from tests.builders import Database, Role
from tests.policies import make_policy

pytestmark = [pytest.mark.store, pytest.mark.in_turn]

newest = pytest.mark.pg("== 18")


@pytest.fixture
def t(database: Database) -> Database:
    database.execute("CREATE TABLE public.t (id int, n int)")
    database.execute("INSERT INTO public.t SELECT n, n FROM generate_series(1, 9) n")
    return database


def a_policy(database: Database, folder: Path, role: Role | None = None, **queries: Any) -> Policy:
    """A policy of views by name, each with its query, or with its whole section."""
    views: list[dict[str, Any]] = []
    for name, query in queries.items():
        section: dict[str, Any] = {"sql": query, "unique_index": ["id"]}
        if not isinstance(query, str):
            section = dict(query)
        (folder / f"{name}.sql").write_text(section.pop("sql"))
        views.append({"name": name, "definition": f"{name}.sql", **section})
    url = database.url_of(role) if role else database.url
    return make_policy(folder, url, matviews=views, locks={"give_up_after": "2 seconds"})


def outcomes(report: Report) -> dict[str, Outcome]:
    return {r.action.object.removeprefix("public."): r.outcome for r in report.results}


def error(report: Report) -> str:
    (found,) = [str(r.error) for r in report.results if r.outcome is Outcome.FAILED]
    return found


GOOD = "SELECT id, n FROM public.t"


@pytest.mark.parametrize(
    ("sql", "reason", "named"),
    [
        ("SELECT id\nFROM t a b c", "syntax", "2"),
        ("", "statement_count", "0"),
        ("SELECT 1; SELECT 2", "statement_count", "2"),
        ("DROP TABLE t", "not_a_view", ""),
        ("CREATE MATERIALIZED VIEW other AS SELECT 1", "another_view", "public.other"),
    ],
)
@newest
def test_file_that_is_no_definition_refuses_the_policy(
    t: Database, tmp_path: Path, sql: str, reason: str, named: str
) -> None:
    with pytest.raises(ViewSqlError) as refused:
        view_query(sql, QualifiedName("public", "v"))
    assert refused.value.reason == reason
    assert named in str(refused.value)
    with pytest.raises(PolicyError) as caught:
        a_policy(t, tmp_path, v=sql)
    (problem,) = caught.value.problems
    assert problem.key == "matviews[0].definition"
    assert str(refused.value) in problem.found
    assert caught.value.exit_code == 2


@newest
def test_unknown_column_is_a_finding_and_the_other_views_are_made(
    t: Database, tmp_path: Path
) -> None:
    policy = a_policy(t, tmp_path, bad="SELECT id, engagement_calculation FROM public.t", good=GOOD)
    report = pipeline.apply(policy)
    assert outcomes(report) == {"good": Outcome.DONE}
    (finding,) = report.findings
    assert finding.kind is FindingKind.MATVIEW_MISSING
    assert finding.data["reason"] == "query_refused"
    assert '"engagement_calculation"' in finding.data["error"]
    assert "42703" in finding.data["error"]


@newest
def test_division_by_zero_leaves_the_view_as_it_was_and_stops_only_what_reads_it(
    t: Database, tmp_path: Path
) -> None:
    policy = a_policy(
        t,
        tmp_path,
        bad="SELECT id, 10 / n AS x FROM public.t",
        above="SELECT id, x FROM public.bad",
        good=GOOD,
    )
    assert pipeline.apply(policy).ok
    t.execute("INSERT INTO public.t VALUES (0, 0)")
    report = pipeline.apply(policy)
    assert outcomes(report) == {
        "bad": Outcome.FAILED,
        "above": Outcome.SKIPPED,
        "good": Outcome.DONE,
    }
    assert "22012" in error(report)  # division_by_zero
    assert t.execute("SELECT count(*) FROM public.bad") == [(9,)]
    t.execute("DELETE FROM public.t WHERE n = 0")
    assert pipeline.apply(policy).ok


@newest
def test_duplicate_keys_are_named(t: Database, tmp_path: Path) -> None:
    policy = a_policy(t, tmp_path, v=GOOD)
    t.execute("INSERT INTO public.t VALUES (1, 5)")
    report = pipeline.apply(policy)
    assert "23505" in error(report)  # unique_violation
    assert t.execute("SELECT to_regclass('public.v')") == [(None,)]
    t.execute("DELETE FROM public.t WHERE n = 5 AND id = 1")
    assert pipeline.apply(policy).ok
    t.execute("INSERT INTO public.t VALUES (2, 7)")
    assert "23505" in error(pipeline.apply(policy))
    assert t.execute("SELECT count(*) FROM public.v") == [(9,)]


@newest
def test_lost_unique_index_is_made_again_though_nothing_changed(
    t: Database, tmp_path: Path
) -> None:
    policy = a_policy(t, tmp_path, v=GOOD)
    pipeline.apply(policy)
    t.execute("DROP INDEX public.v_id_key")
    (finding,) = pipeline.plan(policy).findings
    assert finding.kind is FindingKind.MATVIEW_NO_UNIQUE_INDEX
    report = pipeline.apply(policy)
    assert [r.action.kind for r in report.results] == [ActionKind.INDEX_MATVIEW]
    assert report.ok
    assert report.findings == ()


@newest
def test_lost_unique_index_is_made_before_the_refresh_that_needs_it(
    t: Database, tmp_path: Path
) -> None:
    policy = a_policy(t, tmp_path, v=GOOD)
    pipeline.apply(policy)
    t.execute("DROP INDEX public.v_id_key")
    t.execute("INSERT INTO public.t VALUES (10, 10)")
    report = pipeline.apply(policy)
    assert report.ok
    assert report.results[0].detail["mode"] == "concurrently"


@pytest.mark.parametrize("key", ["(id) WHERE id > 0", "((id + 0))"])
@newest
def test_partial_and_expression_indexes_do_not_count(t: Database, tmp_path: Path, key: str) -> None:
    policy = a_policy(t, tmp_path, v={"sql": GOOD})
    pipeline.apply(policy)
    t.execute(f"CREATE UNIQUE INDEX ON public.v {key}")
    t.execute("DELETE FROM public.t WHERE id = 9")
    report = pipeline.apply(policy)
    assert report.results[0].detail["mode"] == "plain"
    assert [f.kind for f in report.findings] == [FindingKind.MATVIEW_NO_UNIQUE_INDEX]


@newest
def test_unpopulated_view_is_filled_plainly(t: Database, tmp_path: Path) -> None:
    t.execute("CREATE MATERIALIZED VIEW public.v AS SELECT id, n FROM public.t WITH NO DATA")
    policy = a_policy(t, tmp_path, v=GOOD)
    kinds = {f.kind for f in pipeline.plan(policy).findings}
    assert FindingKind.MATVIEW_UNPOPULATED in kinds
    report = pipeline.apply(policy)
    assert report.ok
    assert report.findings == ()
    assert report.results[0].detail["mode"] == "populate"
    assert pipeline.plan(policy).plan.actions == ()


@newest
def test_null_in_the_key_is_found(t: Database, tmp_path: Path) -> None:
    policy = a_policy(t, tmp_path, v=GOOD)
    pipeline.apply(policy)
    t.execute("INSERT INTO public.t VALUES (NULL, 1)")
    pipeline.apply(policy)
    t.execute("UPDATE public.t SET n = n + 1 WHERE id = 1")
    (finding,) = pipeline.apply(policy).findings
    assert finding.kind is FindingKind.MATVIEW_NULL_KEY_CHURN
    assert finding.value == 1


@newest
def test_refresh_by_somebody_else_is_waited_for(t: Database, tmp_path: Path) -> None:
    policy = a_policy(t, tmp_path, v=GOOD)
    pipeline.apply(policy)
    t.execute("INSERT INTO public.t VALUES (10, 10)")
    other = t.connect(autocommit=False)
    other.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY public.v")
    letting_go = threading.Timer(1.0, other.commit)
    letting_go.start()
    report = pipeline.apply(policy)
    letting_go.join()
    assert report.ok
    assert report.results[0].detail["changed"] is False


@newest
def test_lock_that_is_never_free_is_a_failure_that_names_its_holder(
    t: Database, tmp_path: Path
) -> None:
    policy = a_policy(t, tmp_path, v=GOOD)
    pipeline.apply(policy)
    t.execute("INSERT INTO public.t VALUES (10, 10)")
    holder = t.connect(autocommit=False, application_name="nightly batch")
    holder.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY public.v")
    report = pipeline.apply(policy)
    assert "nightly batch" in error(report)
    assert FindingKind.LOCK_NOT_ACQUIRED in {f.kind for f in report.findings}


@newest
def test_views_in_a_circle_are_left_out_and_the_others_made(t: Database, tmp_path: Path) -> None:
    policy = a_policy(
        t,
        tmp_path,
        a={"sql": GOOD, "depends_on": ["b"]},
        b={"sql": GOOD, "depends_on": ["a"]},
        good=GOOD,
    )
    report = pipeline.apply(policy)
    assert outcomes(report) == {"good": Outcome.DONE}
    circles = [f.object for f in report.findings if f.kind is FindingKind.MATVIEW_CYCLE]
    assert circles == ["public.a", "public.b"]


@newest
def test_full_disk_fails_one_view_and_leaves_it_as_it_was(
    t: Database, tmp_path: Path, owner_role: Role
) -> None:
    t.execute("INSERT INTO public.t SELECT n, n FROM generate_series(10, 60000) n")
    t.give_to(owner_role)
    t.execute(f"GRANT CREATE ON SCHEMA public TO {owner_role.name}")
    policy = a_policy(
        t, tmp_path, owner_role, big=GOOD, small="SELECT 1 AS id, count(*) FROM public.t"
    )
    assert pipeline.apply(policy).ok
    t.execute(f"ALTER ROLE {owner_role.name} SET temp_file_limit = '100kB'")
    t.execute(f"ALTER ROLE {owner_role.name} SET work_mem = '64kB'")
    t.execute("UPDATE public.t SET n = n + 1")
    report = pipeline.apply(policy)
    assert outcomes(report) == {"big": Outcome.FAILED, "small": Outcome.DONE}
    assert "temp_file_limit" in error(report)
    assert t.execute("SELECT n FROM public.big WHERE id = 1") == [(1,)]


def test_view_of_another_role_needs_ownership_or_maintain(
    server: PostgresServer, t: Database, tmp_path: Path, owner_role: Role
) -> None:
    t.execute("CREATE MATERIALIZED VIEW public.v AS SELECT id, n FROM public.t")
    t.execute("CREATE UNIQUE INDEX ON public.v (id)")
    t.execute(f"GRANT CREATE ON DATABASE {t.name} TO {owner_role.name}")
    t.execute(f"GRANT SELECT ON public.t TO {owner_role.name}")
    policy = a_policy(t, tmp_path, owner_role, v=GOOD)
    report = pipeline.apply(policy)
    assert report.results == ()
    missing = {f.kind: f for f in report.findings}[FindingKind.PRIVILEGE_MISSING]
    grant = f"GRANT MAINTAIN ON public.v TO {owner_role.name}"
    assert missing.data["suffices_from_17"] == grant
    assert grant in missing.message
    if server.major >= 17:
        t.execute(grant)
        assert outcomes(pipeline.apply(policy)) == {"v": Outcome.DONE}


@newest
def test_hostile_names_are_only_names(t: Database, tmp_path: Path) -> None:
    name = 'public."V ""; DROP TABLE t; -- ü\n."'
    (tmp_path / "v.sql").write_text('SELECT id AS "k\'"")" FROM public.t')
    view = {"name": name, "definition": "v.sql", "unique_index": ["k'\")"]}
    policy = make_policy(tmp_path, t.url, matviews=[view])
    assert pipeline.apply(policy).ok
    t.execute("INSERT INTO public.t VALUES (10, 10)")
    report = pipeline.apply(policy)
    assert report.ok
    assert report.results[0].detail["rows_inserted"] == 1


UNQUALIFIED = """
CREATE TABLE public.rate (code int PRIMARY KEY, v int); INSERT INTO public.rate VALUES (1, 2);
CREATE FUNCTION public.rate_of(int) RETURNS int LANGUAGE plpgsql STABLE AS
  'BEGIN RETURN (SELECT v FROM rate WHERE code = $1); END';
CREATE MATERIALIZED VIEW public.cost AS SELECT code, public.rate_of(code) AS v FROM public.rate
  WITH NO DATA;
"""


@pytest.mark.pg("< 17")
def test_function_that_names_no_schema_finds_the_policys(
    database: Database, tmp_path: Path
) -> None:
    database.execute(UNQUALIFIED)
    policy = make_policy(tmp_path, database.url, matviews=[{"name": "public.cost"}])
    assert pipeline.apply(policy).ok
    assert database.execute("SELECT v FROM public.cost") == [(2,)]


@newest
def test_function_that_names_no_schema_is_named_with_what_mends_it(
    database: Database, tmp_path: Path
) -> None:
    database.execute(UNQUALIFIED)
    policy = make_policy(tmp_path, database.url, matviews=[{"name": "public.cost"}])
    remedy = "ALTER FUNCTION public.rate_of(integer) SET search_path = public"
    for _ in range(2):
        assert remedy in error(pipeline.apply(policy))
    (empty,) = [
        each
        for each in pipeline.plan(policy).findings
        if each.kind is FindingKind.MATVIEW_UNPOPULATED
    ]
    assert remedy in empty.data["last_error"]
    database.execute(remedy)
    assert pipeline.apply(policy).ok
    assert database.execute("SELECT v FROM public.cost") == [(2,)]
