"""Executes the split of a partition that holds several periods."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from maintenance.catalog.models import Common, Partition, Snapshot, Table
from maintenance.catalog.observe import fetch_details
from maintenance.ddl.trees import Blueprint, plain
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action
from maintenance.engine.build_load import Build, read_load, retaining
from maintenance.engine.build_preflight import IndexSize, limits_of, refuse_full_disk
from maintenance.engine.pace import Pace
from maintenance.errors import ContinuedError, MaintenanceError, NotNeededError, UnreachableError
from maintenance.formatting import listed
from maintenance.names import QualifiedName
from maintenance.partition_key import PAST
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
from maintenance.subjects.partitions.drain.verify import Content
from maintenance.subjects.partitions.helper_checks import removal
from maintenance.subjects.partitions.template import of_slot
from maintenance.subjects.partitions.wide_partitions import is_wide, last_slot

_LAST = 2
"""The steps of the plan that stand for the work here; those before are run as they are."""

_SHOWN = 5

FEWEST_PARTS = 3
"""Fewer would not end: each split must leave smaller partitions."""


class _Wanted(NamedTuple):
    """A partition to be split: by its OID in the plan, or by its name after a split made it."""

    bound: str
    oid: int | None = None
    relation: QualifiedName | None = None

    def is_it(self, partition: Partition) -> bool:
        """Whether a partition is this one, with the same bounds."""
        known = partition.oid == self.oid or partition.relation == self.relation
        return known and partition.bound == self.bound


def split_partition(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Replace a partition of several periods with one partition for each period with rows.

    Parts that one exchange had to leave together are split in turn, while time is left.

    Returns:
        The rows of each new partition.

    Raises:
        NotNeededError: it has no row that belongs to a period.
        ContinuedError: the time is up; the next run continues.
        MaintenanceError: an obstacle, or other sessions blocked it until the deadline; nothing
            has changed then.
    """
    facts, section = action.preconditions, section_of(context, action)
    pace = Pace(context, section.split_limits)
    rows: dict[str, int] = {}
    todo = [_Wanted(facts["bound"], oid=facts["oid"])]
    try:
        while todo and (not rows or pace.has_half):
            wanted = todo.pop(0)
            job = _prepare(context, action, section, wanted)
            for step in () if rows else action.steps[:-_LAST]:
                context.run(step)
            contents = replace_with_copies(context, job, pace)
            rows.pop(job.drained.relation.name, None)
            rows |= _rows(job, contents)
            todo += _still_wide(section, job, contents)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        _remove_check(context, action, exc)
        if not (rows and isinstance(exc, ContinuedError | NotNeededError)):
            raise
    else:
        _remove_check(context, action, None)
    return {"rows": sum(rows.values()), "partitions": rows}


def _rows(job: Job, contents: Sequence[Content]) -> dict[str, int]:
    return {
        target.final.root.name: content.n_rows
        for target, content in zip(job.targets, contents, strict=True)
    }


def _still_wide(
    section: PartitionPolicy, job: Job, contents: Sequence[Content]
) -> Iterator[_Wanted]:
    """Yield the new partitions that hold rows of several periods."""
    codec = codec_of(section, job.table)
    for target, content in zip(job.targets, contents, strict=True):
        span = Span(*read_bound(target.bound, codec), job.drained)
        if content.n_rows and span.lower > PAST and is_wide(section, codec, span):
            yield _Wanted(target.bound, relation=target.final.root)


def _remove_check(context: ActionContext, action: Action, cause: MaintenanceError | None) -> None:
    """Remove the CHECK of the default partition; a run that is killed leaves it to the next."""
    name = action.preconditions["check"]
    if name is None:
        return
    try:
        table = look_again(context, section_of(context, action)).tables.get(
            section_of(context, action).table
        )
        if table is not None and table.default is not None:
            context.run(removal(table.default.names, [name]))
    except MaintenanceError as exc:
        if cause is None:
            raise
        cause.add_note(f"also, the CHECK {name} could not be removed: {exc}")


def _prepare(
    context: ActionContext, action: Action, section: PartitionPolicy, wanted: _Wanted
) -> Job:
    snapshot = look_again(context, section)
    partition = _find(action, section, snapshot, wanted)
    objects = Objects(partition.relation.schema, partition.oid)
    try:
        return _job(context, action, section, snapshot, partition, objects)
    except UnreachableError:
        raise
    except MaintenanceError:
        clear(context, objects)  # copies of an earlier run, if any
        raise


def _job(
    context: ActionContext,
    action: Action,
    section: PartitionPolicy,
    snapshot: Snapshot,
    partition: Partition,
    objects: Objects,
) -> Job:
    table = snapshot.tables[section.table]
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


def _find(
    action: Action, section: PartitionPolicy, snapshot: Snapshot, wanted: _Wanted
) -> Partition:
    """Return the partition that is to be split.

    Raises:
        MaintenanceError: it is no longer there with the same bounds.
    """
    table = snapshot.tables.get(section.table)
    found = table.partitions if table is not None else ()
    partition = next((each for each in found if wanted.is_it(each)), None)
    if partition is None:
        raise MaintenanceError(
            f"{wanted.relation or action.object} is no longer the partition of {action.table}"
            f" {wanted.bound}",
            hint="plan again",
            reason="another_table",
        )
    return partition


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
    build, size = Build(str(partition.relation), "split"), IndexSize(*row)
    _, slots = read_load(context.connection)
    refuse_full_disk(context.connection, build, size, limits_of(context), retaining(slots))


def _analyze(context: ActionContext, table: Table, partition: Partition) -> None:
    """Let the catalog show that it is empty, so that the split is not planned again."""
    names = ", ".join(map(str, partition.names))
    transact(context, table.properties.owner, [f"ANALYZE {names}"])
