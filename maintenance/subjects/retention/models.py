"""Models of retention: a table of the policy, its targets, and what blocks them."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from maintenance.archives.location import ArchivePlace
from maintenance.catalog.models import Obstacle, Snapshot, Table
from maintenance.catalog.trees import Tree
from maintenance.names import QualifiedName
from maintenance.partition_set.bounds import codec_of
from maintenance.partition_set.expiry import Detached, Expired, label
from maintenance.policy import PartitionPolicy, Policy, RetentionPolicy
from maintenance.subjects.retention.assess import States
from maintenance.subjects.retention.contents import UNKNOWN, Contents
from maintenance.subjects.retention.evidence import NO_EVIDENCE, Evidence


class OutboundKey(NamedTuple):
    """A foreign key of a due table; both tables as PostgreSQL quotes them."""

    own: str
    name: str
    referenced: str


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

    @property
    def oids(self) -> tuple[int, ...]:
        """Those of all its tables, its own among them."""
        return tuple(self.tree.oids) if self.tree is not None else (self.oid,)


@dataclass(frozen=True, slots=True)
class Case:
    """One table whose policy has a retention.

    Attributes:
        comments: of marked tables, by OID.
        database: the database's name in its policy.
        contents: of due tables, by OID.
        outbound_keys: of due tables and their partitions, by OID.
    """

    policy: PartitionPolicy
    retention: RetentionPolicy
    table: Table
    comments: Mapping[int, str]
    now: datetime
    database: str
    contents: Mapping[int, Contents] = field(default_factory=dict[int, Contents])
    outbound_keys: Mapping[int, tuple[OutboundKey, ...]] = field(
        default_factory=dict[int, tuple[OutboundKey, ...]]
    )

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

    def held_by(self, target: RetentionTarget) -> Contents:
        """Return what a due table holds, as far as it is known."""
        return self.contents.get(target.oid, UNKNOWN)

    def outbound_keys_of(self, target: RetentionTarget) -> tuple[OutboundKey, ...]:
        """Return the foreign keys of a table and its own partitions."""
        return tuple(key for oid in target.oids for key in self.outbound_keys.get(oid, ()))

    def archive_of(self, target: RetentionTarget) -> ArchivePlace | None:
        """Return where a table is archived; None if the policy has no archive."""
        archive = self.retention.archive
        if archive is None:
            return None
        return ArchivePlace(archive.url, self.database, self.table.relation, target.period)

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


@dataclass(frozen=True, slots=True)
class Blockers:
    """What blocks the retention of due tables; by OID.

    Attributes:
        dependents: dependent objects in words, such as `view public.report`.
        holders: tables with rows that reference a partition, for partitions that foreign keys may
            reference. A missing partition could not be checked in time.
        evidence: whether partitions are in use.
        unreadable: the obstacle to reading the rows that are to be archived.
        outbound_keys: what is dropped before the table; of its partitions too.
    """

    dependents: Mapping[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    holders: Mapping[int, tuple[QualifiedName, ...]] = field(
        default_factory=dict[int, tuple[QualifiedName, ...]]
    )
    evidence: Evidence = NO_EVIDENCE
    unreadable: Mapping[int, Obstacle] = field(default_factory=dict[int, Obstacle])
    outbound_keys: Mapping[int, tuple[OutboundKey, ...]] = field(
        default_factory=dict[int, tuple[OutboundKey, ...]]
    )


NOTHING_SEEN = Blockers()


@dataclass(frozen=True, slots=True)
class RetentionObservation:
    """What retention is planned from.

    Attributes:
        states: of each asked-for table of the policy.
        blockers: what is in the way of what is due.
        unapproved: tables whose retention a schedule may not carry out yet.
        contents: of due tables, by OID, as far as they could be read.
    """

    snapshot: Snapshot
    states: States
    blockers: Blockers = NOTHING_SEEN
    unapproved: AbstractSet[QualifiedName] = frozenset()
    contents: Mapping[int, Contents] = field(default_factory=dict[int, Contents])

    def case_of(
        self, policy: Policy, section: PartitionPolicy, retention: RetentionPolicy, now: datetime
    ) -> Case:
        """Return the case of one table."""
        return Case(
            section,
            retention,
            self.snapshot.tables[section.table],
            {table.oid: table.comment for table in self.snapshot.marked},
            now,
            policy.database.name,
            self.contents,
            self.blockers.outbound_keys,
        )
