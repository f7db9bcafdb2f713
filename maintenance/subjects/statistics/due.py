"""Select the tables that are due for ANALYZE or VACUUM, and their order."""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from maintenance.policy import StatisticsPolicy
from maintenance.subjects.statistics.debt import debt_of
from maintenance.subjects.statistics.models import StatisticsObservation, TableFacts


class Why(Enum):
    """The reasons why a table is due, the most urgent first."""

    FREEZE = "freeze"
    MISSING = "missing"
    CHANGED = "changed"
    DEAD = "dead"
    ASKED = "asked"


VACUUMED = frozenset({Why.FREEZE, Why.DEAD})
"""The reasons that require VACUUM."""


class Due(NamedTuple):
    """A table that is due.

    Attributes:
        value: the measured number of rows or transactions.
        threshold: the value from which it is due.
        for_vacuum: whether it is due for VACUUM too.
    """

    table: TableFacts
    why: Why
    value: float
    threshold: float
    for_vacuum: bool

    @property
    def rank(self) -> tuple[int, float, int, str]:
        """Return the sort key, worst first: reason, excess over the threshold, size."""
        excess = self.value / max(self.threshold, 1)
        reason = min(list(Why).index(self.why), list(Why).index(Why.CHANGED))
        return reason, -excess, -self.table.pages, str(self.table.relation)


def due_tables(policy: StatisticsPolicy, seen: StatisticsObservation) -> list[Due]:
    """Return the due tables, worst first, including those without the privilege."""
    leaves = seen.leaves()
    found: list[Due] = []
    for table in seen.tables:
        below = leaves.get(table.oid, ())
        reasons = list(_reasons(policy, seen, table, below))
        if reasons:
            why, value, threshold = reasons[0]
            for_vacuum = any(reason[0] in VACUUMED for reason in reasons)
            found.append(Due(table, why, value, threshold, for_vacuum))
    return sorted(found, key=lambda due: due.rank)


def _reasons(
    policy: StatisticsPolicy,
    seen: StatisticsObservation,
    table: TableFacts,
    leaves: Sequence[TableFacts],
) -> Iterator[tuple[Why, float, float]]:
    if not table.is_parent:
        yield from _freezing(policy, seen, table)
    if table.is_parent and not any(leaf.filled for leaf in leaves):
        return
    if not table.filled:
        return
    if table.described is False:
        yield Why.MISSING, table.n_rows, 0
    else:
        yield from _changes(policy, seen, table, leaves)
    limit = max(policy.dead_rows, policy.dead_fraction * (table.n_rows + table.dead))
    if table.dead >= max(limit, 1):
        yield Why.DEAD, table.dead, limit


def _changes(
    policy: StatisticsPolicy,
    seen: StatisticsObservation,
    table: TableFacts,
    leaves: Sequence[TableFacts],
) -> Iterator[tuple[Why, float, float]]:
    changed, n_rows = float(table.changed), table.n_rows
    if table.is_parent:
        changed = debt_of(table, leaves, seen.baselines.get(table.oid))
        n_rows = sum(leaf.n_rows for leaf in leaves)
    limit = max(policy.changed_rows, policy.changed_fraction * n_rows)
    if changed >= max(limit, 1):
        yield Why.CHANGED, changed, limit


def _freezing(
    policy: StatisticsPolicy, seen: StatisticsObservation, table: TableFacts
) -> Iterator[tuple[Why, float, float]]:
    ages = (
        (table.frozen_age, seen.freeze_max_age),
        (table.multixact_age, seen.multixact_freeze_max_age),
    )
    for age, most in ages:
        limit = policy.freeze_fraction * most
        if age is not None and age >= limit > 0:
            yield Why.FREEZE, age, limit
