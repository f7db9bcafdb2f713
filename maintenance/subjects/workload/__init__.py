"""The workload: statements, connections, transactions, and what fills the disk."""

from dataclasses import replace
from datetime import datetime

from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.policy import Policy
from maintenance.subjects.workload import plan as planner
from maintenance.subjects.workload.history import record, with_history
from maintenance.subjects.workload.models import WorkloadSnapshot
from maintenance.subjects.workload.observe import observe, observe_standbys


class Workload(Subject[WorkloadSnapshot]):
    """The subject `workload`."""

    name = "workload"

    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy has the section."""
        return policy.workload is not None

    def observe(self, context: ObserveContext) -> WorkloadSnapshot:
        """Look at the servers, and at what the store remembers of them."""
        section = context.policy.workload
        assert section is not None, "nobody asks without the section"
        policy, primary = context.policy, context.connection
        load = replace(
            observe(primary, section, context.now, policy.observe.time_cap),
            standbys=observe_standbys(primary, context.target, section, context.now),
        )
        if context.store is None:
            return load
        return with_history(context.store, policy.database.name, context.now, load)

    def record(self, context: ObserveContext, seen: WorkloadSnapshot) -> None:
        """Keep counters, statements and sizes for later differences."""
        assert context.store is not None, "whoever records has a store"
        record(context.store, context.policy.database.name, context.now, seen)

    def plan(self, policy: Policy, seen: WorkloadSnapshot, now: datetime, request: Request) -> Plan:
        """Tell what is beyond the policy's limits; nothing where one table was asked for."""
        return Plan() if request.table is not None else planner.plan(policy, seen, now)


WORKLOAD = Workload()
