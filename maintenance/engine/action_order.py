"""The order of one run's actions: what comes last, and what may not go side by side.

ANALYZE and VACUUM come last: a refresh, a swap, a drain or a dropped partition leaves the
statistics made before it stale. Actions that lock the same relation would wait for each other. A
concurrent index build waits for every older snapshot of the database, so it goes alone.
"""

from collections.abc import Iterable
from typing import NamedTuple

from maintenance.engine.actions import RECURRING, Action


class Rounds(NamedTuple):
    """The actions of a run in two parts, each in its given order.

    Attributes:
        work: what changes tables, views and indexes.
        upkeep: ANALYZE and VACUUM of what the work leaves.
    """

    work: tuple[Action, ...]
    upkeep: tuple[Action, ...]


def rounds(actions: Iterable[Action]) -> Rounds:
    """Split actions into what is done first and what is done last."""
    ordered = tuple(actions)
    upkeep = tuple(action for action in ordered if is_upkeep(action))
    return Rounds(tuple(action for action in ordered if not is_upkeep(action)), upkeep)


def is_upkeep(action: Action) -> bool:
    """Whether an action belongs behind all others of its run."""
    return action.kind in RECURRING


def collide(one: Action, other: Action) -> bool:
    """Whether one of two actions would wait for the other if both ran at the same time.

    All lock modes that actions declare conflict with each other, so a relation in common is
    enough (PostgreSQL manual, table 13.2).
    """
    builds = one.builds_index or other.builds_index
    return builds or not one.relations.isdisjoint(other.relations)
