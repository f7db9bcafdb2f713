"""Obstacles to a concurrent build of an index, and the wait until they are gone.

A concurrent build waits for every older transaction, holds back VACUUM of its table meanwhile, and
writes as much WAL as the index is large. So it is not begun while a transaction is open that has
been open for long, nor while slots, replicas or the server can't take that WAL.
"""

from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any, NamedTuple

import psycopg

from maintenance.engine.action_context import ActionContext
from maintenance.engine.build_load import (
    MEASURED_S,
    SMALL_BUILD,
    Build,
    ServerLoad,
    Slot,
    WalRate,
    load_obstacles,
    not_seen,
    read_load,
    retaining,
    unread_load,
    what_is_not_seen,
    without_limits,
)
from maintenance.errors import (
    BuildPostponedError,
    LockNotAcquiredError,
    MaintenanceError,
    UnreachableError,
)
from maintenance.formatting import readable_size
from maintenance.policy.thresholds import IndexesPolicy, IndexPreflight
from maintenance.server.disk import free_disk
from maintenance.server.session import Connection, fetch, to_error

ASK_EVERY_S = 0.5
"""Seconds between two looks at the obstacles."""

Obstacle = LockNotAcquiredError | BuildPostponedError


class IndexSize(NamedTuple):
    """How large an index may become, if its table does not tell, and its place.

    Attributes:
        tablespace: its location; None for that of the server.
    """

    size_bytes: int
    tablespace: str | None


def limits_of(context: ActionContext) -> IndexPreflight:
    """Return the conditions of the policy, or the usual ones."""
    return (context.policy.indexes or IndexesPolicy()).preflight


def await_build(
    context: ActionContext,
    name: str,
    table: str,
    *,
    size: IndexSize | None = None,
    is_urgent: bool = False,
) -> None:
    """Wait until an index can be built on a table, at most `locks.give_up_after`.

    Args:
        context: of the action.
        name: of the index.
        table: qualified and quoted.
        size: of the index, if known; as large as the table otherwise.
        is_urgent: whether the limits of the policy on slots, replicas and load do not count: the
            load may be what it is because the index is missing.

    Raises:
        LockNotAcquiredError: a transaction or another build was still in the way at the end.
        BuildPostponedError: the server was still too busy at the end, or its disk is too full.
        MaintenanceError: the table does not exist.
    """
    build = Build(name)

    def look() -> Any:
        return _of_table(context.connection, build, table)

    await_room(context, build, look, size, is_urgent=is_urgent)


def await_room(
    context: ActionContext,
    build: Build,
    look: Callable[[], Any],
    size: IndexSize | None = None,
    *,
    is_urgent: bool = False,
) -> Any:
    """Wait until nothing speaks against a build; return the last look.

    Args:
        context: of the action.
        build: what is built.
        look: reads the obstacles: a row with the columns of the query `check_build`.
        size: of the index, if the row does not tell.
        is_urgent: see `await_build`.

    Raises:
        LockNotAcquiredError, BuildPostponedError: see `await_build`.
    """
    limits = limits_of(context)
    asked = without_limits(limits) if is_urgent else limits
    rate = WalRate()

    def look_around() -> _Look:
        row = look()
        wanted = size or IndexSize(row.size_bytes, row.tablespace)
        obstacles = (*waits(build, row, limits), *_backup(build, row))
        known = _read_load(context)
        if known is None:
            return _Look(row, (*obstacles, *unread_load(build, wanted.size_bytes, asked)))
        load, slots = known
        rate.note(load)
        more = load_obstacles(build, wanted.size_bytes, asked, load, slots, rate)
        is_limited = asked.max_wal_rate < inf and wanted.size_bytes >= SMALL_BUILD
        is_complete = rate.bytes_per_s is not None or not is_limited
        return _Look(row, (*obstacles, *more), slots, is_complete=is_complete)

    last = _await(context, look_around)
    wanted = size or IndexSize(last.row.size_bytes, last.row.tablespace)
    refuse_full_disk(context.connection, build, wanted, limits, retaining(last.slots))
    return last.row


