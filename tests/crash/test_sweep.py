"""Interrupt every kind of action at every point of its run, run again, and find the right end.

The points are found by recording a run; what can happen there is in `points.py`. After each
interruption at most two runs must bring about the catalog that an undisturbed run makes, with every
row there once, nothing of ours left, and a journal that says so.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.demo.redis import RedisServer
from maintenance.engine.actions import ActionKind
from tests.builders import ROOT
from tests.caches import cache_server, program_of
from tests.conftest import MAJORS
from tests.crash.points import Fault
from tests.crash.reliability_page import PAGE_WANTED, write_sweep
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.sweep import Stage, all_tries, sweep, tries_in_turn
from tests.crash.test_default_partition import LIMIT_S

SEED = 20261129
POINTS_OF_A_BATCH = 2
"""Rows are changed in batches as large as the machine is quick: a recorded run may have one more
than those that are interrupted.
"""

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)


WITHOUT_A_STORE_IN_THE_END = {ActionKind.UNINSTALL}
"""Kinds that are interrupted in `test_uninstall.py`: the sweep reads the journal afterwards."""

PLANNED_BY_NOTHING = {ActionKind.ATTACH_PARTITION}
"""Kinds that are kept for those who read plans and journals; CREATE_PARTITION attaches too."""


def test_every_kind_of_action_has_a_scenario() -> None:
    with_scenario = set[ActionKind]().union(*(s.kinds for s in SCENARIOS))
    elsewhere = PLANNED_BY_NOTHING | WITHOUT_A_STORE_IN_THE_END
    assert set(ActionKind) - elsewhere == with_scenario


def test_kinds_without_a_scenario_are_planned_by_nothing() -> None:
    names = [f"ActionKind.{kind.name}" for kind in PLANNED_BY_NOTHING]
    used = {
        str(path.relative_to(ROOT / "maintenance"))
        for path in (ROOT / "maintenance").rglob("*.py")
        if any(name in path.read_text() for name in names)
    }
    tables_of_kinds = {
        "engine/actions.py",
        "engine/gate.py",
        "monitoring/work_done.py",
        "subjects/statistics/history.py",
    }
    assert used <= tables_of_kinds


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with cache_server(program_of("embedded"), tmp_path_factory.mktemp("cache")) as server:
        yield server


@pytest.fixture
def stage(
    server: PostgresServer, tmp_path: Path, scenario: Scenario, cache: RedisServer
) -> Iterator[Stage]:
    stage = Stage(server, tmp_path, scenario, cache.url)
    without = {kind.value for kind in scenario.kinds} - {
        stage.kind_of(point) for point in stage.points if point.changes
    }
    assert without == set(), "kinds without a point"
    yield stage
    stage.close()


@pytest.mark.essential
@pytest.mark.in_turn
@each_scenario
def test_run_that_is_interrupted_somewhere_converges(stage: Stage, scenario: Scenario) -> None:
    tries = all_tries(stage.points)
    chosen = random.Random(f"{SEED} {scenario.name} {stage.server.major}").choice(tries)
    tally = sweep(stage, [chosen])
    assert tally.failures == []


@pytest.mark.slow
@pytest.mark.timeout(2 * LIMIT_S)
@each_scenario
def test_run_that_is_interrupted_anywhere_converges(
    stage: Stage, scenario: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    major = stage.server.major
    newest = major == max(MAJORS)
    tries = all_tries(stage.points) if newest else tries_in_turn(stage.points, major)
    tally = sweep(stage, tries)
    with capsys.disabled():
        print(f"\n{scenario.name} on {major}:", *tally.lines(), sep="\n  ")  # noqa: T201
    assert tally.failures == []
    assert tally.missed <= max(len(tries) / 10, POINTS_OF_A_BATCH * len(Fault))
    if os.environ.get(PAGE_WANTED):
        write_sweep(major, scenario.name, tally)
