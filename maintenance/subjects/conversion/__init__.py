"""Conversion: turns a live unpartitioned table into a partitioned one, without copying its rows."""

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
from maintenance.subjects.conversion import plan as planner
from maintenance.subjects.conversion.apply import convert
from maintenance.subjects.conversion.models import ConversionObservation
from maintenance.subjects.conversion.observe import observe


class Conversion(Subject[ConversionObservation]):
    """The subject `conversion`."""

    name = "conversion"
    executors: ClassVar[Mapping[ActionKind, Executor]] = {ActionKind.CONVERT_TABLE: convert}

    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy names partitioned tables, which may be plain tables yet."""
        return bool(policy.partitions)

    def relations(self, policy: Policy) -> Collection[QualifiedName]:
        """The tables that are to be partitioned."""
        return [section.table for section in policy.partitions]

    def observe(self, context: ObserveContext) -> ConversionObservation:
        """Read the properties of tables to convert; nothing if all are partitioned."""
        return observe(context)

    def plan(
        self, policy: Policy, seen: ConversionObservation, now: datetime, request: Request
    ) -> Plan:
        """Plan the remaining steps of each table, or report what stands in the way."""
        del policy
        return planner.plan(seen, now, request)


CONVERSION = Conversion()
