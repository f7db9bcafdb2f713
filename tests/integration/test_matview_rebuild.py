"""Replacing a view by its definition: never absent, with all it had, or not at all."""

import threading
from pathlib import Path

import psycopg
import pytest

from maintenance.cli.commands import cli
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind
from maintenance.engine.scope import Request
from maintenance.names import parse_name
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from tests.builders import Database, Role
from tests.policies import make_policy

pytestmark = [pytest.mark.pg(">= 15"), pytest.mark.store]
OLD = "SELECT id, note FROM public.t"
NEW = "SELECT id, upper(note) AS note, id * 2 AS twice FROM public.t"
VIEW = 'public."Mv ""x"""'
UNDEFINED_COLUMN = "42703"


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute("CREATE TABLE public.t (id int PRIMARY KEY, note text)")
    database.execute("INSERT INTO public.t SELECT n, 'n' || n FROM generate_series(1, 9) n")
    (tmp_path / "v.sql").write_text(OLD)
    view = {"name": VIEW, "definition": "v.sql", "unique_index": ["id"]}
    policy = make_policy(tmp_path, database.url, matviews=[view])
    pipeline.apply(policy)
    (tmp_path / "v.sql").write_text(NEW)
    return policy


def rebuild(policy: Policy) -> Report:
    return pipeline.apply(
        policy, only=("matviews",), request=Request(parse_name(VIEW), rebuild=True)
    )


def test_drift_is_found_and_gone_after_the_rebuild(database: Database, policy: Policy) -> None:
    (drift,) = pipeline.plan(policy).findings
    assert drift.kind is FindingKind.MATVIEW_DEFINITION_DRIFT
    assert "AS twice" in drift.data["difference"]
    report = rebuild(policy)
    assert [r.error for r in report.results] == [None]
    assert report.findings == ()
    assert database.execute(f"SELECT * FROM {VIEW} WHERE id = 1") == [(1, "N1", 2)]
    again = pipeline.apply(policy)
    assert again.plan.actions == ()
    assert len(again.plan.skipped) == 1


def test_everything_is_carried_over(
    database: Database, policy: Policy, limited_role: Role, owner_role: Role
) -> None:
    for statement in (
        f"CREATE INDEX by_note ON {VIEW} (lower(note)) WHERE id > 1",
        "COMMENT ON INDEX public.by_note IS 'it''s an index'",
        f"GRANT SELECT ON {VIEW} TO {limited_role.name} WITH GRANT OPTION",
        f"GRANT SELECT (note) ON {VIEW} TO PUBLIC",
        f"COMMENT ON MATERIALIZED VIEW {VIEW} IS 'a view'",
        f"COMMENT ON COLUMN {VIEW}.note IS 'a note'",
        f"ALTER MATERIALIZED VIEW {VIEW} ALTER note SET STATISTICS 7",
        f"ALTER MATERIALIZED VIEW {VIEW} SET (autovacuum_enabled = false)",
        f"CREATE VIEW public.above WITH (security_barrier=true) AS SELECT * FROM {VIEW}",
        f"GRANT SELECT ON public.above TO {limited_role.name}",
        f"ALTER MATERIALIZED VIEW {VIEW} OWNER TO {owner_role.name}",
        f"GRANT ALL ON public.t TO {owner_role.name}",
    ):
        database.execute(statement)
    before = described(database)
    report = rebuild(policy)
    assert [r.error for r in report.results] == [None]
    assert described(database) == before
    assert database.execute("SELECT * FROM public.above WHERE id = 1") == [(1, "N1")]
    assert leftovers(database) == []


