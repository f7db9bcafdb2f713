"""Build and drop indexes concurrently, without lock timeouts, monitored, and without leftovers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Step
from maintenance.engine.build_cleanup import cleaned_up, drop_unusable
from maintenance.engine.build_monitor import (
    WINDOW_ENDED,
    Watch,
    always,
    run_watched,
    watched,
    without_timeouts,
)
from maintenance.engine.build_preflight import await_build
from maintenance.errors import (
    BuildPostponedError,
    EffectError,
    LockNotAcquiredError,
    MaintenanceError,
)
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.server.session import Connection, fetch, owner_search_path, run_sql


@dataclass(frozen=True, slots=True)
class FoundIndex:
    """The relation that has the name of an index.

    Attributes:
        what: its kind in words.
        table_oid: None if it is no index.
        definition: as the server writes it; None if it is no index.
    """

    oid: int
    what: str
    table_oid: int | None
    table: str | None
    is_valid: bool
    is_building: bool
    definition: str | None
    size_bytes: int | None


def find_index(connection: Connection, name: str) -> FoundIndex | None:
    """Return the relation that has a name, qualified and quoted; None if there is none."""
    rows = fetch(connection, "server", "find_index", {"name": name})
    return FoundIndex(*rows[0]) if rows else None


def oids_of(connection: Connection, names: list[str]) -> dict[str, int]:
    """Return the OIDs of those of the relations that exist, by their qualified names."""
    rows = fetch(connection, "server", "find_relations", {"names": names})
    return {row.name: row.oid for row in rows}


def build_index(context: ActionContext, step: Step, *, is_urgent: bool = False) -> FoundIndex:
    """Build an index concurrently, after dropping what an incomplete build left.

    An index of that name that is valid already is returned as it is.

    Args:
        context: of the action.
        step: builds one index, whose name it knows.
        is_urgent: whether it is built whatever the load of the server, and at any time.

    Raises:
        LockNotAcquiredError: an old transaction was still open when the wait ended.
        BuildPostponedError: the server was too busy until the wait ended, or its disk is too full;
            or the hours of the policy ended.
        MaintenanceError: it can't be built; what is left of it is dropped, or named in the hint.
    """
    name, table = str(step.makes), step.locks[0].object
    connection = context.connection
    found = _free(context, name, table)
    if found is not None and found.is_valid:
        return found
    may_run = always if is_urgent else _limits(context).is_in_window
    _refuse_outside_window(name, may_run)
    await_build(context, name, table, is_urgent=is_urgent)
    _refuse_outside_window(name, may_run)
    with (
        without_timeouts(context),
        watched(context, may_run=may_run) as watch,
        owner_search_path(connection, context.policy.database.search_path),
    ):
        if found is not None:
            _drop_leftover(context, name, table, None, context.policy.locks.give_up_after)
        try:
            for statement in step.prepare:
                run_sql(connection, statement)
            with cleaned_up(context, partial(_clean_up, name, table, watch)):
                run_watched(context, step.statements[0], watch)
        finally:
            if step.prepare and not connection.closed and not connection.broken:
                run_sql(connection, "RESET default_tablespace")
    made = find_index(connection, name)
    if made is None or not made.is_valid:
        raise EffectError(f"{name}: built, but the catalog does not show it as valid")
    return made


def drop_index(context: ActionContext, step: Step) -> None:
    """Drop an index concurrently.

    Raises:
        LockNotAcquiredError: an old transaction was still open when the wait ended; the index is
            unusable then, and dropped by the next attempt.
        MaintenanceError: the server refused.
    """
    with without_timeouts(context), watched(context) as watch:
        run_watched(context, step.statements[0], watch)


def _limits(context: ActionContext) -> IndexesPolicy:
    return context.policy.indexes or IndexesPolicy()


def _refuse_outside_window(name: str, may_run: Callable[[datetime], bool]) -> None:
    if not may_run(datetime.now(UTC)):
        raise BuildPostponedError(
            f"{name}: not begun: indexes.window has ended",
            hint="begun in the next hours of the window; lengthen it if they never suffice",
            reason=WINDOW_ENDED,
        )


def _free(context: ActionContext, name: str, table: str) -> FoundIndex | None:
    """Return the index that has the name on that table; None if the name is free."""
    found = find_index(context.connection, name)
    if found is None:
        return None
    (own,) = oids_of(context.connection, [table]).values() or (None,)
    if found.table_oid is None or found.table_oid != own:
        where = f" of {found.table}" if found.table else ""
        raise MaintenanceError(
            f"{name}: not built: its name is taken by {found.what}{where}",
            hint="rename one of them",
            reason="name_taken",
        )
    if not found.is_valid and found.is_building:
        raise LockNotAcquiredError(
            f"{name}: another session builds an index of {table}",
            hint="retried on the next run",
            reason="other_build",
        )
    return found


def _clean_up(
    name: str, table: str, watch: Watch, context: ActionContext, within: timedelta
) -> None:
    """Drop what a build left that did not end."""
    _drop_leftover(context, name, table, watch.index_oid, within)


def _drop_leftover(
    context: ActionContext, name: str, table: str, oid: int | None, within: timedelta
) -> None:
    """Drop the invalid index of an incomplete build, by its OID, or else by its name and table."""
    found = find_index(context.connection, name) if oid is None else None
    own = oids_of(context.connection, [table]).get(table)
    if found is not None and found.table_oid == own:
        oid = found.oid
    if oid is not None:
        drop_unusable(context, oid, within)
