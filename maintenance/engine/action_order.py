"""The order of a run's actions: which come last, and which may not run in parallel.

ANALYZE and VACUUM come last, since a refresh, swap, drain or dropped partition makes earlier
statistics stale. Before them comes what may take hours and can wait. Actions that lock the same
relation would wait for each other. A concurrent index build waits for every older snapshot of the
database, so it runs alone.
"""

from collections.abc import Iterable
from typing import NamedTuple

from maintenance.engine.actions import RECURRING, Action, ActionKind

LENGTHY = frozenset({ActionKind.SPLIT_PARTITION})
"""Kinds that may take hours, and that nothing else depends on."""

GIVES_BACK = "released"
"""Fact of an action that renames a table which the other actions call by its present name."""


class Rounds(NamedTuple):
    """The actions of a run in two parts, each in its given order.

    Attributes:
        work: changes of tables, views and indexes.
        upkeep: ANALYZE and VACUUM afterwards.
    """

    work: tuple[Action, ...]
    upkeep: tuple[Action, ...]


def rounds(actions: Iterable[Action]) -> Rounds:
    """Split actions into those that run first and those that run last."""
    ordered = sorted(actions, key=_place)
    upkeep = tuple(action for action in ordered if is_upkeep(action))
    return Rounds(tuple(action for action in ordered if not is_upkeep(action)), upkeep)


def _place(action: Action) -> tuple[bool, bool]:
    renames = action.kind is ActionKind.REMOVE_LEFTOVERS and GIVES_BACK in action.preconditions
    return action.kind in LENGTHY, renames


def is_upkeep(action: Action) -> bool:
    """Whether an action runs after all others of its run."""
    return action.kind in RECURRING


def collide(one: Action, other: Action) -> bool:
    """Whether two actions would wait for each other if run at the same time.

    All lock modes that actions declare conflict with each other, so one common relation is
    enough (PostgreSQL manual, table 13.2).
    """
    builds = one.builds_index or other.builds_index
    return builds or not one.relations.isdisjoint(other.relations)
