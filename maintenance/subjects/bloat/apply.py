"""Rebuilding an index while everybody goes on: looked before, watched, cleaned up, verified.

REINDEX CONCURRENTLY waits for every older snapshot. A lock timeout would end such a wait with an
invalid index left behind, so there is none: somebody watches, and gives up for a reason.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action
from maintenance.engine.build_monitor import run_watched, watched, without_timeouts
from maintenance.errors import (
    EffectError,
    LockNotAcquiredError,
    MaintenanceError,
    NotNeededError,
    UnreachableError,
)
from maintenance.formatting import readable_size
from maintenance.policy.thresholds import IndexesPolicy, IndexPreflight
from maintenance.server.disk import free_disk
from maintenance.server.session import (
    Connection,
    fetch,
    owner_search_path,
)
from maintenance.subjects.bloat.history import (
    Beginning,
    begin_rebuild,
    end_rebuild,
    note_failure,
    note_new_oid,
    rebuilds_of,
)
from maintenance.subjects.bloat.observe import list_leftovers
from maintenance.subjects.bloat.plan import drop_leftover, ours_among


def rebuild(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Rebuild one index; returns what it won.

    Raises:
        NotNeededError: the index is gone, or has become invalid.
        LockNotAcquiredError: an old transaction stands in the way, or outlasted the wait.
        MaintenanceError: the disk is too full, or the server refused.
    """
    begun = _preflight(context, action)
    number = begin_rebuild(context.store, context.policy.database.name, context.run_id, begun)
    statement = f"REINDEX INDEX CONCURRENTLY {begun.name}"
    path = context.policy.database.search_path
    try:
        with (
            without_timeouts(context),
            watched(context, partial(note_new_oid, context.store, number)) as watch,
            owner_search_path(context.connection, path),
        ):
            run_watched(context, statement, watch)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        _clean_up(context, number, exc)
        raise
    size_after = _verified(context, begun)
    end_rebuild(context.store, number, size_after)
    size_before = begun.size_bytes
    context.progress(
        f"{begun.name}: {readable_size(size_before)} before, {readable_size(size_after)} after"
    )
    return {
        "size_before": size_before,
        "size_after": size_after,
        "won_bytes": size_before - size_after,
        "won_fraction": round(1 - size_after / size_before, 3) if size_before else 0.0,
    }


def _preflight(context: ActionContext, action: Action) -> Beginning:
    """Look once more whether the index can be rebuilt now, by its OID, and what it is called."""
    oid = int(action.preconditions["oid"])
    rows = fetch(context.connection, "bloat", "check_rebuild", {"index_oid": oid})
    if not rows:
        raise NotNeededError(
            f"{action.object}: it no longer exists: it was dropped or replaced since it was planned"
        )
    row = rows[0]
    if not row.is_valid:
        raise NotNeededError(f"{action.object}: it has become invalid since it was planned")
    limits = (context.policy.indexes or IndexesPolicy()).preflight
    _refuse_waits(row.name, row, limits)
    _refuse_full_disk(context.connection, row.name, row, limits)
    return Beginning(row.name, oid, int(row.size_bytes), row.table_oid, list(row.indexes))


def _refuse_waits(name: str, row: Any, limits: IndexPreflight) -> None:
    oldest = limits.max_transaction_age.total_seconds()
    if row.oldest_s is not None and row.oldest_s > oldest:
        raise LockNotAcquiredError(
            f"{name}: pid {row.oldest_pid} ({row.oldest}) has a transaction open for"
            f" {row.oldest_s:.0f} s, and a rebuild would wait for it; wanted at most {oldest:.0f}",
            hint="end that session; the next run tries again",
        )
    if row.n_prepared:
        raise LockNotAcquiredError(
            f"{name}: {row.n_prepared} prepared transactions are open, and a rebuild would wait",
            hint="COMMIT PREPARED or ROLLBACK PREPARED what pg_prepared_xacts shows",
        )
    if row.other_build_pid is not None:
        raise LockNotAcquiredError(
            f"{name}: pid {row.other_build_pid} builds an index of the same table",
            hint="two at a time would wait for each other; the next run tries again",
        )


def _refuse_full_disk(connection: Connection, name: str, row: Any, limits: IndexPreflight) -> None:
    """The new index takes as much as the old one at most, and both are there for a while."""
    free = free_disk(connection, row.tablespace)
    if free is not None and free - row.size_bytes < limits.free_disk:
        raise MaintenanceError(
            f"{name}: a rebuild takes up to {readable_size(row.size_bytes)}, {readable_size(free)}"
            f" are free, and {readable_size(limits.free_disk)} are to be left",
            hint="make room, or lower indexes.preflight.free_disk",
            reason="free_disk_low",
        )
    if free is None and row.size_bytes > limits.free_disk:
        raise MaintenanceError(
            f"{name}: a rebuild takes up to {readable_size(row.size_bytes)}, and how much is free"
            " on the server's disk can't be seen from here",
            hint="rebuild it by hand, or raise indexes.preflight.free_disk above its size",
            reason="free_disk_unknown",
        )


def _clean_up(context: ActionContext, number: int, cause: MaintenanceError) -> None:
    """Drop what the failed rebuild left; what can't be dropped now is the next run's to drop."""
    database = context.policy.database.name
    told = f"{cause} ({cause.hint})" if cause.hint else str(cause)
    note_failure(context.store, number, told)
    try:
        rebuilds = [each for each in rebuilds_of(context.store, database) if each.id == number]
        for leftover in ours_among(list_leftovers(context.connection), rebuilds):
            for step in drop_leftover(leftover):
                context.run(step)
        end_rebuild(context.store, number, None)
    except MaintenanceError as exc:
        context.progress(f"what the rebuild left is still there, the next run drops it: {exc}")


def _verified(context: ActionContext, begun: Beginning) -> int:
    """Return the size of the index that took the old one's place, whatever it is called now."""
    rows = fetch(context.connection, "bloat", "list_indexes_of", {"table_oid": begun.table_oid})
    made = [row for row in rows if row.is_valid and row.oid not in begun.indexes]
    made.sort(key=lambda row: row.name != begun.name)
    if not made or begun.oid in {row.oid for row in rows}:
        raise EffectError(f"{begun.name}: rebuilt, and yet the catalog shows the old index")
    return int(made[0].size_bytes)
