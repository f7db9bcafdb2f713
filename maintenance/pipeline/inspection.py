"""What a database has that a policy could name: proposals for `init`, a finding for `check`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from maintenance.engine.findings import (
    CAPACITY,
    UNKNOWN,
    Finding,
    FindingKind,
    Reading,
    Severity,
    unknown_without,
)
from maintenance.formatting import listed
from maintenance.inspection.conversions import propose_conversions
from maintenance.inspection.findings import SHOWN, not_in_policy, partitions_ending
from maintenance.inspection.matviews import propose_matviews
from maintenance.inspection.models import Entry, Inventory, LeftOut, UnnamedTable
from maintenance.inspection.observe import read_inventory
from maintenance.inspection.partitions import (
    UNREAD,
    propose_partitions,
    unnamed_tables,
    valid,
    without_collisions,
)
from maintenance.policy import Policy
from maintenance.server.session import Connection


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


@dataclass(frozen=True, slots=True)
class Unnamed:
    """What no section of a policy names.

    Attributes:
        tables: partitioned tables that a section could name.
        further: the sections of views, and of tables to convert.
        left_out: partitioned tables that no section could name.
    """

    tables: tuple[UnnamedTable, ...]
    further: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]


def unnamed(connection: Connection, policy: Policy, now: datetime) -> Unnamed:
    """Inspect the objects that no section of a policy names.

    Raises:
        MaintenanceError: the database could not be inspected.
    """
    known = {section.table for section in policy.partitions}
    known |= {section.name for section in policy.matviews}
    inventory = read_inventory(connection, policy.observe.time_cap, known)
    tables = list(unnamed_tables(inventory, now))
    further = (*propose_conversions(inventory), *propose_matviews(inventory))
    return Unnamed(
        tables=tuple(each for each in tables if isinstance(each, UnnamedTable)),
        further=tuple(each for each in further if isinstance(each, Entry)),
        left_out=tuple(each for each in tables if isinstance(each, LeftOut)),
    )


def unnamed_findings(connection: Connection, policy: Policy, now: datetime) -> Iterator[Finding]:
    """Yield the findings of each run on tables and views that no section of a policy names.

    A policy that names none is told what there is; others were written by someone who chose.

    Raises:
        MaintenanceError: the database could not be inspected.
    """
    found = unnamed(connection, policy, now)
    yield from partitions_ending(found.tables, now)
    if not policy.partitions and not policy.matviews:
        said = not_in_policy(policy.database.name, found.tables, found.further, now)
        yield from () if said is None else (said,)
    unread = [str(each.relation) for each in found.left_out if each.reason == UNREAD]
    if unread:
        name = f"{policy.database.name}/{CAPACITY}/{Reading.UNNAMED_TABLES}"
        yield Finding(
            FindingKind.MONITOR_BLIND,
            Severity.WARN,
            name,
            f"{policy.database.name}: {listed(unread, SHOWN)} could not be read, so it is unknown"
            " when the partitions end",
            data={UNKNOWN: unknown_without(Reading.UNNAMED_TABLES, unread)},
            subject=CAPACITY,
        )
