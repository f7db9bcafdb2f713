"""Carry out declarations: build, replace and drop indexes, add constraints and columns.

Indexes are built without lock timeouts, monitored from a second session, one at a time. What was
made is noted at once, so that an undo recognizes it after a crash too.
"""

import time
from collections.abc import Mapping
from typing import Any

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, Lock, LockMode, Step
from maintenance.engine.build_preflight import await_drop
from maintenance.engine.index_build import FoundIndex, build_index, find_index, oids_of
from maintenance.engine.steps import run_step
from maintenance.errors import (
    ContinuedError,
    EffectError,
    MaintenanceError,
    NotNeededError,
    UnreachableError,
)
from maintenance.formatting import counted, readable_size
from maintenance.server.session import fetch, owner_search_path
from maintenance.store.undo import note_made
from maintenance.subjects.indexes.declared import rollout_proof

SHOWN_PARTITIONS = 3
"""Partitions without a part of an index that a message names."""


def create(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Build a declared index, on a partitioned table partition by partition.

    Raises:
        LockNotAcquiredError: an obstacle to the build was still there when the wait ended.
        RegressionError: it made a measured query slower than the policy allows, and was undone.
        ContinuedError: partitions came since the plan was made; the next run builds their parts.
        MaintenanceError: it can't be built; no leftover of the failed build remains.
    """
    _require_table(context, action)
    if action.detail.get("upserts"):
        context.progress(
            f"{action.object}: INSERT ... ON CONFLICT on {action.table} can fail with a false"
            " unique violation during this build"
        )
    before = rollout_proof.measure_before(context, action)
    began = time.perf_counter()
    made = _build(context, action)
    detail = _verified(context, action, made)
    detail["build_s"] = round(time.perf_counter() - began, 3)
    if context.builds.not_seen:
        detail["not_seen"] = sorted(context.builds.not_seen)
    if before is not None:
        detail["proof"] = rollout_proof.conclude(context, action, before, detail["made"])
    return detail


def _build(context: ActionContext, action: Action) -> dict[str, int]:
    """Build the index with its parts; return the OIDs of what was made."""
    made: dict[str, int] = {}

    def note(oids: Mapping[str, int]) -> None:
        made.update(oids)
        note_made(context.store, context.run_id, action.id, made)

    builds = [step for step in action.steps if step.builds_index]
    for place, step in enumerate(builds, 1):
        if len(builds) > 1:
            context.progress(f"{action.object}: building {step.makes}, {place} of {len(builds)}")
        note({str(step.makes): build_index(context, step).oid})
    for step in action.steps:
        if step.builds_index:
            continue
        _run_once(context, step)
        if step.makes is not None:
            note(oids_of(context.connection, [step.makes]))
    return made


def drop(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Drop an index: an unusable one, one that is declared as dropped, or one that is replaced.

    Raises:
        NotNeededError: it no longer exists.
        LockNotAcquiredError: it is in use by an old transaction.
        MaintenanceError: the index that replaces it is not usable, or the server refused.
    """
    oid = int(action.preconditions["oid"])
    found = _observed(context, action, oid)
    if found is None:
        raise NotNeededError(
            f"{action.object}: no longer exists: dropped or replaced since the plan was made"
        )
    new = action.preconditions.get("new")
    if new is not None:
        successor = find_index(context.connection, new)
        if successor is None or not successor.is_valid:
            raise MaintenanceError(
                f"{action.object}: not dropped: {new}, which replaces it, is not usable",
                hint="it is built again by the next run",
            )
    for step in action.steps:
        if step.drops_index:
            await_drop(context, action.object, step.locks[0].object)
        run_step(context, step)
    return {"size_bytes": found.size_bytes}


def _observed(context: ActionContext, action: Action, oid: int) -> FoundIndex | None:
    """Return the index to drop, or the one that only has to be renamed: the observed one."""
    names = (action.object, action.preconditions.get("new"))
    found = (find_index(context.connection, name) for name in names if name is not None)
    return next((each for each in found if each is not None and each.oid == oid), None)


def alter(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Add a constraint or a generated column, or validate a constraint.

    Raises:
        NotNeededError: the table was dropped or replaced.
        LockNotAcquiredError: its table was in use until the wait ended.
        MaintenanceError: the server refused.
    """
    _require_table(context, action)
    for step in action.steps:
        context.run(step)
    return {}


def _require_table(context: ActionContext, action: Action) -> None:
    table = str(action.table)
    if oids_of(context.connection, [table]).get(table) != action.preconditions["oid"]:
        raise NotNeededError(
            f"{action.object}: {table} was dropped or replaced since the plan was made"
        )


def _run_once(context: ActionContext, step: Step) -> None:
    """Run a step, unless it creates what an earlier attempt has created already."""
    if step.makes is None or not oids_of(context.connection, [step.makes]):
        context.run(step)


def _verified(context: ActionContext, action: Action, made: Mapping[str, int]) -> dict[str, Any]:
    """Return the sizes of what was made, if it is valid and on its table.

    Raises:
        EffectError, ContinuedError: it is not.
    """
    found = find_index(context.connection, action.object)
    if found is None or found.table_oid != action.preconditions["oid"]:
        raise EffectError(f"{action.object}: built, but it is not an index of {action.table}")
    if not found.is_valid:
        raise _incomplete(context, action, found)
    made = {**made, action.object: found.oid}
    (row,) = fetch(context.connection, "server", "measure_index", {"index_oid": found.oid})
    context.progress(f"{action.object}: built, {readable_size(row.size_bytes)}")
    detail: dict[str, Any] = {"made": made, "size_bytes": int(row.size_bytes)}
    # The build itself has scanned the table.
    fetch(context.connection, "indexes", "flush_counters")
    about = {"tables": [found.table_oid]}
    for reads in fetch(context.connection, "indexes", "count_table_reads", about):
        detail["table_reads"] = reads.n_reads
    if row.has_expressions and (failure := _analyze(context, action)) is not None:
        detail["not_analyzed"] = failure
    return detail


def _incomplete(context: ActionContext, action: Action, index: FoundIndex) -> MaintenanceError:
    """Return why an index is not valid: partitions that came since the plan have no part of it."""
    rows = fetch(context.connection, "indexes", "list_partitions_without", {"index_oid": index.oid})
    if not rows:
        return EffectError(
            f"{action.object}: all its parts are built and attached, but it is not valid"
        )
    without = counted([row.name for row in rows], "partition", SHOWN_PARTITIONS)
    return ContinuedError(
        f"{action.object}: not valid yet: {without} came without a part of it",
        hint="the next run builds it there",
        reason="new_partitions",
    )


def _analyze(context: ActionContext, action: Action) -> str | None:
    """Collect statistics on the expressions of a new index, without which it is rarely used.

    Returns:
        Why it failed; None if it did not. The index is usable without them.
    """
    table = str(action.table)
    context.progress(f"{table}: ANALYZE, for the expressions of {action.object}")
    step = Step(
        (f"ANALYZE {table}",),
        locks=(Lock(table, LockMode.SHARE_UPDATE_EXCLUSIVE),),
        concurrent=True,
    )
    try:
        with owner_search_path(context.connection, context.policy.database.search_path):
            context.run(step)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        context.progress(f"{table}: not analyzed: {exc}")
        return str(exc)
    return None