def described(database: Database) -> list[tuple[object, ...]]:
    return database.execute(
        f"""
        SELECT c.relname, pg_get_userbyid(c.relowner), c.relacl::text, c.reloptions,
               obj_description(c.oid), pg_get_indexdef(c.oid),
               (SELECT array_agg(ROW(attname, attacl::text, attstattarget,
                                     col_description(c.oid, attnum))::text ORDER BY attnum)
                FROM pg_attribute WHERE attrelid = c.oid AND attname = 'note')
        FROM pg_class c WHERE c.relname = 'above' OR c.oid = '{VIEW}'::regclass
          OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = '{VIEW}'::regclass)
        ORDER BY 1
        """
    )


def leftovers(database: Database) -> list[tuple[str]]:
    return database.execute("SELECT relname FROM pg_class WHERE relname LIKE 'maintenance\\_%'")


def test_readers_find_the_view_at_every_moment(database: Database, policy: Policy) -> None:
    stop, seen = threading.Event(), set[int]()
    failures: list[psycopg.Error] = []

    def read() -> None:
        with psycopg.connect(database.url, autocommit=True) as reader:
            while not stop.is_set():
                try:
                    row = reader.execute(f"SELECT count(*) FROM {VIEW}".encode()).fetchone()
                    seen.add(row[0] if row else -1)
                except psycopg.Error as exc:
                    failures.append(exc)

    reader = threading.Thread(target=read)
    reader.start()
    outcomes = [rebuild(policy).results[0].outcome for _ in range(3)]
    stop.set()
    reader.join()
    assert outcomes == [Outcome.DONE] * 3
    assert failures == []
    assert seen == {9}


@pytest.mark.parametrize(
    "dependent",
    [
        f"CREATE MATERIALIZED VIEW public.above AS SELECT * FROM {VIEW}",
        f"CREATE FUNCTION public.above() RETURNS bigint LANGUAGE sql"
        f" BEGIN ATOMIC SELECT count(*) FROM {VIEW}; END",
        f"CREATE FUNCTION public.above(x {VIEW}) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
@pytest.mark.pg("== 18")
def test_what_can_not_be_carried_refuses_the_rebuild(
    database: Database, policy: Policy, dependent: str
) -> None:
    database.execute(dependent)
    (result,) = rebuild(policy).results
    assert result.outcome is Outcome.FAILED
    assert result.cause is not None
    assert result.cause.reason == "dependents"
    assert "above" in str(result.error)
    assert database.execute(f"SELECT note FROM {VIEW} WHERE id = 1") == [("n1",)]


@pytest.mark.pg("== 18")
def test_view_above_that_does_not_fit_the_new_columns_leaves_the_old_view(
    database: Database, policy: Policy, tmp_path: Path
) -> None:
    database.execute(f"CREATE VIEW public.above AS SELECT note FROM {VIEW}")
    (tmp_path / "v.sql").write_text("SELECT id, id AS twice FROM public.t")
    (result,) = rebuild(policy).results
    assert result.outcome is Outcome.FAILED
    assert UNDEFINED_COLUMN in str(result.error)
    assert database.execute("SELECT count(*) FROM public.above") == [(9,)]


@pytest.mark.pg("== 18")
def test_what_a_killed_rebuild_left_is_removed_by_the_next(
    database: Database, policy: Policy
) -> None:
    holder = database.connect(autocommit=False)
    holder.execute(f"SELECT * FROM {VIEW}".encode())
    hurried = policy.model_copy(
        update={
            "locks": policy.locks.model_copy(update={"give_up_after": policy.locks.lock_timeout})
        }
    )
    (result,) = rebuild(hurried).results
    assert result.outcome is Outcome.FAILED
    assert len(leftovers(database)) > 0
    holder.rollback()
    assert rebuild(policy).results[0].error is None
    assert leftovers(database) == []


@pytest.mark.pg("== 18")
def test_command_rebuilds_one_view(
    database: Database, policy: Policy, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["rebuild", "--policy", str(policy.path), "--matview", VIEW, "--json"]
    with pytest.raises(SystemExit) as left:
        cli.main(arguments, standalone_mode=False)
    assert left.value.code == 0
    assert '"kind": "rebuild_matview"' in capsys.readouterr().out
