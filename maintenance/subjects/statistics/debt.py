"""Compute the rows changed below a partitioned parent since its own last ANALYZE.

The catalog does not have this number: autovacuum never analyzes a parent, the parent's counter is
always 0, and those of its leaves restart at each ANALYZE of the leaf. The total counters restart
only at a reset or a crash, so their present values are compared with recorded ones.
"""

from collections.abc import Sequence

from maintenance.subjects.statistics.models import Baseline, TableFacts


def debt_of(parent: TableFacts, leaves: Sequence[TableFacts], baseline: Baseline | None) -> float:
    """Return how many rows changed below a parent since its last ANALYZE.

    Args:
        parent: partitioned, and analyzed at least once.
        leaves: the tables below it.
        baseline: from the store; without it the result is estimated from the leaves.
    """
    if baseline is None:
        return _unaided(parent, leaves)
    if _analyzed_since(parent, baseline):
        return 0.0
    return baseline.carried + _since(leaves, baseline)


def rebased(
    parent: TableFacts, leaves: Sequence[TableFacts], baseline: Baseline | None
) -> Baseline:
    """Return the new baseline of a parent, which keeps counts over a reset."""
    known = baseline.analyzed_at if baseline is not None else None
    return Baseline(
        analyzed_at=parent.analyzed_at or known,
        carried=debt_of(parent, leaves, baseline),
        leaves={leaf.oid: leaf.counted for leaf in leaves},
    )


def _analyzed_since(parent: TableFacts, baseline: Baseline) -> bool:
    """Whether another session analyzed it; after a reset the moment is unknown, not later."""
    if parent.analyzed_at is None:
        return False
    return baseline.analyzed_at is None or parent.analyzed_at > baseline.analyzed_at


def _since(leaves: Sequence[TableFacts], baseline: Baseline) -> float:
    """Sum the changes: a counter that decreased restarted at 0; a new leaf counts fully."""
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
