"""Statistics on real servers: what is analyzed, what is left alone, what is said about it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind
from maintenance.errors import EffectError
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from tests.builders import Database, Role
from tests.policies import make_policy

pytestmark = pytest.mark.store

ANALYZED = """
SELECT relname FROM pg_catalog.pg_stat_user_tables
WHERE last_analyze IS NOT NULL AND schemaname <> 'maintenance' ORDER BY 1
"""
PARTED = """
CREATE TABLE public.parted (id int, at int) PARTITION BY RANGE (at);
CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES FROM (0) TO (10)
  WITH (autovacuum_enabled = false);
CREATE TABLE public.parted_2 PARTITION OF public.parted FOR VALUES FROM (10) TO (20)
  WITH (autovacuum_enabled = false);
INSERT INTO public.parted SELECT i, i % 20 FROM generate_series(1, 1000) i;
"""


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    return make_policy(tmp_path, database.url, statistics={})


def fill(database: Database, table: str, n: int = 1000) -> None:
    database.execute(f"CREATE TABLE {table} (id int, note text) WITH (autovacuum_enabled = false)")
    add(database, table, n)


def add(database: Database, table: str, n: int) -> None:
    """Insert rows in a session that ends, which flushes its counters."""
    database.execute(f"INSERT INTO {table} SELECT i, 'n' FROM generate_series(1, {n}) i")


def apply(policy: Policy) -> Report:
    return pipeline.apply(policy, only=["statistics"])


def done(report: Report) -> list[tuple[str, str]]:
    return [(r.action.kind.value, r.action.object) for r in report.results]


def kinds(report: Report) -> set[tuple[str, str]]:
    return {(f.kind.value, f.object) for f in report.findings}


def test_table_without_statistics_is_analyzed_and_a_second_run_plans_nothing(
    database: Database, policy: Policy
) -> None:
    fill(database, "public.never")
    database.execute("CREATE TABLE public.empty (id int)")
    planned = pipeline.plan(policy)
    assert kinds(planned) == {("statistics_missing", "public.never")}
    report = apply(policy)
    assert done(report) == [("analyze_table", "public.never")]
    assert report.ok
    assert report.findings == ()
    detail = report.results[0].detail
    assert detail["after"]["rows"] == 1000
    assert detail["analyzed_at"]
    assert apply(policy).plan.actions == ()


@pytest.mark.in_turn
def test_changes_beyond_the_policy_are_analyzed_and_fewer_are_left(
    database: Database, policy: Policy
) -> None:
    for table in ("public.quiet", "public.busy"):
        fill(database, table)
    apply(policy)
    add(database, "public.quiet", 40)
    add(database, "public.busy", 500)
    planned = pipeline.plan(policy)
    (finding,) = planned.findings
    assert (finding.kind, finding.object) == (FindingKind.STATISTICS_STALE, "public.busy")
    assert (finding.value, finding.threshold) == (500, 150)
    assert done(apply(policy)) == [("analyze_table", "public.busy")]


@pytest.mark.in_turn
def test_worst_comes_first(database: Database, policy: Policy) -> None:
    for table in ("public.a", "public.b", "public.c"):
        fill(database, table)
    apply(policy)
    for table, n in (("public.a", 200), ("public.b", 900), ("public.c", 400)):
        add(database, table, n)
    fill(database, "public.new")
    ordered = [action.object for action in pipeline.plan(policy).plan.actions]
    assert ordered == ["public.new", "public.b", "public.c", "public.a"]


def test_parents_debt_survives_an_analyze_of_its_leaves(database: Database, policy: Policy) -> None:
    database.execute(PARTED)
    assert ("analyze_table", "public.parted") in done(apply(policy))
    assert apply(policy).plan.actions == ()
    add_parted(database, 90)
    for leaf in ("parted_1", "parted_2"):
        database.execute(f"ANALYZE public.{leaf}")
    assert apply(policy).plan.actions == (), "90 of 1000 are within the policy"
    add_parted(database, 90)
    for leaf in ("parted_1", "parted_2"):
        database.execute(f"ANALYZE public.{leaf}")
    report = apply(policy)
    assert done(report) == [("analyze_table", "public.parted")]
    assert report.findings == ()
    assert apply(policy).plan.actions == ()


def add_parted(database: Database, n: int) -> None:
    database.execute(f"INSERT INTO public.parted SELECT i, i % 20 FROM generate_series(1, {n}) i")


def test_parents_debt_survives_a_reset_of_the_counters(database: Database, policy: Policy) -> None:
    database.execute(PARTED)
    apply(policy)
    add_parted(database, 90)
    apply(policy)
    database.execute("SELECT pg_stat_reset()")
    add_parted(database, 90)
    planned = pipeline.plan(policy).plan.actions
    assert "public.parted" in [action.object for action in planned]


def test_attached_partition_with_rows_is_a_debt_of_its_parent(
    database: Database, policy: Policy
) -> None:
    database.execute(PARTED)
    apply(policy)
    fill(database, "public.other", 0)
    database.execute("DROP TABLE public.other")
    database.execute("CREATE TABLE public.other (id int, at int) WITH (autovacuum_enabled = false)")
    with database.connect() as connection:
        connection.execute("INSERT INTO public.other SELECT i, 25 FROM generate_series(1, 500) i")
        # Counters that arrive after the ANALYZE would count as changes since then.
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("ANALYZE public.other")
    database.execute(
        "ALTER TABLE public.parted ATTACH PARTITION public.other FOR VALUES FROM (20) TO (30)"
    )
    assert done(apply(policy)) == [("analyze_table", "public.parted")]


def test_parents_own_analyze_settles_its_debt(database: Database, policy: Policy) -> None:
    database.execute(PARTED)
    database.execute("ANALYZE public.parted")
    assert pipeline.plan(policy).plan.actions == ()
    apply(policy)
    add_parted(database, 500)
    database.execute("ANALYZE public.parted")
    assert pipeline.plan(policy).plan.actions == ()


@pytest.mark.pg(">= 18")
def test_parent_is_analyzed_alone_where_the_server_can(database: Database, policy: Policy) -> None:
    database.execute(PARTED)
    sql = [a.sql[0] for a in pipeline.plan(policy).plan.actions]
    assert "ANALYZE ONLY public.parted" in sql
    assert "ANALYZE public.parted_1" in sql


@pytest.mark.pg("< 18")
def test_leaves_go_along_with_their_parent_where_the_server_takes_them(
    database: Database, policy: Policy
) -> None:
    database.execute(PARTED)
    assert [a.sql[0] for a in pipeline.plan(policy).plan.actions] == ["ANALYZE public.parted"]


def test_dead_rows_are_vacuumed_without_truncation(database: Database, policy: Policy) -> None:
    fill(database, "public.dying", 5000)
    apply(policy)
    database.execute("DELETE FROM public.dying WHERE id > 2000")
    report = apply(policy)
    assert done(report) == [("vacuum_table", "public.dying")]
    assert report.results[0].action.sql == ("VACUUM (ANALYZE, TRUNCATE false) public.dying",)
    assert report.results[0].detail["before"]["dead"] == 3000
    assert report.results[0].detail["after"]["dead"] == 0
    assert apply(policy).plan.actions == ()


def test_old_rows_are_frozen_before_autovacuum_has_to(database: Database, tmp_path: Path) -> None:
    fill(database, "public.old")
    database.execute("VACUUM ANALYZE public.old")
    policy = make_policy(tmp_path, database.url, statistics={"freeze_fraction": 0.0000001})
    for _ in range(30):
        database.execute("SELECT pg_current_xact_id()")
    (action,) = pipeline.plan(policy).plan.actions
    assert action.sql == ("VACUUM (FREEZE, ANALYZE, TRUNCATE false) public.old",)
    report = apply(policy)
    assert report.ok
    detail = report.results[0].detail
    assert detail["after"]["frozen_age"] < detail["before"]["frozen_age"]


@pytest.mark.in_turn
def test_hostile_names_are_analyzed(database: Database, policy: Policy) -> None:
    database.execute('CREATE SCHEMA "a.b"')
    hostile = [
        '"a.b"."c""d"',
        "public.\"new\nline 'x' %\"",
        f'public."{"é" * 31}"',
        '"a.b"."select"',
    ]
    for name in hostile:
        database.execute(f"CREATE TABLE {name} (id int) WITH (autovacuum_enabled = false)")
        database.execute(f"INSERT INTO {name} SELECT generate_series(1, 100)")
    report = apply(policy)
    assert report.ok
    assert {r.action.object: r.outcome for r in report.results} == dict.fromkeys(
        hostile, Outcome.DONE
    )


@pytest.mark.in_turn
def test_our_own_store_temporary_and_empty_tables_are_left_alone(
    database: Database, policy: Policy
) -> None:
    temporary = database.connect()
    temporary.execute("CREATE TEMP TABLE t AS SELECT generate_series(1, 1000) i")
    temporary.execute("CREATE TABLE public.empty (id int)")
    apply(policy)
    assert apply(policy).plan.actions == ()


@pytest.mark.in_turn
def test_no_section_means_nothing_is_done(database: Database, tmp_path: Path) -> None:
    fill(database, "public.never")
    policy = make_policy(tmp_path, database.url)
    assert apply(policy).plan.actions == ()


# In the way


@pytest.mark.in_turn
def test_table_dropped_meanwhile_is_a_skip(
    database: Database, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, "public.gone")
    fill(database, "public.stays", 500)
    policy = narrow(policy)

    def drop(line: str) -> None:
        if "public.gone" in line or "public.stays" in line:
            database.execute("DROP TABLE IF EXISTS public.stays")

    report = pipeline.apply(policy, only=["statistics"], progress=drop)
    outcomes = {r.action.object: r.outcome for r in report.results}
    assert outcomes == {"public.gone": Outcome.DONE, "public.stays": Outcome.SKIPPED}
    assert report.ok


def narrow(policy: Policy, **changes: Any) -> Policy:
    """One table at a time."""
    parallel = policy.parallel.model_copy(update={"statistics": 1})
    return policy.model_copy(update={"parallel": parallel, **changes})


@pytest.mark.in_turn
def test_busy_table_fails_by_name_and_the_others_are_done(
    database: Database, policy: Policy
) -> None:
    fill(database, "public.held")
    fill(database, "public.free")
    locks = policy.locks.model_copy(
        update={
            "patient_lock_timeout": timedelta(milliseconds=100),
            "give_up_after": timedelta(seconds=1),
        }
    )
    holder = database.connect(autocommit=False, application_name="a slow migration")
    holder.execute("LOCK TABLE public.held IN SHARE UPDATE EXCLUSIVE MODE")
    report = apply(policy.model_copy(update={"locks": locks}))
    outcomes = {r.action.object: r.outcome for r in report.results}
    assert outcomes == {"public.held": Outcome.FAILED, "public.free": Outcome.DONE}
    assert ("lock_not_acquired", "public.held") in kinds(report)
    (busy,) = [f for f in report.findings if f.kind is FindingKind.LOCK_NOT_ACQUIRED]
    assert "a slow migration" in busy.message


@pytest.mark.in_turn
def test_waiting_for_a_table_stops_no_writer(database: Database, policy: Policy) -> None:
    fill(database, "public.held")
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE public.held IN SHARE UPDATE EXCLUSIVE MODE")
    written: list[int] = []

    def write(line: str) -> None:
        if line.startswith("waiting for a lock"):
            add(database, "public.held", 1)
            written.append(1)
            holder.rollback()

    locks = policy.locks.model_copy(update={"patient_lock_timeout": timedelta(milliseconds=100)})
    narrowed = narrow(policy, locks=locks)
    report = pipeline.apply(narrowed, only=["statistics"], progress=write)
    assert report.ok
    assert written


@pytest.mark.in_turn
def test_what_did_not_fit_into_the_budget_is_one_finding(
    database: Database, tmp_path: Path
) -> None:
    for name in "abc":
        fill(database, f"public.{name}")
    policy = make_policy(
        tmp_path, database.url, statistics={"time_budget": "0 ms"}, parallel={"statistics": 1}
    )
    report = apply(policy)
    assert [r.outcome for r in report.results] == [Outcome.SKIPPED] * 3
    (finding,) = [f for f in report.findings if f.kind is FindingKind.BUDGET_EXHAUSTED]
    assert (finding.object, finding.value) == ("app/statistics", 3)


# What can't be seen or done


@pytest.mark.in_turn
@pytest.mark.pg("== 18")
def test_counting_switched_off_is_said_and_missing_statistics_are_made_all_the_same(
    database: Database, policy: Policy
) -> None:
    database.execute(f"ALTER DATABASE {database.name} SET track_counts = off")
    fill(database, "public.never")
    report = apply(policy)
    assert [r.outcome for r in report.results] == [Outcome.DONE]
    assert ("monitor_blind", "app/statistics") in kinds(report)
    assert apply(policy).plan.actions == ()


@pytest.fixture
def stranger(database: Database, limited_role: Role) -> Role:
    """A role that may create the store, and nothing else."""
    database.execute(f"GRANT CREATE ON DATABASE {database.name} TO {limited_role.name}")
    return limited_role


def test_missing_right_is_said_once_with_its_grant_and_the_rest_goes_on(
    database: Database, stranger: Role, tmp_path: Path
) -> None:
    fill(database, "public.theirs")
    fill(database, "public.ours")
    database.execute(f"ALTER TABLE public.ours OWNER TO {stranger.name}")
    policy = make_policy(tmp_path, database.url_of(stranger), statistics={})
    database.execute(f"GRANT SELECT ON public.theirs TO {stranger.name}")
    report = apply(policy)
    assert done(report) == [("analyze_table", "public.ours")]
    assert not [f for f in report.findings if f.object == "public.theirs"], "told once"
    missing = [f for f in report.findings if f.kind is FindingKind.PRIVILEGE_MISSING]
    assert [finding.data.get("tables") for finding in missing].count(["public.theirs"]) == 1
    for grant in (grant for finding in missing for grant in finding.data["grants"]):
        database.execute(grant)
    report = apply(policy)
    assert done(report) == [("analyze_table", "public.theirs")]
    assert report.findings == ()


def test_server_that_only_warns_is_a_failure(
    database: Database, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, "public.never")
    real = psycopg.Connection.execute

    def deny(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(query, bytes) and b"ANALYZE public.never" in query:
            return real(self, "DO $$ BEGIN RAISE WARNING 'denied'; END $$")
        return real(self, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "execute", deny)
    report = apply(policy)
    assert [r.outcome for r in report.results] == [Outcome.FAILED]
    assert isinstance(report.results[0].cause, EffectError)
