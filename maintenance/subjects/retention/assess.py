"""Which partitions of each table have expired, computed once from what was observed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from maintenance.catalog.models import Snapshot
from maintenance.engine.findings import Finding
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.partition_set.bounds import Span, codec_of
from maintenance.partition_set.expiry import Expired, expired_of, spans_of
from maintenance.partition_set.validate import validate
from maintenance.policy import PartitionPolicy, Policy


@dataclass(frozen=True, slots=True)
class RetentionState:
    """One table as its retention sees it.

    Attributes:
        spans: all its partitions in order of time, without the default one.
        expired: those past the retention, oldest first, held ones among them; none without a
            retention that removes anything.
    """

    section: PartitionPolicy
    calendar: ZoneInfo
    spans: Sequence[Span]
    expired: Sequence[Expired]

    @property
    def due(self) -> list[Expired]:
        """The expired ones that nothing holds."""
        return [item for item in self.expired if item.held is None]


States = Mapping[QualifiedName, RetentionState | Finding]
"""By table of the policy, in its order; a finding where its bounds can't be relied on."""


def assess(policy: Policy, snapshot: Snapshot, now: datetime, request: Request) -> States:
    """Compute the state of every asked-for partitioned table of a policy from a snapshot."""
    return {
        section.table: _state(section, snapshot, now)
        for section in policy.partitions
        if request.includes(section.table)
    }


def _state(section: PartitionPolicy, snapshot: Snapshot, now: datetime) -> RetentionState | Finding:
    found = validate(section, snapshot, now)
    if found is not None:
        return found
    spans, retention = spans_of(section, snapshot), section.retention
    expired: Sequence[Expired] = ()
    if retention is not None and retention.action != "keep":
        expired = expired_of(spans, section, retention, snapshot, now)
    calendar = codec_of(section, snapshot.tables[section.table]).calendar
    return RetentionState(section, calendar, spans, expired)
