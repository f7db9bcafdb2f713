"""Retention: archives, detaches and drops expired partitions; each step is verified."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import ClassVar

from maintenance.archives import require_packages
from maintenance.engine.action_context import Executor
from maintenance.engine.actions import ActionKind
from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.names import QualifiedName
from maintenance.policy import Policy
from maintenance.subjects.retention import plan as planner
from maintenance.subjects.retention.apply import detach, drop
from maintenance.subjects.retention.archive import archive
from maintenance.subjects.retention.insert_counts import record_evidence
from maintenance.subjects.retention.models import RetentionObservation
from maintenance.subjects.retention.observe import observe


class Retention(Subject[RetentionObservation]):
    """The subject `retention`."""

    name = "retention"
    executors: ClassVar[Mapping[ActionKind, Executor]] = {
        ActionKind.ARCHIVE_PARTITION: archive,
        ActionKind.DETACH_PARTITION: detach,
        ActionKind.DROP_PARTITION: drop,
    }

    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy names partitioned tables."""
        return bool(policy.partitions)

    def require(self, policy: Policy) -> None:
        """Raise if an archive needs a package that is not installed."""
        for section in policy.partitions:
            if section.retention is not None and section.retention.archive is not None:
                archive = section.retention.archive
                require_packages(str(section.table), archive.url, archive.format)

    def relations(self, policy: Policy) -> Collection[QualifiedName]:
        """The partitioned tables of the policy."""
        return [section.table for section in policy.partitions]

    def observe(self, context: ObserveContext) -> RetentionObservation:
        """Find what blocks the retention of due partitions."""
        return observe(context)

    def record(self, context: ObserveContext, seen: RetentionObservation) -> None:
        """Record the insert counts of partitions near the end of their retention."""
        record_evidence(context, seen.blockers.evidence)

    def plan(
        self, policy: Policy, seen: RetentionObservation, now: datetime, request: Request
    ) -> Plan:
        """Plan the retention of expired partitions, at most `max_per_run` per table."""
        return planner.plan(policy, seen, now, request)


RETENTION = Retention()
