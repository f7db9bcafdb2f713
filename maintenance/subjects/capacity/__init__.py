"""Capacity: limits behind which statements fail, how near they are, and what was left behind."""

from dataclasses import replace
from datetime import datetime

from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.names import quote
from maintenance.policy import Policy
from maintenance.subjects.capacity import plan as planner
from maintenance.subjects.capacity.history import record, with_history
from maintenance.subjects.capacity.levels import levels, rates
from maintenance.subjects.capacity.models import CapacityObservation
from maintenance.subjects.capacity.observe import observe


class Capacity(Subject[CapacityObservation]):
    """The subject `capacity`."""

    name = "capacity"

    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy does not switch it off."""
        return policy.capacity is not None

    def observe(self, context: ObserveContext) -> CapacityObservation:
        """Observe the limits, and read their history from the store."""
        server = context.snapshot.server
        cap = context.policy.observe.time_cap
        seen = observe(context.connection, cap, server.major, context.policy.settings)
        seen = replace(seen, role=quote(server.role))
        if context.store is None:
            return seen
        return with_history(context.store, context.policy.database.name, context.now, seen)

    def record(self, context: ObserveContext, seen: CapacityObservation) -> None:
        """Record what is in use of each limit, for the rate."""
        assert context.store is not None, "only runs with a store record"
        name = context.policy.database.name
        known = (*levels(name, seen, context.now), *rates(name, seen))
        record(context.store, name, context.now, known)

    def plan(
        self, policy: Policy, seen: CapacityObservation, now: datetime, request: Request
    ) -> Plan:
        """Report the limits that are near; nothing if one table was requested."""
        return Plan() if request.table is not None else planner.plan(policy, seen, now)


CAPACITY = Capacity()
