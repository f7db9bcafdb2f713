"""What a run that was killed has left on a default partition, removed before all else."""

from collections.abc import Iterator

from maintenance.engine.actions import Action, ActionKind, Step
from maintenance.partitions.checks import alone, drop
from maintenance.partitions.outlook import Outlook


def remove_leftovers(outlook: Outlook) -> Iterator[Action]:
    """Yield the removal of helper CHECKs: while they stand, rows of their time are refused."""
    default, names = outlook.table.default, outlook.table.default_checks
    if default is None or not names:
        return
    yield Action(
        kind=ActionKind.REMOVE_LEFTOVERS,
        object=str(default.relation),
        table=outlook.name,
        reason=f"{', '.join(names)}: left by an interrupted run, it refuses rows",
        steps=(
            Step(
                statements=tuple(drop(default.relation, name) for name in names),
                locks=alone(default.relation),
            ),
        ),
    )
