"""Executes the split of a partition that holds several periods."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from maintenance.catalog.models import Common, Partition, Snapshot, Table
from maintenance.catalog.observe import fetch_details
from maintenance.ddl.trees import Blueprint, plain
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action
from maintenance.engine.build_preflight import Build, IndexSize, limits_of, refuse_full_disk
from maintenance.engine.pace import Pace
from maintenance.errors import MaintenanceError, NotNeededError, UnreachableError
from maintenance.formatting import listed
from maintenance.names import QualifiedName
from maintenance.partition_set.bounds import Span, codec_of, read_bound
from maintenance.policy import PartitionPolicy
from maintenance.server.session import fetch
from maintenance.subjects.partitions.drain.apply import replace_with_copies, section_of
from maintenance.subjects.partitions.drain.cleanup import clear
from maintenance.subjects.partitions.drain.job import DrainTarget, Job, Objects, Shape
from maintenance.subjects.partitions.drain.kept_copy import find_kept
from maintenance.subjects.partitions.drain.kept_mark import KeptCopy, digest_of
from maintenance.subjects.partitions.drain.prepare import (
    look_again,
    refuse_obstacles,
    shape_of,
    storage_of,
    template_of,
    try_identity,
)
from maintenance.subjects.partitions.drain.split_ranges import read_parts
from maintenance.subjects.partitions.drain.staging import period_target, work_of
from maintenance.subjects.partitions.drain.transactions import transact
from maintenance.subjects.partitions.helper_checks import removal
from maintenance.subjects.partitions.template import of_slot
from maintenance.subjects.partitions.wide_partitions import last_slot

_LAST = 2
"""The steps of the plan that stand for the work here; those before are run as they are."""

_SHOWN = 5

FEWEST_PARTS = 3
"""Fewer would not end: each split must leave smaller partitions."""


def split_partition(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Replace a partition of several periods with one partition for each period with rows.

    Returns:
        The rows of each new partition.

    Raises:
        NotNeededError: it has no row that belongs to a period.
        MaintenanceError: an obstacle, or other sessions blocked it until the deadline; nothing
            has changed then.
    """
    objects = Objects(action.preconditions["partition_schema"], action.preconditions["oid"])
    try:
        job = _prepare(context, action, objects)
    except UnreachableError:
        raise
    except MaintenanceError:
        clear(context, objects)  # copies of an earlier run, if any
        raise
    try:
        for step in action.steps[:-_LAST]:
            context.run(step)
        limits = section_of(context, action).split_limits
        contents = replace_with_copies(context, job, Pace(context, limits))
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        _remove_check(context, action, job, exc)
        raise
    _remove_check(context, action, job, None)
    rows = {
        target.final.root.name: content.n_rows
        for target, content in zip(job.targets, contents, strict=True)
    }
    return {"rows": sum(rows.values()), "partitions": rows}


def _remove_check(
    context: ActionContext, action: Action, job: Job, cause: MaintenanceError | None
) -> None:
    """Remove the CHECK of the default partition; a run that is killed leaves it to the next."""
    name, default = action.preconditions["check"], job.table.default
    if name is None or default is None:
        return
    try:
        context.run(removal(default.names, [name]))
    except MaintenanceError as exc:
        if cause is None:
            raise
        cause.add_note(f"also, the CHECK {name} could not be removed: {exc}")


def _prepare(context: ActionContext, action: Action, objects: Objects) -> Job:
    section = section_of(context, action)
    snapshot = look_again(context, section)
    table, partition = _find(action, section, snapshot)
    kept = find_kept(context, objects, table.properties.owner)
    if kept is None:
        clear(context, objects)
    further = _further_obstacles(context, table, partition)
    refuse_obstacles(context, table, partition, further, captured=kept is not None)
    snapshot = fetch_details(context.connection, snapshot, [Common(section.table)])
    table = snapshot.tables[section.table]
    job = Job(
        table=table,
        drained=partition,
        role=snapshot.server.role,
        search_path=context.policy.database.search_path,
        shape=shape_of(context, table),
        storage=storage_of(context, partition),
        periods=(),
        rest=None,
    )
    if kept is not None:
        continued = _continued(section, job, objects, kept)
        if continued is not None:
            return continued
        clear(context, objects)
    targets = _targets(context, action, section, job)
    _refuse_taken(context, snapshot, [target.final.root for _, target in targets])
    _refuse_full_disk(context, partition)
    is_kept = all(target.final.is_single for _, target in targets)
    job = replace(
        job,
        periods=tuple(target for _, target in targets),
        keys=tuple(key for key, _ in targets) if is_kept else (),
    )
    try_identity(context, job)
    return job


