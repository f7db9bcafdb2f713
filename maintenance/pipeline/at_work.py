"""Objects that a run is changing right now: they are judged after it, by its own findings.

Half of a change looks like damage: partitions without statistics, a default partition with rows
that are being moved. An observation beside a run would raise what that run is about to resolve.
"""

from collections.abc import Iterator
from datetime import timedelta

from maintenance.catalog.models import Snapshot
from maintenance.engine.run_lock import is_held
from maintenance.engine.target import Target
from maintenance.server.session import fetch

LONGEST_RUN = timedelta(hours=4)
"""After this time a run no longer hides anything. Dagster terminates its runs then."""


def objects_at_work(target: Target, snapshot: Snapshot, look_s: float) -> frozenset[str]:
    """Return the objects that a run has changed since a look began, or is about to change.

    Args:
        target: the database that was observed.
        snapshot: what was observed.
        look_s: how long ago the look began, in seconds.

    Raises:
        UsageError, UnreachableError, MaintenanceError: as `Target.database`.
    """
    with target.optional_store() as store:
        if store is None:
            return frozenset()
        about = {"database": target.policy.database.name, "seconds": look_s, "longest": LONGEST_RUN}
        rows = fetch(store, "store", "list_actions_at_work", about)
    if any(row.is_open for row in rows) and not _is_locked(target):
        rows = [row for row in rows if not row.is_open]
    names = {name for row in rows for name in (row.object, row.table_name) if name is not None}
    return frozenset(names | {part for name in names for part in _parts(snapshot, name)})


def _is_locked(target: Target) -> bool:
    with target.database("notify") as connection:
        return is_held(connection)


def _parts(snapshot: Snapshot, name: str) -> Iterator[str]:
    """Yield the partitions of a table, at any depth."""
    for relation, table in snapshot.tables.items():
        if str(relation) == name:
            yield from (str(each) for part in table.partitions for each in part.names)
