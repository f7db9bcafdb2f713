"""A partitioned parent's debt: rows changed below it since its own last ANALYZE.

Nothing in the catalog tells it: autovacuum never analyzes a parent, the parent's counter stays
at 0, and those of its leaves start anew at each ANALYZE of the leaf. The counters of all changes
do not, until a reset or a crash; so what they show is compared with what they showed before.
"""

from collections.abc import Sequence

from maintenance.subjects.statistics.models import Baseline, TableFacts


def debt_of(parent: TableFacts, leaves: Sequence[TableFacts], baseline: Baseline | None) -> float:
    """Return how many rows have changed below a parent since its last ANALYZE.

    Args:
        parent: partitioned, and analyzed at least once.
        leaves: the tables below it.
        baseline: what the store knows; without it this is what shows without history.
    """
    if baseline is None:
        return _unaided(parent, leaves)
    if _analyzed_since(parent, baseline):
        return 0.0
    return baseline.carried + _since(leaves, baseline)


def rebased(
    parent: TableFacts, leaves: Sequence[TableFacts], baseline: Baseline | None
) -> Baseline:
    """Return what to remember of a parent, so that a reset loses nothing counted until now."""
    known = baseline.analyzed_at if baseline is not None else None
    return Baseline(
        analyzed_at=parent.analyzed_at or known,
        carried=debt_of(parent, leaves, baseline),
        leaves={leaf.oid: leaf.counted for leaf in leaves},
    )


def _analyzed_since(parent: TableFacts, baseline: Baseline) -> bool:
    """Tell whether somebody else has analyzed it; a reset makes the moment unknown, not later."""
    if parent.analyzed_at is None:
        return False
    return baseline.analyzed_at is None or parent.analyzed_at > baseline.analyzed_at


def _since(leaves: Sequence[TableFacts], baseline: Baseline) -> float:
    """Add up what changed: a counter that ran backwards began at 0, a new leaf is all change."""
    changed = 0.0
    for leaf in leaves:
        before = baseline.leaves.get(leaf.oid)
        if before is None:
            changed += max(leaf.total, leaf.n_rows)
        else:
            changed += leaf.total - before.total if leaf.total >= before.total else leaf.total
    present = {leaf.oid for leaf in leaves}
    return changed + sum(b.n_rows for oid, b in baseline.leaves.items() if oid not in present)


def _unaided(parent: TableFacts, leaves: Sequence[TableFacts]) -> float:
    pending = sum(leaf.changed for leaf in leaves)
    grown = abs(sum(leaf.n_rows for leaf in leaves) - max(parent.rows, 0))
    return max(pending, grown)
