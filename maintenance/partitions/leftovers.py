"""What a run that was killed has left behind, removed before all else."""

from collections.abc import Iterator

from maintenance.catalog.models import MarkedTable, Snapshot
from maintenance.ddl.marks import read_mark
from maintenance.engine.actions import Action, ActionKind, Step
from maintenance.partitions.checks import removal
from maintenance.partitions.drain.objects import DRAINED, Objects
from maintenance.partitions.drain.registry import read_registry
from maintenance.partitions.outlook import Outlook


def leftovers(outlook: Outlook, snapshot: Snapshot) -> Iterator[Action]:
    """Yield the removal of helper CHECKs, which refuse rows, and of drains, which slow writers.

    Args:
        outlook: the table held against its policy.
        snapshot: where marked tables were observed, with what the store knows.
    """
    origin = snapshot.history.interruption(outlook.name)
    default, names = outlook.table.default, outlook.table.default_checks
    if default is not None and names:
        yield Action(
            kind=ActionKind.REMOVE_LEFTOVERS,
            object=str(default.relation),
            table=outlook.name,
            reason=f"{', '.join(names)}: left by an interrupted run, it refuses rows; {origin}",
            steps=(removal(default.names, names),),
        )
    for table in snapshot.marked:
        objects = _drained(outlook, table)
        if objects is not None:
            yield _removal(outlook, table, objects, origin)


def _drained(outlook: Outlook, log: MarkedTable) -> Objects | None:
    """Return whose rows a drain copied if its comment, its name and its owner agree that it did."""
    mark = read_mark(log.comment)
    oid = mark.get("oid")
    if mark.get(DRAINED) != outlook.name or not isinstance(oid, int):
        return None
    objects = Objects(log.relation.schema, oid)
    is_its_log = log.relation == objects.log and log.owner == outlook.table.properties.owner
    known = is_its_log and read_registry(log.comment, log.owner, oid) is not None
    return objects if known else None


def _removal(outlook: Outlook, log: MarkedTable, objects: Objects, origin: str) -> Action:
    return Action(
        kind=ActionKind.REMOVE_LEFTOVERS,
        object=str(log.relation),
        table=outlook.name,
        reason=(
            f"left by an interrupted drain, it slows writers of the default partition; {origin}"
        ),
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
