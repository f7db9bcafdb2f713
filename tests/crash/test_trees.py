"""End the session that works after each of its statements, one by one, and run again.

An event trigger ends it after the n-th command of a run, and n grows until a run comes through.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maintenance.errors import MaintenanceError
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database, drop_database, make_database
from tests.crash.test_default_partition import LIMIT_S
from tests.integration.test_drain import LEFT
from tests.integration.test_drain_trees import CONTENT, SINGLE, TREE, filled, policy_of
from tests.integration.test_trees import (
    CREATE,
    add_month,
    child,
    expired_month,
    retiring,
    shape,
)
from tests.policies import EVENTS, make_policy

pytestmark = pytest.mark.in_turn

KILLER = """
CREATE SEQUENCE public.commands;
CREATE TABLE public.fatal (number bigint);
INSERT INTO public.fatal VALUES (0);
CREATE FUNCTION public.count_down() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  -- a sequence does not go back when its transaction does
  IF starts_with(current_setting('application_name'), 'maintenance apply')
     AND nextval('public.commands') = (SELECT number FROM public.fatal) THEN
    PERFORM pg_terminate_backend(pg_backend_pid());
  END IF;
END $$;
CREATE EVENT TRIGGER killer ON ddl_command_end EXECUTE FUNCTION public.count_down();
"""
MOST = 400

HALF_BUILT = """
SELECT relname FROM pg_class
WHERE starts_with(relname, 'events_') AND relkind IN ('r', 'p') AND NOT relispartition
"""


def disturbed(
    database: Database, policy: Policy, check: Callable[[], None], stride: int = 1
) -> int:
    """Run until a run comes through; after how many commands its predecessor was ended."""
    for number in range(1, MOST, stride):
        database.execute("UPDATE public.fatal SET number = %s", [number])
        database.execute("ALTER SEQUENCE public.commands RESTART")
        try:
            report = pipeline.apply(policy)
        except MaintenanceError:
            check()
            continue
        assert report.ok, report
        return number - stride
    raise AssertionError("no run came through")


def test_month_is_there_whole_or_not_at_all_whenever_its_session_ends(
    database: Database, tmp_path: Path
) -> None:
    database.execute(CREATE)
    add_month(database)
    database.execute("CREATE TABLE public.events_default PARTITION OF public.events DEFAULT")
    database.execute(
        "INSERT INTO public.events (at) SELECT '2001-01-01'::timestamptz + n * interval '1 s'"
        " FROM generate_series(1, 11000) n"
    )
    policy = make_policy(tmp_path, database.url, {**EVENTS, "premake": 1})
    database.execute(KILLER)

    def nothing_half_built() -> None:
        assert database.execute(HALF_BUILT) == []

    assert disturbed(database, policy, nothing_half_built) > 10
    assert shape(database, child(1)) == shape(database, child())
    assert pipeline.plan(policy).plan.actions == ()


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("action", ["drop", "archive_then_drop"])
def test_expired_tree_goes_whole_and_its_rows_stay_somewhere(
    database: Database, tmp_path: Path, action: str
) -> None:
    name = expired_month(database)
    policy = retiring(database, tmp_path, action=action)
    database.execute(KILLER)

    def all_or_nothing() -> None:
        tables = (
            f"SELECT count(*) FROM pg_class WHERE relname ~ '^{name}' AND relkind IN ('r', 'p')"
        )
        ((n_tables,),) = database.execute(tables)
        assert n_tables in (0, 5)
        if n_tables:
            assert database.execute(f"SELECT count(*) FROM public.{name}") == [(300,)]

    assert disturbed(database, policy, all_or_nothing) > 2
    assert [t for t in tables_of(database) if t.startswith(name)] == []
    assert tables_of(database) == undisturbed(database, tmp_path / "other", action)
    assert pipeline.plan(policy).plan.actions == ()


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("default", [SINGLE, TREE], ids=["single", "tree"])
def test_rows_that_are_copied_into_trees_are_there_whenever_the_session_ends(
    database: Database, tmp_path: Path, default: str
) -> None:
    filled(database, default)
    before, rest = database.execute(CONTENT), shape(database, "rest")
    policy = policy_of(database, tmp_path)
    database.execute(KILLER)

    def all_there() -> None:
        assert database.execute(CONTENT) == before
        database.execute("UPDATE public.events SET note = note WHERE author = 1")

    assert disturbed(database, policy, all_there, stride=3) > 60
    assert database.execute(CONTENT) == before
    assert shape(database, child(1)) == shape(database, child())
    assert shape(database, "rest") == rest
    assert database.execute(LEFT) == []
    assert pipeline.plan(policy).plan.actions == ()


def tables_of(database: Database) -> list[str]:
    rows = database.execute(
        "SELECT relname FROM pg_class WHERE starts_with(relname, 'events') ORDER BY 1"
    )
    return [name for (name,) in rows]


def undisturbed(database: Database, folder: Path, action: str) -> list[Any]:
    folder.mkdir()
    other = make_database(database.server)
    expired_month(other)
    assert pipeline.apply(retiring(other, folder, action=action)).ok
    tables = tables_of(other)
    drop_database(other)
    return tables
