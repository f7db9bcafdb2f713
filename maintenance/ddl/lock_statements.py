"""Takes several blocking locks as one statement, with time left for the work under them."""

from collections.abc import Iterator, Sequence

from maintenance.engine.actions import Lock
from maintenance.names import literal
from maintenance.server.statements import Ours

SHARE_FOR_WAITING = 0.4
"""Share of the lock timeout: later lock requests wait for it, and then for the work."""

MOST_MS_A_TABLE = 5
"""About five times the maximum time per table of a change to a tree."""

_DEADLINE = (
    "deadline pg_catalog.timestamptz := pg_catalog.clock_timestamp()"
    f" + pg_catalog.current_setting('lock_timeout')::pg_catalog.interval * {SHARE_FOR_WAITING}"
)
_LEAVE_THE_REST = (
    "PERFORM pg_catalog.set_config('lock_timeout', GREATEST(1, pg_catalog.ceil("
    "1000 * EXTRACT(epoch FROM deadline - pg_catalog.clock_timestamp())))::pg_catalog.text, true)"
)


def take(locks: Sequence[Lock], first: Sequence[str] = ()) -> Ours:
    """Return the statement that takes the locks that block writers, in the given order.

    Args:
        locks: of tables.
        first: statements that lock other relations before, with our own rights; they run no code
            of an owner.

    Foreign keys may reference tables of other owners, so it runs as our own role.

    Writers lock the parent, then the partition, then the referenced table: the same order prevents
    deadlocks. All waits together take a share of the lock timeout.
    """
    statements = [part for each in first for part in (_LEAVE_THE_REST, each)]
    statements += [statement for lock in locks for statement in _take(lock)]
    taken = "".join(f"{statement}; " for statement in statements)
    return Ours(f"DO {literal(f'DECLARE {_DEADLINE}; BEGIN {taken}END')}")


def _take(lock: Lock) -> Iterator[str]:
    if lock.mode.blocks_writers:
        yield _LEAVE_THE_REST
        # We may have no privilege to lock a referenced table, and a foreign table can't be locked.
        # Then the statement that needs the lock takes it, as the owner, under the same limits.
        yield (
            f"BEGIN LOCK TABLE ONLY {lock.object} IN {lock.mode} MODE;"
            " EXCEPTION WHEN insufficient_privilege OR wrong_object_type THEN NULL; END"
        )


def allowed_time(n_tables: int) -> Ours:
    """Return the statement that raises the statement timeout for a tree of this many tables.

    The limit for a single table under blocking locks is too short for a tree of dozens of tables,
    since a foreign key is added to or removed from each of them.
    """
    limit = "pg_catalog.current_setting('statement_timeout')::pg_catalog.interval"
    return Ours(
        "SELECT pg_catalog.set_config('statement_timeout', pg_catalog.ceil(GREATEST(1000 * EXTRACT("
        f"epoch FROM {limit}), {MOST_MS_A_TABLE * n_tables}))::pg_catalog.text, true)"
    )