def _continued(section: PartitionPolicy, job: Job, objects: Objects, kept: KeptCopy) -> Job | None:
    """Return the job with the copies of an earlier run; None if they are of no use any more."""
    found = replace(
        job,
        periods=tuple(
            period_target(section.column, objects, part.key, plain(part.name), part.ends)
            for part in kept.parts
        ),
        keys=tuple(part.key for part in kept.parts),
        resumes=True,
    )
    return found if digest_of(found) == kept.digest else None


def _targets(
    context: ActionContext, action: Action, section: PartitionPolicy, job: Job
) -> list[tuple[str, DrainTarget]]:
    """Return the new partitions by their key.

    Raises:
        NotNeededError: there is no row that belongs to a period.
    """
    table, partition, codec = job.table, job.drained, codec_of(section, job.table)
    assert partition.bound is not None, "it was compared"
    span = Span(*read_bound(partition.bound, codec), partition)
    siblings, calendar = template_of(section, table, codec), codec.calendar
    some = last_slot(section, codec, span)
    like = of_slot(section, siblings, calendar, partition.relation, some)
    parts = read_parts(context, section, table, span, most_parts(context, like, job.shape))
    if not parts:
        _analyze(context, table, partition)
        raise NotNeededError(f"{partition.relation}: no row of it belongs to a period")
    schema = action.preconditions["schema"]
    targets: list[tuple[str, DrainTarget]] = []
    for part in parts:
        blueprint = of_slot(section, siblings, calendar, part.name(section, schema), part.slots[0])
        ends = (part.lower, part.upper)
        target = period_target(section.column, job.objects, part.key, blueprint, ends)
        targets.append((part.key, target))
    return targets


def _find(action: Action, section: PartitionPolicy, snapshot: Snapshot) -> tuple[Table, Partition]:
    """Return the table and the partition of the plan.

    Raises:
        MaintenanceError: it is no longer there with the same bounds.
    """
    table, facts = snapshot.tables.get(section.table), action.preconditions
    found = table.partitions if table is not None else ()
    partition = next((each for each in found if each.oid == facts["oid"]), None)
    if table is None or partition is None or partition.bound != facts["bound"]:
        raise MaintenanceError(
            f"{action.object} is no longer the partition of {action.table} {facts['bound']}",
            hint="plan again",
            reason="another_table",
        )
    return table, partition


def most_parts(context: ActionContext, like: Blueprint, shape: Shape) -> int:
    """Return how many partitions one exchange can attach while others wait for its locks.

    To attach a table or an index takes about half a millisecond on a busy machine, and less than
    the lock timeout is left for it, see `lock_statements.take`.
    """
    budget_ms = context.lock_retry.lock_timeout.total_seconds() * 1000
    return max(FEWEST_PARTS, int(budget_ms / work_of(like, shape)))


def _further_obstacles(context: ActionContext, table: Table, partition: Partition) -> Sequence[str]:
    parameters = {"parent": table.oid, "relations": list(partition.whole.oids)}
    rows = fetch(context.connection, "partitions", "list_split_obstacles", parameters)
    return [_OBSTACLES[row.kind].format(row.name) for row in rows]


_OBSTACLES = {
    "publication_of_partitions": (
        "publication {0}, which sends changes under the names of partitions; run ALTER PUBLICATION"
        " {0} SET (publish_via_partition_root = true)"
    ),
    "subscription": "a subscription that writes to {0} itself",
    "index": "its own index {0}, which the table does not have",
}
"""Objects of a split partition that several partitions can't replace, by their kind."""


def _refuse_taken(
    context: ActionContext, snapshot: Snapshot, names: Sequence[QualifiedName]
) -> None:
    taken = fetch_details(context.connection, snapshot, names).taken
    if taken:
        raise MaintenanceError(
            f"{listed(sorted(taken), _SHOWN)}: the name of a new partition is taken",
            hint="rename or drop that relation",
            reason="name_taken",
        )


def _refuse_full_disk(context: ActionContext, partition: Partition) -> None:
    """Refuse to begin without free disk for all rows and indexes once more."""
    oids = {"relations": list(partition.whole.oids)}
    (row,) = fetch(context.connection, "partitions", "measure_partition", oids)
    build = Build(str(partition.relation), "split")
    size = IndexSize(row.size_bytes, row.tablespace)
    refuse_full_disk(context.connection, build, size, limits_of(context))


def _analyze(context: ActionContext, table: Table, partition: Partition) -> None:
    """Let the catalog show that it is empty, so that the split is not planned again."""
    names = ", ".join(map(str, partition.names))
    transact(context, table.properties.owner, [f"ANALYZE {names}"])
