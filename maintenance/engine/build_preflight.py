"""Obstacles to a concurrent build of an index, and the wait until they are gone.

A concurrent build waits for every older transaction, and holds back VACUUM of its table meanwhile,
so it is not begun while one is open that has been open for long.
"""

from dataclasses import dataclass
from typing import Any

from maintenance.engine.action_context import ActionContext
from maintenance.errors import LockNotAcquiredError, MaintenanceError
from maintenance.formatting import readable_size
from maintenance.policy.thresholds import IndexesPolicy, IndexPreflight
from maintenance.server.disk import free_disk
from maintenance.server.session import Connection, fetch

ASK_EVERY_S = 0.5
"""Seconds between two looks at the obstacles."""


@dataclass(frozen=True, slots=True)
class Build:
    """What is built, for messages.

    Attributes:
        name: of the index.
        verb: what is not done to it, such as `built`.
    """

    name: str
    verb: str = "built"


def limits_of(context: ActionContext) -> IndexPreflight:
    """Return the conditions of the policy, or the usual ones."""
    return (context.policy.indexes or IndexesPolicy()).preflight


def await_build(context: ActionContext, name: str, table: str) -> None:
    """Wait until an index can be built on a table, at most `locks.give_up_after`.

    Args:
        context: of the action.
        name: of the index.
        table: qualified and quoted.

    Raises:
        LockNotAcquiredError: an obstacle was still there at the end.
        MaintenanceError: the table does not exist, or there is not enough free disk space.
    """
    build, limits = Build(name), limits_of(context)
    row = _await(context, build, table)
    refuse_full_disk(context.connection, build, row.size_bytes, row.tablespace, limits)


def await_drop(context: ActionContext, name: str, table: str) -> None:
    """Wait until an index can be dropped concurrently, at most `locks.give_up_after`.

    Raises:
        LockNotAcquiredError, MaintenanceError: see `await_build`.
    """
    _await(context, Build(name, "dropped"), table)


def _await(context: ActionContext, build: Build, table: str) -> Any:
    limits, retry = limits_of(context), context.lock_retry
    deadline = retry.clock() + context.policy.locks.give_up_after.total_seconds()
    told = ""
    while True:
        rows = fetch(context.connection, "server", "check_build", {"table_name": table})
        if not rows:
            raise MaintenanceError(f"{build.name}: not {build.verb}: {table} no longer exists")
        (row,) = rows
        obstacle = waits(build, row, limits) or _backup(build, row)
        if obstacle is None:
            return row
        if retry.clock() >= deadline:
            raise obstacle
        if obstacle.reason != told:
            told = obstacle.reason
            context.progress(f"waiting: {obstacle}")
        retry.sleep(ASK_EVERY_S)


def waits(build: Build, row: Any, limits: IndexPreflight) -> LockNotAcquiredError | None:
    """Return what a build would wait for; None if nothing.

    Args:
        build: what is built.
        row: of the query `check_build`, or one with the same columns.
        limits: of the policy.
    """
    name = f"{build.name}: not {build.verb}"
    oldest = limits.max_transaction_age.total_seconds()
    if row.oldest_s is not None and row.oldest_s > oldest:
        return LockNotAcquiredError(
            f"{name}: pid {row.oldest_pid} ({row.oldest}) has a transaction open for"
            f" {row.oldest_s:.0f} s, wanted at most {oldest:.0f} s; the build would wait for it",
            hint="end that session; retried on the next run",
            reason="old_transaction",
        )
    if row.n_prepared:
        return LockNotAcquiredError(
            f"{name}: {row.n_prepared} prepared transactions are open, and the build would wait"
            " for them",
            hint="run COMMIT PREPARED or ROLLBACK PREPARED for those in pg_prepared_xacts",
            reason="prepared_transactions",
        )
    if row.other_build_pid is not None:
        return LockNotAcquiredError(
            f"{name}: pid {row.other_build_pid} is building an index of the same table, and two"
            " builds would wait for each other",
            hint="retried on the next run",
            reason="other_build",
        )
    return None


def _backup(build: Build, row: Any) -> LockNotAcquiredError | None:
    """Return that a base backup is running, whose disks and WAL a build would load further."""
    if row.backup_pid is None:
        return None
    return LockNotAcquiredError(
        f"{build.name}: not {build.verb}: pid {row.backup_pid} is taking a base backup",
        hint="retried on the next run",
        reason="base_backup",
    )


def refuse_full_disk(
    connection: Connection,
    build: Build,
    size_bytes: int,
    tablespace: str | None,
    limits: IndexPreflight,
) -> None:
    """Refuse a build without enough free disk.

    Args:
        connection: to the server.
        build: what is built.
        size_bytes: the most that the index may need.
        tablespace: its location; None for that of the server.
        limits: of the policy.

    Raises:
        MaintenanceError: there is not enough, or it is unknown and the index may be large.
    """
    free = free_disk(connection, tablespace)
    needed = f"{build.name}: not {build.verb}: it needs up to {readable_size(size_bytes)}"
    if free is not None and free - size_bytes < limits.free_disk:
        raise MaintenanceError(
            f"{needed} of disk, {readable_size(free)} are free, and"
            f" {readable_size(limits.free_disk)} must remain",
            hint="free disk space, or lower indexes.preflight.free_disk",
            reason="free_disk_low",
        )
    if free is None and size_bytes > limits.free_disk:
        raise MaintenanceError(
            f"{needed} of disk, and the free space on the server's disk is unknown",
            hint="build it by hand, or raise indexes.preflight.free_disk above its size",
            reason="free_disk_unknown",
        )
