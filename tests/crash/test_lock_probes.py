"""The locks of every kind of action: those that its plan declares, and nobody waits for them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.demo.redis import RedisServer
from tests.caches import cache_server, program_of
from tests.crash.scenarios import DECLARED, SCENARIOS, Scenario, declaring, viewed, viewing
from tests.crash.sweep import Layout
from tests.locks import PROBE_TIMEOUT, LockWatch, Probes, rewriting

MOST_TRIES = 5
"""The machine may have other work for longer than a probe waits; a lock blocks each time."""

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with cache_server(program_of("embedded"), tmp_path_factory.mktemp("cache")) as server:
        yield server


@pytest.fixture
def layout(
    server: PostgresServer, tmp_path: Path, scenario: Scenario, cache: RedisServer
) -> Iterator[Layout]:
    layout = Layout(server, tmp_path, scenario, cache.url)
    yield layout
    layout.close()


def watched(layout: Layout) -> LockWatch:
    with layout.clone("watched") as (database, policy):
        watch = LockWatch(database)
        with watch.watching():
            layout.scenario.run_through(policy)
    return watch


def blocked(layout: Layout, patience: str = "") -> list[str]:
    """The probes that were blocked in each of several runs; none if one run blocked none."""
    blocked: list[str] = []
    for n in range(MOST_TRIES):
        with layout.clone(f"probed_{n}") as (database, policy):
            probes = Probes(database, patience or layout.scenario.longest_wait)
            with probes.running():
                layout.scenario.run_through(policy)
            if not probes.blocked:
                return []
            blocked += probes.blocked
    return blocked


@pytest.mark.essential
@pytest.mark.in_turn
@each_scenario
def test_locks_are_those_that_the_plan_declares_and_nobody_waits(layout: Layout) -> None:
    watch = watched(layout)
    assert watch.undeclared() == []
    assert watch.untaken() == []
    assert blocked(layout) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario",
    [each for each in SCENARIOS if each.longest_wait != PROBE_TIMEOUT],
    ids=lambda s: s.name,
)
def test_nobody_waits_longer_for_an_exchange_where_the_machine_has_no_other_work(
    layout: Layout,
) -> None:
    assert blocked(layout, PROBE_TIMEOUT) == []


# What would be found if a statement blocked


def named(name: str) -> Scenario:
    return next(each for each in SCENARIOS if each.name == name)


SLOW_VIEW = viewing(
    by_course="""
    SELECT c.id AS course, count(e.id) + count(n) AS n FROM public.courses c
    LEFT JOIN public.enrollments e ON e.course = c.id
    CROSS JOIN generate_series(1, 300000) AS n GROUP BY c.id
    """
)
WITHOUT_REWRITE = DECLARED[: DECLARED.index("ALTER TABLE public.orders ADD COLUMN")]
MANY = "INSERT INTO public.orders SELECT n, n, n % 50, n, 'Note ' || n, '2026-01-01' FROM "
FAR = "INSERT INTO public.events SELECT n, '2031-05-05' FROM generate_series(1001, 2000000) n"


def without_checks(sql: str) -> str:
    """Leave out the CHECKs that save an ATTACH from looking through the default partition."""
    kept = ("SELECT" if "maintenance_not_" in each else each for each in sql.split(";\n"))
    return ";\n".join(kept)


MUTANTS: dict[str, tuple[Scenario, Callable[[str], str]]] = {
    "index built at once": (
        replace(
            named("rollout"),
            policy=declaring(WITHOUT_REWRITE),
            schema=named("rollout").schema + MANY + "generate_series(1001, 300000) n",
        ),
        lambda sql: sql.replace("INDEX CONCURRENTLY", "INDEX"),
    ),
    "view refreshed at once": (
        replace(named("changed views"), policy=SLOW_VIEW, lay_out=viewed(SLOW_VIEW)),
        lambda sql: sql.replace("VIEW CONCURRENTLY", "VIEW"),
    ),
    "partition attached without a CHECK": (
        replace(named("leftovers"), schema=f"{named('leftovers').schema}; {FAR}"),
        without_checks,
    ),
    "constraint validated at once": (
        replace(
            named("rollout"),
            policy=declaring(WITHOUT_REWRITE),
            schema=named("rollout").schema + MANY + "generate_series(1001, 900000) n",
        ),
        lambda sql: re.sub(r"(ADD CONSTRAINT .*) NOT VALID", r"\1", sql),
    ),
}


@pytest.mark.pg("== 18")
@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_statement_that_blocks_is_found_by_the_probes(
    server: PostgresServer, tmp_path: Path, mutant: str
) -> None:
    scenario, rewrite = MUTANTS[mutant]
    layout = Layout(server, tmp_path, scenario)
    assert blocked(layout) == []
    with layout.clone("mutant") as (database, policy), rewriting(rewrite):
        probes = Probes(database)
        with probes.running():
            layout.scenario.run(policy)
    layout.close()
    assert probes.blocked != []
