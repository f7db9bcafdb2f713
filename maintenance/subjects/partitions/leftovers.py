"""Plans the removal of leftovers of interrupted runs, before all other actions."""

from collections.abc import Iterator

from maintenance.catalog.models import MarkedTable, Snapshot, UnattachedTable
from maintenance.ddl.marks import RESTORING, read_mark
from maintenance.engine.action_order import GIVES_BACK
from maintenance.engine.actions import Action, ActionKind, Step
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import PAGE_BYTES, readable_size
from maintenance.subjects.partitions.drain.job import DRAINED, Objects
from maintenance.subjects.partitions.drain.kept_mark import read_kept
from maintenance.subjects.partitions.drain.registry import read_registry
from maintenance.subjects.partitions.helper_checks import removal
from maintenance.subjects.partitions.released_names import give_back, left_release
from maintenance.subjects.partitions.state import PartitionState


def kept_splits(state: PartitionState, snapshot: Snapshot) -> frozenset[int]:
    """Return the OIDs of partitions whose split an earlier run has begun, and can be continued."""
    return frozenset(
        objects.oid
        for table in snapshot.marked
        if (objects := _drained(state, table)) is not None and read_kept(table.comment) is not None
    )


def left_checks(state: PartitionState, snapshot: Snapshot) -> Iterator[Action]:
    """Yield the removal of helper CHECKs from the default partition, where they refuse rows."""
    default, names = state.table.default, state.table.default_checks
    if default is not None and names:
        origin = snapshot.history.interruption(state.name)
        yield Action(
            kind=ActionKind.REMOVE_LEFTOVERS,
            object=str(default.relation),
            table=state.name,
            reason=f"{', '.join(names)}: left by an interrupted run; refuses rows; {origin}",
            steps=(removal(default.names, names),),
        )


def left_names(state: PartitionState, snapshot: Snapshot) -> Iterator[Action]:
    """Yield the actions that give partitions the names back that an exchange had released.

    Other actions of the plan use the present names, so these come last.
    """
    origin = snapshot.history.interruption(state.name)
    partitions = {partition.oid: partition for partition in state.table.partitions}
    for table in snapshot.marked:
        if table.oid not in partitions:
            continue
        left = left_release(table.comment, partitions[table.oid], table.owner)
        if left is not None:
            yield Action(
                kind=ActionKind.REMOVE_LEFTOVERS,
                object=str(left.names[0][1]),
                table=state.name,
                reason=f"it is named {table.relation} since an interrupted run; {origin}",
                steps=(give_back(left),),
                preconditions={"oid": table.oid, GIVES_BACK: left.as_json},
            )


def left_drains(
    state: PartitionState, snapshot: Snapshot, continued: int | None = None
) -> Iterator[Action]:
    """Yield the removal of the objects of drains, which slow writers.

    Args:
        state: the table compared with its policy.
        snapshot: with the marked tables, and the history from the store.
        continued: OID of the partition whose split is continued by this plan.
    """
    origin = snapshot.history.interruption(state.name)
    for table in snapshot.marked:
        objects = _drained(state, table)
        if objects is not None and objects.oid != continued:
            yield _removal(state, table, objects, origin)


def _drained(state: PartitionState, log: MarkedTable) -> Objects | None:
    """Return the objects of a drain if its log's comment, name and owner agree."""
    mark = read_mark(log.comment)
    oid = mark.get("oid")
    if mark.get(DRAINED) != state.name or not isinstance(oid, int):
        return None
    objects = Objects(log.relation.schema, oid)
    is_its_log = log.relation == objects.log and log.owner == state.table.properties.owner
    known = is_its_log and read_registry(log.comment, log.owner, oid) is not None
    return objects if known else None


def _removal(state: PartitionState, log: MarkedTable, objects: Objects, origin: str) -> Action:
    return Action(
        kind=ActionKind.REMOVE_LEFTOVERS,
        object=str(log.relation),
        table=state.name,
        reason=(f"left by an interrupted drain; slows writers of the drained partition; {origin}"),
        steps=(
            Step(
                statements=(
                    f"DROP FUNCTION {objects.function}() CASCADE",
                    f"DROP TABLE {objects.root}, {objects.old}, {objects.log}",
                ),
            ),
        ),
        preconditions={"schema": objects.schema, "drained_oid": objects.oid},
    )


def stranded(state: PartitionState, snapshot: Snapshot) -> Iterator[Finding]:
    """Yield a finding for each table that seems to be created for a parent and never attached.

    They are only reported: they may hold the only copy of their rows.

    Args:
        state: the parent compared with its policy.
        snapshot: with the unattached tables, and their history from the store.
    """
    for table in snapshot.unattached:
        if table.parent == state.table.relation and _seems_ours(state, snapshot, table):
            yield _finding(state, snapshot, table)


def _seems_ours(state: PartitionState, snapshot: Snapshot, table: UnattachedTable) -> bool:
    mark = read_mark(table.comment)
    if mark:
        # Tables with another mark were detached, or restored without being attached.
        return RESTORING in mark
    deed = snapshot.history.past_actions.get(str(table.relation))
    served = deed is not None and deed.table == state.name
    return served or state.policy.may_name(table.relation.name)


def _finding(state: PartitionState, snapshot: Snapshot, table: UnattachedTable) -> Finding:
    name = str(table.relation)
    size = readable_size(table.pages * PAGE_BYTES)
    is_restored = RESTORING in read_mark(table.comment)
    if is_restored:
        origin = "left by an interrupted restore; the next restore of the period replaces it"
    else:
        origin = snapshot.history.origin(name)
    return Finding(
        FindingKind.STRANDED_TABLE,
        Severity.INFO,
        name,
        f"{name}: has the columns of {state.name} but is not attached to it, {size}; {origin}."
        " Check its rows, then attach it or drop it",
        data={
            "table": state.name,
            "reason": "interrupted_restore" if is_restored else "never_attached",
            "origin": origin,
            "last_action": None if is_restored else snapshot.history.last_action(name),
        },
    )
