"""What keeps tables that have expired: what stands on them, and rows that point to theirs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from maintenance.catalog.models import Obstacle
from maintenance.names import QualifiedName
from maintenance.retention.evidence import NO_EVIDENCE, Evidence


@dataclass(frozen=True, slots=True)
class Hindrances:
    """What was seen to be in the way of tables that are due; by OID.

    Attributes:
        dependents: in words, such as `view public.report`.
        holders: of partitions that foreign keys may point to: the tables, partitions each, with
            rows that do. One that is missing here could not be looked at in time.
        evidence: whether they are in use.
        unreadable: what keeps us from the rows of those that are to be archived.
    """

    dependents: Mapping[int, tuple[str, ...]] = field(default_factory=dict[int, tuple[str, ...]])
    holders: Mapping[int, tuple[QualifiedName, ...]] = field(
        default_factory=dict[int, tuple[QualifiedName, ...]]
    )
    evidence: Evidence = NO_EVIDENCE
    unreadable: Mapping[int, Obstacle] = field(default_factory=dict[int, Obstacle])


NOTHING_SEEN = Hindrances()
