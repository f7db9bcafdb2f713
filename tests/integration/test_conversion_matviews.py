"""Materialized views on a table that becomes partitioned: built again, never missing or empty."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.scope import Request
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.undo import undo as take_back
from maintenance.policy import Policy
from tests.builders import Database, Role
from tests.conversions import EVENTS, PLAIN, apply, die_at, found, shape, undo
from tests.policies import make_policy

pytestmark = pytest.mark.in_turn

VIEWS = f"""
{PLAIN}
CREATE FUNCTION public.twice(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n';
CREATE MATERIALIZED VIEW public.daily (day, n, title) WITH (fillfactor = 70) AS
  SELECT at::date, count(*), 'day ' || (at::date)::text FROM public.events GROUP BY 1;
CREATE UNIQUE INDEX daily_day ON public.daily (day);
CREATE INDEX daily_twice ON public.daily (public.twice(n)) WITH (fillfactor = 50) WHERE n > 1;
COMMENT ON INDEX public.daily_twice IS 'twice';
COMMENT ON MATERIALIZED VIEW public.daily IS 'by day';
COMMENT ON COLUMN public.daily.n IS 'how many';
ALTER MATERIALIZED VIEW public.daily CLUSTER ON daily_day;
ALTER MATERIALIZED VIEW public.daily ALTER n SET STATISTICS 77, ALTER title SET STORAGE EXTERNAL,
  ALTER n SET (n_distinct = -0.5);
GRANT SELECT ON public.daily TO PUBLIC;
GRANT UPDATE (n) ON public.daily TO PUBLIC;
CREATE VIEW public.best AS SELECT day, n FROM public.daily ORDER BY n DESC LIMIT 3;
CREATE VIEW public.beside AS
  SELECT d.n, e.id FROM public.daily AS d JOIN public.events AS e ON e.at::date = d.day;
CREATE MATERIALIZED VIEW public."Empty" AS SELECT max(id) AS id FROM public.events WITH NO DATA;
CREATE INDEX ON public."Empty" (id);
ANALYZE public.daily;
"""

READS = """
SELECT DISTINCT d.refobjid::regclass::text
  FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
 WHERE w.ev_class = %s::regclass AND d.refclassid = 'pg_class'::regclass
   AND d.refobjid <> w.ev_class
"""
KIND = "SELECT relkind::text FROM pg_class WHERE oid = 'public.events'::regclass"
LEFT = "SELECT relname::text FROM pg_class WHERE relname LIKE 'maintenance%' AND relkind = 'm'"
POPULATED = "SELECT relispopulated FROM pg_class WHERE oid = %s::regclass"


def views(database: Database) -> list[tuple[Any, ...]]:
    """The catalog of the views, and of what is on them."""
    return [row for row in shape(database) if "daily" in row[1] or "Empty" in row[1]]


@contextmanager
def always_reading(database: Database) -> Generator[list[str]]:
    """A reader of the view that must never find it missing or empty; what went wrong."""
    errors: list[str] = []
    stopped = threading.Event()

    def run() -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '2s'")
            while not stopped.is_set():
                try:
                    row = connection.execute(
                        "SELECT sum(n)::int, (SELECT count(*) FROM public.best) FROM public.daily"
                    ).fetchone()
                    if row != (2000, 3):
                        errors.append(f"saw {row}")
                except psycopg.Error as exc:
                    errors.append(str(exc))
                time.sleep(0.002)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield errors
    finally:
        stopped.set()
        thread.join()


def test_materialized_views_are_the_same_afterwards_and_read_the_partitioned_table(
    database: Database, tmp_path: Path
) -> None:
    database.execute(VIEWS)
    before = views(database)
    with always_reading(database) as errors:
        report = apply(make_policy(tmp_path, database.url, EVENTS))
    assert report.ok, report.results
    assert errors == []
    assert views(database) == before
    assert database.execute(KIND) == [("p",)]
    assert database.execute(READS, ["public.daily"]) == [("events",)]
    assert database.execute(READS, ['public."Empty"']) == [("events",)]
    assert database.execute(POPULATED, ["public.daily"]) == [(True,)]
    assert database.execute(POPULATED, ['public."Empty"']) == [(False,)]
    assert set(database.execute(READS, ["public.beside"])) == {("events",), ("daily",)}
    assert database.execute("SELECT count(*) FROM pg_stats WHERE tablename = 'daily'") == [(3,)]
    assert database.execute(LEFT) == []
    database.execute("INSERT INTO public.events VALUES (0, now() + interval '70 days')")
    database.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY public.daily")
    assert database.execute("SELECT sum(n)::int FROM public.daily") == [(2001,)]


def test_view_of_an_owner_that_is_not_our_role(
    database: Database, tmp_path: Path, owner_role: Role, limited_role: Role
) -> None:
    database.execute(f'{VIEWS}; GRANT SELECT ON public."Empty" TO PUBLIC')
    database.give_to(owner_role)
    database.execute(
        f"GRANT CREATE ON SCHEMA public TO {owner_role.name}, {limited_role.name};"
        f" GRANT {owner_role.name} TO {limited_role.name};"
        f' GRANT CREATE ON DATABASE "{database.name}" TO {limited_role.name};'
        f" ALTER DEFAULT PRIVILEGES FOR ROLE {owner_role.name} GRANT DELETE ON TABLES TO PUBLIC"
    )
    database.execute(
        f"CREATE TABLE public.others AS SELECT generate_series(1, 9) AS id;"
        f" ALTER TABLE public.others ENABLE ROW LEVEL SECURITY;"
        f" CREATE POLICY few ON public.others USING (id < 3);"
        f" GRANT SELECT ON public.others TO {owner_role.name};"
        f" SET ROLE {owner_role.name}; CREATE MATERIALIZED VIEW public.daily_others AS"
        " SELECT o.id FROM public.others AS o JOIN public.events AS e USING (id)"
    )
    before = views(database)
    report = apply(make_policy(tmp_path, database.url_of(limited_role), EVENTS))
    assert report.ok, report.results
    assert views(database) == before
    assert database.execute("SELECT count(*) FROM public.daily_others") == [(2,)]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        (
            "CREATE MATERIALIZED VIEW public.m2 AS SELECT * FROM public.daily",
            "matview_on_table",
        ),
        ("CREATE STATISTICS public.s ON day, n FROM public.daily", "matview_on_table"),
        (
            "CREATE FUNCTION public.f(d public.daily) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "matview_on_table",
        ),
        (
            "CREATE MATERIALIZED VIEW public.m3 AS SELECT e FROM public.events AS e",
            "view_needs_table",
        ),
        (
            "CREATE MATERIALIZED VIEW public.m3 AS SELECT id FROM ONLY public.events",
            "view_reads_only",
        ),
    ],
)
def test_materialized_view_that_can_not_be_built_again_is_refused(
    database: Database, tmp_path: Path, statement: str, code: str
) -> None:
    database.execute(VIEWS)
    database.execute(statement)
    before = shape(database)
    policy = make_policy(tmp_path, database.url, EVENTS)
    report = pipeline.plan(policy, only=["conversion"])
    (finding,) = found(report, FindingKind.NOT_PARTITIONED)
    assert finding.severity is Severity.ERROR
    assert finding.data["reasons"] == [code]
    apply(policy)
    assert shape(database) == before


@pytest.mark.parametrize(
    "step",
    [
        "step 1 of 99",
        "build materialized view",
        "replace materialized view public.daily",
        'build materialized view public."Empty"',
        'replace materialized view public."Empty"',
    ],
)
def test_killed_run_is_finished_by_the_next_one(
    database: Database, tmp_path: Path, step: str
) -> None:
    database.execute(VIEWS)
    before = views(database)
    policy = make_policy(tmp_path, database.url, EVENTS)
    with always_reading(database) as errors:
        if "99" not in step:
            die_at(policy, step)
            assert database.execute(KIND) == [("p",)]
            report = pipeline.plan(policy, only=["conversion"])
            (left,) = found(report, FindingKind.CONVERSION_UNFINISHED)
            assert left.data["materialized_views"]
            die_at(policy, "step 2 of")
        never = make_policy(tmp_path, database.url, {**EVENTS, "convert": "never"})
        report = apply(never if "99" not in step else policy)
    assert report.ok, report.results
    assert [r.action.kind for r in report.results] == [ActionKind.CONVERT_TABLE]
    assert errors == []
    assert views(database) == before
    assert database.execute(LEFT) == []
    assert found(report, FindingKind.CONVERSION_UNFINISHED) == []
    assert apply(never).results == ()


def test_view_that_gets_an_index_between_two_runs_keeps_it(
    database: Database, tmp_path: Path
) -> None:
    database.execute(VIEWS)
    policy = make_policy(tmp_path, database.url, EVENTS)
    die_at(policy, "replace materialized view public.daily")
    database.execute("CREATE INDEX later ON public.daily (title)")
    assert apply(policy).ok
    assert database.execute(READS, ["public.daily"]) == [("events",)]
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'daily' ORDER BY 1"
    assert database.execute(indexes) == [("daily_day",), ("daily_twice",), ("later",)]


def test_view_that_changes_while_it_is_built_is_not_replaced(
    database: Database, tmp_path: Path
) -> None:
    database.execute(VIEWS)
    policy = make_policy(tmp_path, database.url, EVENTS)

    def disturb(line: str) -> None:
        if "replace materialized view public.daily" in line:
            database.execute("GRANT INSERT ON public.daily TO PUBLIC")

    (result,) = apply(policy, progress=disturb).results
    assert result.outcome is Outcome.FAILED
    assert result.cause is not None
    assert result.cause.reason == "changed_since_plan"
    granted = "SELECT relacl::text FROM pg_class WHERE oid = 'public.daily'::regclass"
    before = database.execute(granted)
    assert apply(policy).ok
    assert database.execute(granted) == before


def test_view_dropped_before_it_was_replaced_leaves_nothing(
    database: Database, tmp_path: Path
) -> None:
    database.execute(VIEWS)
    policy = make_policy(tmp_path, database.url, EVENTS)
    die_at(policy, "replace materialized view public.daily")
    database.execute("DROP MATERIALIZED VIEW public.daily CASCADE")
    assert apply(policy).ok
    assert database.execute(LEFT) == []


def test_undo_brings_the_views_back(database: Database, tmp_path: Path) -> None:
    database.execute(VIEWS)
    before = shape(database)
    policy = make_policy(tmp_path, database.url, EVENTS)
    report = apply(policy)
    assert report.ok
    with always_reading(database) as errors:
        undo(database, report)
    assert errors == []
    assert shape(database) == before
    assert database.execute(READS, ["public.daily"]) == [("events",)]
    assert apply(policy).ok


@pytest.mark.parametrize("step", ["build materialized view", "replace materialized view"])
def test_undo_of_an_unfinished_conversion_brings_the_views_back(
    database: Database, tmp_path: Path, step: str
) -> None:
    database.execute(VIEWS)
    before = shape(database)
    policy = make_policy(tmp_path, database.url, EVENTS)
    planned = pipeline.plan(policy, only=["conversion"])
    die_at(policy, step)
    undo(database, planned)
    assert shape(database) == before


def test_undo_that_was_not_finished_leaves_nothing(database: Database, tmp_path: Path) -> None:
    database.execute(VIEWS)
    policy = make_policy(tmp_path, database.url, EVENTS)
    report = apply(policy)
    before = views(database)
    undo(database, report, until=-1)
    assert database.execute(LEFT) != []
    assert database.execute(KIND) == [("p",)]
    assert apply(policy).ok
    assert database.execute(LEFT) == []
    assert views(database) == before


SURROUNDED = f"""
{VIEWS}
CREATE TABLE public.notes (id bigint PRIMARY KEY, event_at timestamptz NOT NULL, event bigint
  CONSTRAINT notes_event REFERENCES public.events);
COMMENT ON CONSTRAINT notes_event ON public.notes IS 'what it is about';
INSERT INTO public.notes SELECT id, at, id FROM public.events WHERE id <= 100;
"""
LONGER = {
    **EVENTS,
    "referenced_by": [{"table": "public.notes", "constraint": "notes_event", "column": "event_at"}],
}


def undone(policy: Policy) -> None:
    report = take_back(policy, "last")
    assert report.ok, [result.error for result in report.results]
    assert not report.kept


@pytest.mark.parametrize(
    "step",
    [
        "put the partitioned table",
        "create partition",
        "build materialized view",
        "replace materialized view public.daily",
        'replace materialized view public."Empty"',
        "validate foreign key",
        "collect the statistics",
        "",
    ],
)
def test_run_is_undone_from_every_state(database: Database, tmp_path: Path, step: str) -> None:
    database.execute(SURROUNDED)
    before = shape(database)
    policy = make_policy(tmp_path, database.url, LONGER)
    with always_reading(database) as errors:
        if step:
            die_at(policy, step)
        else:
            assert apply(policy).ok
        undone(policy)
    assert errors == []
    assert shape(database) == before
    assert pipeline.apply(policy, only=["conversion"], request=Request(again=True)).ok


def test_conversion_that_a_second_run_has_finished_is_undone(
    database: Database, tmp_path: Path
) -> None:
    database.execute(SURROUNDED)
    before = shape(database)
    policy = make_policy(tmp_path, database.url, LONGER)
    die_at(policy, "replace materialized view public.daily")
    assert apply(policy).ok
    undone(policy)
    assert shape(database) == before


def test_undo_keeps_what_was_added_to_the_referencing_table(
    database: Database, tmp_path: Path
) -> None:
    database.execute(SURROUNDED)
    policy = make_policy(tmp_path, database.url, LONGER)
    assert apply(policy).ok
    database.execute("ALTER TABLE public.notes ADD later int CHECK (later > 0)")
    undone(policy)
    assert database.execute(KIND) == [("r",)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE MATERIALIZED VIEW public.newer AS SELECT id FROM public.events",
        "ALTER TABLE public.notes ADD FOREIGN KEY (event, event_at) REFERENCES public.events",
        "ALTER TABLE public.notes DROP CONSTRAINT notes_event",
        "ALTER TABLE public.notes DROP CONSTRAINT notes_event, ADD CONSTRAINT notes_event"
        " FOREIGN KEY (event, event_at) REFERENCES public.events ON DELETE CASCADE",
    ],
)
def test_undo_refuses_what_has_changed_since(
    database: Database, tmp_path: Path, statement: str
) -> None:
    database.execute(SURROUNDED)
    policy = make_policy(tmp_path, database.url, LONGER)
    assert apply(policy).ok
    database.execute(statement)
    before = shape(database)
    assert not take_back(policy, "last").ok
    assert shape(database) == before


def test_full_disk_stops_before_the_swap(database: Database, tmp_path: Path) -> None:
    database.execute(VIEWS)
    database.execute(
        "ALTER TABLE public.events DROP CONSTRAINT events_pkey, ADD PRIMARY KEY (id, at)"
    )
    limits = {"preflight": {"free_disk": "900 TB"}}
    policy = make_policy(tmp_path, database.url, EVENTS, indexes=limits)
    (result,) = apply(policy).results
    assert result.outcome is Outcome.FAILED
    assert result.cause is not None
    assert result.cause.reason == "free_disk_low"
    assert database.execute(KIND) == [("r",)]


def test_nightly_refresh_in_the_same_run_is_no_failure(database: Database, tmp_path: Path) -> None:
    database.execute(VIEWS)
    matviews = [{"name": "public.daily", "unique_index": ["day"], "refresh": "0 2 * * *"}]
    policy = make_policy(tmp_path, database.url, EVENTS, matviews=matviews)
    report = pipeline.apply(policy)
    assert not [r for r in report.results if r.outcome is Outcome.FAILED], report.results
    assert database.execute(READS, ["public.daily"]) == [("events",)]
    assert pipeline.apply(policy).ok


@pytest.mark.pg("< 17")
def test_functions_of_a_view_find_names_in_the_search_path(
    database: Database, tmp_path: Path
) -> None:
    database.execute(VIEWS)
    database.execute(
        "CREATE SCHEMA app; CREATE FUNCTION app.one() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        " CREATE FUNCTION app.two() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2 * one(); END';"
        " SET search_path = app, public;"
        " CREATE MATERIALIZED VIEW app.twos AS SELECT id, two() AS two FROM events"
    )
    before = shape(database)
    path = {"name": "app", "url": database.url, "search_path": "app, public"}
    policy = make_policy(tmp_path, database.url, LONGER, database=path)
    report = apply(policy)
    assert report.ok, report.results
    assert database.execute("SELECT count(*), min(two) FROM app.twos") == [(2000, 2)]
    undone(policy)
    assert shape(database) == before
