"""What a database has that a policy could name: proposals for `init`, a finding for `check`."""

from dataclasses import dataclass
from datetime import datetime

from maintenance.engine.findings import Finding
from maintenance.engine.target import Target
from maintenance.inspection.conversions import propose_conversions
from maintenance.inspection.findings import not_in_policy
from maintenance.inspection.matviews import propose_matviews
from maintenance.inspection.models import Entry, Inventory, LeftOut
from maintenance.inspection.observe import read_inventory
from maintenance.inspection.partitions import propose_partitions, valid, without_collisions


@dataclass(frozen=True, slots=True)
class Proposals:
    """What can be in a policy, and what can't."""

    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]


def proposals_of(inventory: Inventory, now: datetime) -> Proposals:
    """Propose the sections of all objects of an inventory."""
    partitioned = list(propose_partitions(inventory, now))
    found = [
        *without_collisions(valid([each for each in partitioned if isinstance(each, Entry)])),
        *propose_conversions(inventory),
        *propose_matviews(inventory),
        *(each for each in partitioned if isinstance(each, LeftOut)),
    ]
    return Proposals(
        entries=tuple(each for each in found if isinstance(each, Entry)),
        left_out=tuple(each for each in found if isinstance(each, LeftOut)),
    )


def unnamed(target: Target, now: datetime) -> Finding | None:
    """Return the finding on the objects that no section of a policy names; None without any.

    Raises:
        UsageError, UnreachableError, MaintenanceError: the database could not be inspected.
    """
    policy = target.policy
    known = {section.table for section in policy.partitions}
    known |= {section.name for section in policy.matviews}
    with target.database("check") as connection:
        inventory = read_inventory(connection, policy.observe.time_cap, known)
    return not_in_policy(policy.database.name, proposals_of(inventory, now).entries, now)
