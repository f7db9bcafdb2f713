"""Taking several blocking locks as one statement, so that they share one statement timeout."""

from collections.abc import Sequence

from maintenance.engine.actions import Lock
from maintenance.names import literal


def take(locks: Sequence[Lock]) -> str:
    """Return the statement that takes the locks that block writers, in the order given.

    Writers lock the parent, then the partition, then what a foreign key points to: in this order
    no two of us can wait for each other.
    """
    blocking = [lock for lock in locks if lock.mode.blocks_writers]
    taken = " ".join(f"LOCK TABLE ONLY {lock.object} IN {lock.mode} MODE;" for lock in blocking)
    return f"DO {literal(f'BEGIN {taken} END')}"
