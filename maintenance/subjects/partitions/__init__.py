"""Partitions: creates the partitions of a table ahead of time and without gaps."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import ClassVar

from maintenance.engine.action_context import Executor
from maintenance.engine.actions import ActionKind
from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.names import QualifiedName
from maintenance.policy import Policy
from maintenance.subjects.partitions import plan as planner
from maintenance.subjects.partitions.apply import run_guarded, swap_default
from maintenance.subjects.partitions.assess import PartitionsObservation
from maintenance.subjects.partitions.drain.apply import drain_default, remove_leftovers
from maintenance.subjects.partitions.drain.split import split_partition
from maintenance.subjects.partitions.observe import observe


class Partitions(Subject[PartitionsObservation]):
    """The subject `partitions`."""

    name = "partitions"
    executors: ClassVar[Mapping[ActionKind, Executor]] = {
        ActionKind.CREATE_PARTITION: run_guarded,
        ActionKind.SWAP_DEFAULT: swap_default,
        ActionKind.DRAIN_DEFAULT: drain_default,
        ActionKind.SPLIT_PARTITION: split_partition,
        ActionKind.REMOVE_LEFTOVERS: remove_leftovers,
    }

    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy names partitioned tables."""
        return bool(policy.partitions)

    def relations(self, policy: Policy) -> Collection[QualifiedName]:
        """The partitioned tables of the policy."""
        return [section.table for section in policy.partitions]

    def consults(self, policy: Policy) -> Collection[str]:
        """What `conversion` says of tables that are not partitioned yet."""
        return ("conversion",) if any(s.convert == "online" for s in policy.partitions) else ()

    def observe(self, context: ObserveContext) -> PartitionsObservation:
        """Assess each table, and read more details of tables that lack something."""
        return observe(context)

    def plan(
        self, policy: Policy, seen: PartitionsObservation, now: datetime, request: Request
    ) -> Plan:
        """Plan the partitions that are missing between the start and the horizon."""
        del policy, now
        return planner.plan(seen, request)


PARTITIONS = Partitions()
