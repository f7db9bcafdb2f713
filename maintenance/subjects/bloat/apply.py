"""Rebuild an index online: preflight, monitored build, cleanup, verification.

REINDEX CONCURRENTLY waits for every older snapshot. A lock timeout would end the wait and leave an
invalid index, so none is set: a second session monitors the build and cancels it if necessary.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action
from maintenance.engine.build_cleanup import cleaned_up, drop_unusable
from maintenance.engine.build_load import Build
from maintenance.engine.build_monitor import run_watched, watched, without_timeouts
from maintenance.engine.build_preflight import await_room
from maintenance.errors import (
    EffectError,
    MaintenanceError,
    NotNeededError,
    UnreachableError,
)
from maintenance.formatting import readable_size
from maintenance.server.session import fetch, owner_search_path
from maintenance.subjects.bloat.history import (
    Beginning,
    begin_rebuild,
    end_rebuild,
    note_failure,
    note_new_oid,
    rebuilds_of,
)
from maintenance.subjects.bloat.observe import list_leftovers
from maintenance.subjects.bloat.plan import ours_among


def rebuild(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Rebuild one index; return the sizes before and after.

    Raises:
        NotNeededError: the index no longer exists, or has become invalid.
        LockNotAcquiredError: an old transaction is open, or was still open when the wait ended.
        BuildPostponedError: the server was too busy until the wait ended, or its disk is too full.
        MaintenanceError: the server refused.
    """
    begun = _preflight(context, action)
    number = begin_rebuild(context.store, context.policy.database.name, context.run_id, begun)
    statement = f"REINDEX INDEX CONCURRENTLY {begun.name}"
    path = context.policy.database.search_path
    with (
        without_timeouts(context),
        watched(context, partial(note_new_oid, context.store, number)) as watch,
        owner_search_path(context.connection, path),
        cleaned_up(context, partial(_clean_up, number)),
    ):
        try:
            run_watched(context, statement, watch)
        except UnreachableError:
            raise
        except MaintenanceError as exc:
            note_failure(context.store, number, exc.with_hint)
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
    """Wait until the index, by its OID, can be rebuilt; return its current name."""
    oid = int(action.preconditions["oid"])
    row = await_room(context, Build(action.object, "rebuilt"), lambda: _look(context, action, oid))
    return Beginning(row.name, oid, int(row.size_bytes), row.table_oid, list(row.indexes))


def _look(context: ActionContext, action: Action, oid: int) -> Any:
    rows = fetch(context.connection, "bloat", "check_rebuild", {"index_oid": oid})
    if not rows:
        raise NotNeededError(
            f"{action.object}: no longer exists: dropped or replaced since the plan was made"
        )
    if not rows[0].is_valid:
        raise NotNeededError(f"{action.object}: became invalid since the plan was made")
    return rows[0]


def _clean_up(number: int, context: ActionContext, within: timedelta) -> None:
    """Drop the leftover of the failed rebuild; if that fails, the next run drops it."""
    database = context.policy.database.name
    rebuilds = [each for each in rebuilds_of(context.store, database) if each.id == number]
    for leftover in ours_among(list_leftovers(context.connection), rebuilds):
        drop_unusable(context, leftover.oid, within)
    end_rebuild(context.store, number, None)


def _verified(context: ActionContext, begun: Beginning) -> int:
    """Return the size of the index that replaced the old one, whatever its name is now."""
    rows = fetch(context.connection, "bloat", "list_indexes_of", {"table_oid": begun.table_oid})
    made = [row for row in rows if row.is_valid and row.oid not in begun.indexes]
    made.sort(key=lambda row: row.name != begun.name)
    if not made or begun.oid in {row.oid for row in rows}:
        raise EffectError(f"{begun.name}: REINDEX succeeded, but the catalog is unchanged")
    return int(made[0].size_bytes)
