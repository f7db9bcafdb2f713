"""Executes a drain of a default partition, in rounds of as many periods as one exchange attaches.

One round replaces a partition with copies of its rows; a split is one round too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from maintenance.catalog.observe import observe
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action
from maintenance.engine.pace import Pace
from maintenance.engine.steps import run_steps
from maintenance.errors import (
    ContinuedError,
    EffectError,
    LockNotAcquiredError,
    MaintenanceError,
    UnreachableError,
)
from maintenance.policy import PartitionPolicy
from maintenance.subjects.partitions.drain.backfill import (
    catch_up,
    copy_rows,
    follow,
    n_open_changes,
    too_busy,
)
from maintenance.subjects.partitions.drain.capture import (
    install,
    logging_function,
    mirroring_function,
)
from maintenance.subjects.partitions.drain.cleanup import clear
from maintenance.subjects.partitions.drain.exchange import exchange
from maintenance.subjects.partitions.drain.foreign_keys import add_foreign_keys
from maintenance.subjects.partitions.drain.job import Job, Objects
from maintenance.subjects.partitions.drain.kept_copy import create_progress
from maintenance.subjects.partitions.drain.kept_mark import KEPT, kept_mark
from maintenance.subjects.partitions.drain.older_transactions import (
    released,
    wait_for_older_snapshots,
)
from maintenance.subjects.partitions.drain.prepare import prepare
from maintenance.subjects.partitions.drain.registry import register
from maintenance.subjects.partitions.drain.staging import build, build_root, finish
from maintenance.subjects.partitions.drain.transactions import transact
from maintenance.subjects.partitions.drain.verify import Content, compare
from maintenance.subjects.partitions.released_names import release, release_of


def drain_default(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Replace a default partition with copies of its rows in new partitions.

    Returns:
        The rows of each period, and how many remain in the default partition.

    Raises:
        MaintenanceError: an obstacle, or other sessions blocked it until the deadline; nothing
            has changed then.
    """
    section = section_of(context, action)
    waiting = dict(action.preconditions["periods"])
    ranges = action.preconditions["ranges"]
    moved: dict[str, int] = {}
    left = 0
    while waiting:
        schema = action.preconditions.get("schema", section.table.schema)
        job = prepare(context, section, schema, waiting, ranges)
        if not moved and job.drained.oid != action.preconditions["default_oid"]:
            raise MaintenanceError(
                f"{action.object} is not the table of the plan", reason="another_table"
            )
        contents = replace_with_copies(context, job)
        keys = sorted(waiting)[: len(job.periods)]
        moved |= {key: content.n_rows for key, content in zip(keys, contents, strict=False)}
        left = contents[-1].n_rows
        waiting = {key: name for key, name in waiting.items() if key not in keys}
    return {"rows": sum(moved.values()), "periods": moved, "left": left}


