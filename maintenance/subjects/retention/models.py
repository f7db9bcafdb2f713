"""Models of retention: a table of the policy, its targets, and what blocks them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from maintenance.catalog.models import Obstacle, Snapshot, Table
from maintenance.catalog.trees import Tree
from maintenance.names import QualifiedName
from maintenance.partition_set.bounds import codec_of
from maintenance.partition_set.expiry import Detached, Expired, label
from maintenance.policy import PartitionPolicy, RetentionPolicy
from maintenance.subjects.retention.assess import States
from maintenance.subjects.retention.evidence import NO_EVIDENCE, Evidence

Sizes = Mapping[QualifiedName, int]
"""Bytes of relations, with indexes and TOAST."""


class RetentionTarget(NamedTuple):
    """A partition, or a detached table.

    `bound` is its range as `pg_get_expr` shows it, `period` the key of its archive, `tree` its
    own partitions.
    """

    oid: int
    relation: QualifiedName
    bound: str
    period: str
    tree: Tree | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One table whose policy has a retention.

    Attributes:
        comments: of marked tables, by OID.
    """

    policy: PartitionPolicy
    retention: RetentionPolicy
    table: Table
    comments: Mapping[int, str]
    now: datetime

    @property
    def name(self) -> str:
        """The table's name as PostgreSQL quotes it."""
        return str(self.table.relation)

    @property
    def drops(self) -> bool:
        """Whether tables are dropped in the end."""
        return self.retention.action in ("drop", "archive_then_drop")

    @property
    def archives(self) -> bool:
        """Whether tables are archived before they are dropped."""
        return self.retention.action == "archive_then_drop"

    @property
    def drops_at_once(self) -> bool:
        """Whether the run that detaches a table also drops it."""
        return self.drops and not any(self.retention.grace)

    def attached(self, item: Expired) -> RetentionTarget:
        """Return an expired partition as a target."""
        partition = item.span.partition
        calendar = codec_of(self.policy, self.table).calendar
        period = label(self.policy, calendar, item.span)
        return RetentionTarget(partition.oid, item.relation, item.bound, period, partition.tree)


def detached_target(item: Detached) -> RetentionTarget:
    """Return a table that an earlier run detached as a target."""
    table = item.table
    return RetentionTarget(table.oid, table.relation, item.bound, item.period, table.tree)


def case_of(
    policy: PartitionPolicy, retention: RetentionPolicy, snapshot: Snapshot, now: datetime
) -> Case:
    """Return the case of one table."""
    comments = {table.oid: table.comment for table in snapshot.marked}
    return Case(policy, retention, snapshot.tables[policy.table], comments, now)


@dataclass(frozen=True, slots=True)
class Blockers:
    """What blocks the retention of due tables; by OID.

    Attributes:
        dependents: dependent objects in words, such as `view public.report`.
        holders: tables with rows that reference a partition, for partitions that foreign keys may
            reference. A missing partition could not be checked in time.
        evidence: whether partitions are in use.
        unreadable: the obstacle to reading the rows that are to be archived.
    """

    dependents: Mapping[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    holders: Mapping[int, tuple[QualifiedName, ...]] = field(
        default_factory=dict[int, tuple[QualifiedName, ...]]
    )
    evidence: Evidence = NO_EVIDENCE
    unreadable: Mapping[int, Obstacle] = field(default_factory=dict[int, Obstacle])


NOTHING_SEEN = Blockers()


@dataclass(frozen=True, slots=True)
class RetentionObservation:
    """What retention is planned from.

    Attributes:
        states: of each asked-for table of the policy.
        blockers: what is in the way of what is due.
        unapproved: tables whose retention a schedule may not carry out yet, with the sizes of
            their due partitions where they could be read.
    """

    snapshot: Snapshot
    states: States
    blockers: Blockers = NOTHING_SEEN
    unapproved: Mapping[QualifiedName, Sizes] = field(default_factory=dict[QualifiedName, Sizes])
