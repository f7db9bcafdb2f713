"""A view whose refresh is skipped shows its definition's result as of the claimed time.

Whatever happens in between: rows written, rolled back, prepared; partitions that come and go;
types and columns altered; counters reset; the server crashed; sessions that stay open and keep
their counts to themselves.
"""

import random
import time
from pathlib import Path

import pytest

from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database
from tests.policies import make_policy
from tests.random_changes import VIEWS, World

LEDGER = """
SELECT DISTINCT ON (view) view, greatest(as_of, proven_as_of)
FROM maintenance.matview_refresh WHERE error IS NULL ORDER BY view, id DESC
"""


def a_policy(database: Database, folder: Path) -> Policy:
    views = [
        {"name": f"public.{name}", "definition": f"{name}.sql", "unique_index": key}
        for name, (_, key) in VIEWS.items()
    ]
    for name, (query, _) in VIEWS.items():
        (folder / f"{name}.sql").write_text(query)
    return make_policy(folder, database.url, matviews=views)


def look(world: World, policy: Policy) -> int:
    """Refresh what is due, compare all views with the history; return how many were skipped."""
    report = pipeline.apply(policy, only=("matviews",))
    assert [r.error for r in report.results if r.outcome == "failed"] == []
    for view, moment in world.database.execute(LEDGER):
        name = view.removeprefix("public.")
        assert world.shown(name) in world.allowed(name, moment), (name, moment, world.done)
    return len(report.plan.skipped)


def prove(world: World, policy: Policy, n_looks: int, pause_s: float = 0) -> int:
    world.begin()
    n_left_alone = 0
    for _ in range(n_looks):
        for _ in range(world.chance.choice((0, 1, 1, 2))):
            world.change()
        time.sleep(pause_s * world.chance.random())
        n_left_alone += look(world, policy)
    world.end()
    return n_left_alone


@pytest.mark.parametrize("n_idle", [0, 3])
@pytest.mark.pg("== 18")
def test_view_left_alone_is_right_as_of_the_moment_claimed(
    database: Database, tmp_path: Path, n_idle: int
) -> None:
    world = World(database, random.Random(n_idle), n_idle)
    assert prove(world, a_policy(database, tmp_path), 40) > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_idle", [0, 1, 4])
def test_views_left_alone_are_right_for_hours(
    database: Database, tmp_path: Path, n_idle: int, seed: int
) -> None:
    """With pauses, so that claims move on past changes that sessions kept to themselves."""
    world = World(database, random.Random(100 * n_idle + seed), n_idle)
    assert prove(world, a_policy(database, tmp_path), 120, pause_s=3.0) > 0