def remove_leftovers(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Remove the leftovers of an interrupted run: a drain's objects, or only CHECKs."""
    if "drained_oid" in action.preconditions:
        schema, oid = action.preconditions["schema"], action.preconditions["drained_oid"]
        clear(context, Objects(schema, oid))
        return {}
    return run_steps(context, action)


def section_of(context: ActionContext, action: Action) -> PartitionPolicy:
    """Return the policy of the table that an action serves."""
    return next(s for s in context.policy.partitions if str(s.table) == action.table)


def replace_with_copies(
    context: ActionContext, job: Job, pace: Pace | None = None
) -> tuple[Content, ...]:
    """Copy the rows of a partition and exchange it for the copies; then remove it.

    Args:
        context: with a session that is not in a transaction.
        job: the partition and its targets.
        pace: of the batches and of longer statements; None for no pause.

    Returns:
        The verified content of each target.

    Raises:
        ContinuedError: the time to copy is used up; the copies are kept.
        MaintenanceError: an obstacle, or other sessions blocked it until the deadline; nothing
            has changed then.
    """
    try:
        contents = _round(context, job, pace)
    except (UnreachableError, ContinuedError):  # the next run continues
        raise
    except MaintenanceError as exc:
        try:
            clear(context, job.objects)
        except MaintenanceError as second:
            exc.add_note(f"also, the objects of the drain could not be removed: {second}")
        raise
    # The old tables are removed only after the catalog shows their replacements.
    _verify(context, job)
    clear(context, job.objects)
    return contents


def _round(context: ActionContext, job: Job, pace: Pace | None) -> tuple[Content, ...]:
    xid = _copy(context, job, pace)
    xid, contents = _prove(context, job, xid)
    _wait(context, xid, _deadline(context, pace))
    add_foreign_keys(context, job)
    deadline = _deadline(context, pace)
    if not job.takes_names:
        _exchange(context, job, xid, deadline, is_patient=pace is not None)
        return contents
    step, names = release(job.table, job.drained), release_of(job.table, job.drained)
    with released(context, step, names, deadline) as xid:
        job = replace(job, is_released=True)
        _exchange(context, job, xid, deadline, is_patient=pace is not None)
    return contents


def _exchange(
    context: ActionContext, job: Job, xid: str, deadline: float, *, is_patient: bool
) -> None:
    """Replace the partition as soon as all changes are in the copies, and nobody reads it."""
    while True:
        xid = follow(context, job, xid, deadline)
        _wait(context, xid, deadline)
        try:
            context.run(exchange(job))
        except MaintenanceError as exc:
            waits = is_patient and isinstance(exc, LockNotAcquiredError)
            if context.lock_retry.clock() >= deadline or not (
                waits or n_open_changes(context, job)
            ):
                raise
        else:
            return


def _wait(context: ActionContext, xid: str, deadline: float) -> None:
    wait_for_older_snapshots(context, xid, deadline, "the copied rows")


def _copy(context: ActionContext, job: Job, pace: Pace | None) -> str:
    """Copy the rows and start mirroring; return the last transaction that wrote rows."""
    objects = job.objects
    if not job.resumes:
        context.run(install(job, prepare=tuple(_prepared(job))))
    xid = copy_rows(context, job, pace)
    if pace is not None and job.keys:
        pace.require_half()
    xid = catch_up(context, job, xid, into=objects.plain)
    transact(context, job.owner, (*build_root(job), register(job)))
    for target in job.targets:
        if pace is not None:
            pace.keep()
        context.progress(f"{target.named.root}: building indexes")
        transact(context, job.owner, tuple(finish(job, target)))
    transact(context, job.owner, [f"DROP TABLE {objects.plain}"])
    xid = catch_up(context, job, xid, into=objects.root)
    transact(context, job.owner, [mirroring_function(job)])
    return xid


def _prepared(job: Job) -> Iterator[str]:
    yield from build(job)
    yield from create_progress(job) if job.keys else ()
    yield from logging_function(job)
    yield register(job, {KEPT: kept_mark(job)} if job.keys else None)


_FEWEST_COMPARISONS = 3
"""Of a large table each takes longer than the waits may; changes meanwhile can make one fail."""


def _deadline(context: ActionContext, pace: Pace | None = None) -> float:
    """Return when waits that begin now are given up; work that reads all rows is no wait.

    With a pace, hours of work would be in vain, so a long report or backup is waited for.
    """
    patience = context.lock_retry.give_up_after
    if pace is not None:
        patience = max(patience, pace.limits.max_wait)
    return context.lock_retry.clock() + patience.total_seconds()


def _prove(context: ActionContext, job: Job, xid: str) -> tuple[str, tuple[Content, ...]]:
    """Return the last transaction that wrote rows, and the verified content of each copy."""
    deadline, n_comparisons = _deadline(context), 0
    while True:
        xid = follow(context, job, xid, _deadline(context))
        n_comparisons += 1
        context.progress(f"{job.drained.relation}: comparing rows and copies")
        proof = compare(context, job)
        if proof.holds:
            return xid, proof.copies
        if context.lock_retry.clock() >= deadline and n_comparisons >= _FEWEST_COMPARISONS:
            raise too_busy(job)


def _verify(context: ActionContext, job: Job) -> None:
    snapshot = observe(
        context.connection, [job.table.relation], time_cap=context.policy.observe.time_cap
    )
    table = snapshot.tables.get(job.table.relation, job.table)
    if (error := snapshot.failed.get(table.relation)) is not None:
        raise MaintenanceError(
            f"{table.relation}: can't be read after the exchange: {error}", reason="unreadable"
        )
    attached = {partition.relation for partition in table.partitions}
    is_there = any(partition.oid == job.drained.oid for partition in table.partitions)
    if is_there or not attached.issuperset(target.final.root for target in job.targets):
        raise EffectError(
            f"{job.table.relation}: the exchange succeeded, but the catalog is unchanged"
        )
