"""What one table lacks, in the order in which it is made: ahead of now, now, behind."""

from collections.abc import Collection, Iterator, Sequence

from maintenance.engine.actions import Action
from maintenance.partition_set.expected import Slot
from maintenance.subjects.partitions.create import create, create_beside
from maintenance.subjects.partitions.default_drain import drain
from maintenance.subjects.partitions.default_remedy import Drain, Remedy, Swap
from maintenance.subjects.partitions.default_swap import swap
from maintenance.subjects.partitions.state import Outlook


def fill(outlook: Outlook, free: Sequence[Slot], remedy: Remedy, role: str) -> Iterator[Action]:
    """Yield what makes the missing partitions of a table.

    Args:
        outlook: the table held against its policy.
        free: the missing periods whose partition's name is free.
        remedy: what is done about the rows in its default partition.
        role: who we are, to know whether owners must be set.
    """
    if not isinstance(remedy, Swap | Drain):
        yield from _create(outlook, free, role)
        return
    rest = [slot for slot in free if slot not in remedy.slots]
    # What lies ahead comes first: from then on nothing that is written now is refused.
    ahead = [slot for slot in rest if slot.lower > outlook.position]
    made = list(_create(outlook, ahead, role))
    yield from made
    action = _remedy(outlook, remedy, role, tuple(action.id for action in made))
    yield action
    behind = [slot for slot in rest if slot.lower <= outlook.position]
    yield from _create(outlook, behind, role, remedied=isinstance(remedy, Swap), after=(action.id,))


def _remedy(outlook: Outlook, remedy: Swap | Drain, role: str, after: tuple[str, ...]) -> Action:
    if isinstance(remedy, Swap):
        return swap(outlook, remedy.slots, role, after)
    return drain(outlook, remedy.slots, after)


def _create(
    outlook: Outlook,
    slots: Collection[Slot],
    role: str,
    *,
    remedied: bool = False,
    after: tuple[str, ...] = (),
) -> Iterator[Action]:
    """Yield the creation of periods; one with rows in the default partition can't be created."""
    small = remedied or outlook.default_is_small
    occupied = set(outlook.occupied)
    for slot in slots:
        if slot in occupied:
            continue
        alone = small or outlook.holds_now(slot)
        yield (create if alone else create_beside)(outlook, slot, role, after=after)
