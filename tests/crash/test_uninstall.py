"""Whatever a run that was interrupted has left, an uninstall removes it or says why not."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.demo.redis import RedisServer
from maintenance.pipeline.uninstall import uninstall
from maintenance.policy import Policy
from tests.builders import Database
from tests.caches import cache_server, program_of
from tests.crash.points import Fault, interrupt, record
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.sweep import Layout
from tests.whole_catalogs import all_rows

SEED = 20261129
PLACES = 6
"""How many points of each scenario are tried."""

_LEFT = """
SELECT relname::text FROM pg_class WHERE relname ~ '^maintenance_|_ccnew|_ccold'
  AND relkind NOT IN ('S', 't')
UNION ALL SELECT conname::text FROM pg_constraint WHERE conname LIKE 'maintenance%'
UNION ALL SELECT tgname::text FROM pg_trigger WHERE tgname LIKE 'maintenance%'
UNION ALL SELECT proname::text FROM pg_proc WHERE proname LIKE 'maintenance%'
UNION ALL SELECT nspname::text FROM pg_namespace WHERE nspname = 'maintenance'
UNION ALL SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid
  AND indexrelid::regclass::text <> 'parted_1_broken'  -- by somebody else, before the run
UNION ALL SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhdetachpending
UNION ALL SELECT objoid::regclass::text FROM pg_description
  WHERE description LIKE '%maintenance: {%'
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with cache_server(program_of("embedded"), tmp_path_factory.mktemp("cache")) as server:
        yield server


def placed(layout: Layout) -> list[int]:
    """Some points of a run that change something, spread over it, the last one too."""
    with layout.clone("recorded") as (database, policy):
        points = record(database, lambda: layout.scenario.run_through(policy))
    numbers = [point.number for point in points if point.changes]
    chosen = random.Random(SEED).sample(numbers, min(PLACES, len(numbers)))
    return sorted({*chosen, numbers[-1]})


def rows_of_the_application(database: Database) -> dict[str, tuple[object, ...]]:
    """The rows of tables and views that have any, without the copies that runs make."""
    rows = all_rows(database)
    return {k: v for k, v in rows.items() if v[0] and not k.startswith("maintenance_")}


def left(database: Database) -> set[str]:
    return {name for (name,) in database.execute(_LEFT)}


def problems(database: Database, policy: Policy) -> list[str]:
    before = rows_of_the_application(database)
    report = uninstall(policy, act=True)
    found = [f"{r.action.object}: {r.error}" for r in report.results if r.error]
    if rows_of_the_application(database) != before:
        found.append(f"rows: {before} became {rows_of_the_application(database)}")
    if not report.removal.is_refused:
        kept = {each.object.rpartition(".")[2] for each in report.removal.kept}
        found += [f"left: {name}" for name in left(database) - kept]
    elif {each.kind for each in report.removal.kept if each.is_refused} != {"unfinished"}:
        found.append(f"kept: {[each.as_json() for each in report.removal.kept]}")
    if report.ok and (again := uninstall(policy, act=True)).planned:
        found.append(f"again: {[each.object for each in again.planned]}")
    return found


@pytest.mark.slow
@pytest.mark.pg("== 18")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_what_an_interrupted_run_left_is_removed(
    server: PostgresServer, scenario: Scenario, tmp_path: Path, cache: RedisServer
) -> None:
    layout = Layout(server, tmp_path, scenario, cache.url)
    found: dict[int, list[str]] = {}
    for number in placed(layout):
        with layout.clone(f"at_{number}") as (database, policy):
            interrupt(database, lambda p=policy: scenario.run_through(p), number, Fault.CLIENT)
            found[number] = problems(database, policy)
    layout.close()
    assert {number: told for number, told in found.items() if told} == {}


HELD = """
COMMENT ON TABLE public.events_2026_11 IS 'maintenance: {"hold_until": "2031-01-01"}';
"""


def remove(policy: Policy) -> None:
    assert uninstall(policy, act=True).ok


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("fault", [Fault.CLIENT, Fault.BACKENDS])
def test_uninstall_that_is_interrupted_anywhere_is_continued(
    server: PostgresServer, tmp_path: Path, fault: Fault
) -> None:
    leftovers = next(each for each in SCENARIOS if each.name == "leftovers")
    scenario = replace(leftovers, work=remove, schema=leftovers.schema + ";" + HELD)
    layout = Layout(server, tmp_path, scenario)
    with layout.clone("recorded") as (database, policy):
        points = record(database, lambda: scenario.run_through(policy))
        assert left(database) == set()
    for point in points:
        if point.changes and point.number % 2 == (fault is Fault.CLIENT):
            with layout.clone(f"at_{point.number}") as (database, policy):
                before = rows_of_the_application(database)
                interrupt(database, lambda p=policy: scenario.run_through(p), point.number, fault)
                assert uninstall(policy, act=True).ok, point
                assert left(database) == set(), point
                assert rows_of_the_application(database) == before, point
    layout.close()