def await_drop(context: ActionContext, name: str, table: str) -> None:
    """Wait until an index can be dropped concurrently, at most `locks.give_up_after`.

    Raises:
        LockNotAcquiredError, BuildPostponedError, MaintenanceError: see `await_build`.
    """
    build, limits = Build(name, "dropped"), limits_of(context)

    def look_around() -> _Look:
        row = _of_table(context.connection, build, table)
        return _Look(row, (*waits(build, row, limits), *_backup(build, row)))

    _await(context, look_around)


def _of_table(connection: Connection, build: Build, table: str) -> Any:
    rows = fetch(connection, "server", "check_build", {"table_name": table})
    if not rows:
        raise MaintenanceError(f"{build.name}: not {build.verb}: {table} no longer exists")
    return rows[0]


class _Look(NamedTuple):
    """What was seen before a build.

    Attributes:
        row: about its table or index.
        obstacles: to the build, the first one to be named.
        slots: the replication slots of the server.
        is_complete: whether all was measured that has a limit.
    """

    row: Any
    obstacles: Sequence[Obstacle]
    slots: tuple[Slot, ...] = ()
    is_complete: bool = True


def _await(context: ActionContext, look_around: Callable[[], _Look]) -> _Look:
    """Wait until a look finds no obstacle, and return it.

    An obstacle on which this run gave up before, and that is no matter of one table, is not waited
    for again.
    """
    retry, given_up = context.lock_retry, context.builds.given_up
    deadline = retry.clock() + context.policy.locks.give_up_after.total_seconds()
    told = ""
    while True:
        look = look_around()
        if not look.obstacles and look.is_complete:
            return look
        for obstacle in look.obstacles[:1]:
            if retry.clock() >= deadline or _topic(obstacle) in given_up:
                given_up.add(_topic(obstacle))
                raise obstacle
            if obstacle.reason != told:
                told = obstacle.reason
                context.progress(f"waiting: {obstacle}")
        retry.sleep(ASK_EVERY_S if look.obstacles else MEASURED_S)


def _topic(obstacle: Obstacle) -> tuple[object, ...]:
    """Return what an obstacle is about: the same topic is the same obstacle."""
    if isinstance(obstacle, BuildPostponedError):
        return (obstacle.reason,)
    return obstacle.reason, obstacle.holder.get("pid")


def _read_load(context: ActionContext) -> tuple[ServerLoad, tuple[Slot, ...]] | None:
    """Return the load of the server and its slots; None if the server does not tell.

    Raises:
        UnreachableError: the connection was lost.
    """
    try:
        load, slots = read_load(context.connection)
    except psycopg.Error as exc:
        error = to_error(exc, "reading replication slots, replicas and load")
        if isinstance(error, UnreachableError):
            raise error from exc
        _tell_once(context, {"load"}, f"not waited for: {error.with_hint}")
        return None
    _tell_once(context, set(not_seen(load)), what_is_not_seen(load))
    return load, slots


def _tell_once(context: ActionContext, codes: set[str], text: str) -> None:
    if not codes <= context.builds.not_seen:
        context.builds.not_seen |= codes
        context.progress(text)


def waits(build: Build, row: Any, limits: IndexPreflight) -> Iterator[LockNotAcquiredError]:
    """Yield what a build would wait for.

    Args:
        build: what is built.
        row: of the query `check_build`, or one with the same columns.
        limits: of the policy.
    """
    name = f"{build.name}: not {build.verb}"
    oldest = limits.max_transaction_age.total_seconds()
    if row.oldest_s is not None and row.oldest_s > oldest:
        yield LockNotAcquiredError(
            f"{name}: pid {row.oldest_pid} ({row.oldest}) has a transaction open for"
            f" {row.oldest_s:.0f} s, wanted at most {oldest:.0f} s; the build would wait for it",
            hint="end that session; retried on the next run",
            reason="old_transaction",
            holder=row.oldest_facts,
        )
    if row.n_prepared:
        yield LockNotAcquiredError(
            f"{name}: {row.n_prepared} prepared transactions are open, and the build would wait"
            " for them",
            hint="run COMMIT PREPARED or ROLLBACK PREPARED for those in pg_prepared_xacts",
            reason="prepared_transactions",
        )
    if row.other_build_pid is not None:
        yield LockNotAcquiredError(
            f"{name}: pid {row.other_build_pid} is building an index of the same table, and two"
            " builds would wait for each other",
            hint="retried on the next run",
            reason="other_build",
            holder={"pid": row.other_build_pid},
        )


