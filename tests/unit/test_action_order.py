"""The order of one run's actions, and which of them may not go side by side."""

import pytest

from maintenance.engine.action_order import collide, rounds
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step


def an_action(
    kind: ActionKind, name: str, statement: str = "", branches: tuple[str, ...] = ()
) -> Action:
    lock = Lock(name, LockMode.SHARE_UPDATE_EXCLUSIVE)
    step = Step((statement or f"{kind} {name}",), locks=(lock,), concurrent=True)
    return Action(kind, name, (step,), "a test", branches=branches)


ANALYZE = an_action(ActionKind.ANALYZE_TABLE, "public.view")
REFRESH = an_action(ActionKind.REFRESH_MATVIEW, "public.view")
OTHER = an_action(ActionKind.REFRESH_MATVIEW, "public.other")
BUILD = an_action(
    ActionKind.INDEX_MATVIEW,
    "public.third",
    "CREATE UNIQUE INDEX CONCURRENTLY i ON public.third (id)",
)
REBUILD = an_action(ActionKind.REINDEX, "public.i", "REINDEX INDEX CONCURRENTLY public.i")
SPLIT = an_action(ActionKind.SPLIT_PARTITION, "public.past")
PARENT = an_action(ActionKind.ANALYZE_TABLE, "public.parent", branches=("public.leaf",))
LEAF = an_action(ActionKind.VACUUM_TABLE, "public.leaf")


def test_tables_are_analyzed_and_vacuumed_after_everything_else() -> None:
    assert rounds([ANALYZE, REFRESH, LEAF, BUILD]) == ((REFRESH, BUILD), (ANALYZE, LEAF))
    assert rounds([]) == ((), ())


def test_split_that_may_take_hours_comes_after_all_other_work() -> None:
    assert rounds([SPLIT, ANALYZE, REFRESH]) == ((REFRESH, SPLIT), (ANALYZE,))


@pytest.mark.parametrize(
    ("one", "other", "wait"),
    [
        (ANALYZE, REFRESH, True),
        (REFRESH, OTHER, False),
        (BUILD, OTHER, True),
        (REBUILD, ANALYZE, True),
        (PARENT, LEAF, True),
        (PARENT, ANALYZE, False),
    ],
    ids=[
        "one relation",
        "two relations",
        "an index build waits for every snapshot",
        "a rebuild too",
        "a parent and a partition that ANALYZE goes on to",
        "a parent and another table",
    ],
)
def test_what_would_wait_for_each_other_collides(one: Action, other: Action, wait: bool) -> None:
    assert collide(one, other) is wait
    assert collide(other, one) is wait
