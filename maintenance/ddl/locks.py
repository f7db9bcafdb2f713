"""Taking several blocking locks as one statement, with time left for the work under them."""

from collections.abc import Iterator, Sequence

from maintenance.engine.actions import Lock
from maintenance.names import literal
from maintenance.server.statements import Ours

SHARE_FOR_WAITING = 0.4
"""Of the lock timeout: who comes after our request waits for that, and then for the work."""

MOST_MS_A_TABLE = 5
"""About five times of what a change of a tree takes for each of its tables, at most."""

_DEADLINE = (
    "deadline pg_catalog.timestamptz := pg_catalog.clock_timestamp()"
    f" + pg_catalog.current_setting('lock_timeout')::pg_catalog.interval * {SHARE_FOR_WAITING}"
)
_LEAVE_THE_REST = (
    "PERFORM pg_catalog.set_config('lock_timeout', GREATEST(1, pg_catalog.ceil("
    "1000 * EXTRACT(epoch FROM deadline - pg_catalog.clock_timestamp())))::pg_catalog.text, true)"
)


def take(locks: Sequence[Lock]) -> Ours:
    """Return the statement that takes the locks that block writers, in the order given.

    Foreign keys may point to tables of other owners, so it is ours.

    Writers lock the parent, then the partition, then what a foreign key points to: in this order
    no two of us can wait for each other. All waits together take a share of the lock timeout.
    """
    taken = "".join(f"{statement}; " for lock in locks for statement in _take(lock))
    return Ours(f"DO {literal(f'DECLARE {_DEADLINE}; BEGIN {taken}END')}")


def _take(lock: Lock) -> Iterator[str]:
    if lock.mode.blocks_writers:
        yield _LEAVE_THE_REST
        # A table that a foreign key points to may be one that we have no right to lock, and a
        # foreign table can't be locked. Then the statement that needs the lock takes it, with the
        # owner's rights, under the same limits.
        yield (
            f"BEGIN LOCK TABLE ONLY {lock.object} IN {lock.mode} MODE;"
            " EXCEPTION WHEN insufficient_privilege OR wrong_object_type THEN NULL; END"
        )


def allowed_time(n_tables: int) -> Ours:
    """Return the statement that allows those after it time for a tree of so many tables, at least.

    What a change of a flat partition may take under blocking locks is too short for a tree of
    dozens of tables, each of which gets or loses its share of a foreign key.
    """
    limit = "pg_catalog.current_setting('statement_timeout')::pg_catalog.interval"
    return Ours(
        "SELECT pg_catalog.set_config('statement_timeout', pg_catalog.ceil(GREATEST(1000 * EXTRACT("
        f"epoch FROM {limit}), {MOST_MS_A_TABLE * n_tables}))::pg_catalog.text, true)"
    )