def _backup(build: Build, row: Any) -> Iterator[BuildPostponedError]:
    """Yield that a base backup is running, whose disks and WAL a build would load further."""
    if row.backup_pid is not None:
        yield BuildPostponedError(
            f"{build.name}: not {build.verb}: pid {row.backup_pid} is taking a base backup",
            hint="retried on the next run",
            reason="base_backup",
            facts={"pid": row.backup_pid},
        )


def refuse_copies(context: ActionContext, relations: Sequence[str]) -> None:
    """Refuse to write copies of relations without enough free disk.

    Args:
        context: of the action.
        relations: their qualified names, quoted.

    Raises:
        BuildPostponedError: as `refuse_full_disk`.
    """
    build = Build(f"copies of {', '.join(relations)}", "written")
    parameters = {"relations": list(relations)}
    for row in fetch(context.connection, "server", "measure_relations", parameters):
        size = IndexSize(row.size_bytes, row.tablespace)
        refuse_full_disk(context.connection, build, size, limits_of(context))


def refuse_full_disk(
    connection: Connection,
    build: Build,
    index: IndexSize,
    limits: IndexPreflight,
    slot: Slot | None = None,
) -> None:
    """Refuse a build without enough free disk.

    Args:
        connection: to the server.
        build: what is built.
        index: the most that it may need.
        limits: of the policy.
        slot: one that retains the WAL of the build too.

    Raises:
        BuildPostponedError: there is not enough, or it is unknown and the index may be large.
    """
    size_bytes = index.size_bytes
    free = free_disk(connection, index.tablespace)
    needed = f"{build.name}: not {build.verb}: it needs up to {readable_size(size_bytes)}"
    if free is not None and free - size_bytes < limits.free_disk:
        raise BuildPostponedError(
            f"{needed} of disk, {readable_size(free)} are free, and"
            f" {readable_size(limits.free_disk)} must remain",
            hint="free disk space, or lower indexes.preflight.free_disk",
            reason="free_disk_low",
            facts={"needed_bytes": size_bytes, "free_bytes": free, "limit": limits.free_disk},
        )
    if free is None and size_bytes > limits.free_disk:
        raise BuildPostponedError(
            f"{needed} of disk, and the free space on the server's disk is unknown",
            hint="build it by hand, or raise indexes.preflight.free_disk above its size",
            reason="free_disk_unknown",
            facts={"needed_bytes": size_bytes, "limit": limits.free_disk},
        )
    if slot is not None and size_bytes >= SMALL_BUILD:
        _refuse_retained_wal(connection, build, index, limits, slot)


def _refuse_retained_wal(
    connection: Connection, build: Build, index: IndexSize, limits: IndexPreflight, slot: Slot
) -> None:
    """Refuse a build whose WAL a slot keeps on a disk that has no room for it."""
    free = free_disk(connection)
    needed = index.size_bytes * (2 if index.tablespace is None else 1)
    if free is not None and free - needed < limits.free_disk:
        raise BuildPostponedError(
            f"{build.name}: not {build.verb}: it and its WAL, which replication slot {slot.name}"
            f" retains since nobody uses it, need up to {readable_size(needed)} of disk,"
            f" {readable_size(free)} are free, and {readable_size(limits.free_disk)} must remain",
            hint="restart the consumer of the slot, drop the slot, or free disk space",
            reason="free_disk_low",
            facts={
                "needed_bytes": needed,
                "free_bytes": free,
                "limit": limits.free_disk,
                "slot": slot.name,
            },
        )
