"""Statistics: analyze tables and partitioned parents when they are due."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from maintenance.engine.action_context import Executor
from maintenance.engine.actions import ActionKind
from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.policy import Policy
from maintenance.subjects.statistics import observe as observer
from maintenance.subjects.statistics import plan as planner
from maintenance.subjects.statistics.apply import maintain_table
from maintenance.subjects.statistics.history import write_baselines
from maintenance.subjects.statistics.models import StatisticsObservation


class Statistics(Subject[StatisticsObservation]):
    """The subject `statistics`."""

    name = "statistics"
    serves_any_table = True
    executors: ClassVar[Mapping[ActionKind, Executor]] = {
        ActionKind.ANALYZE_TABLE: maintain_table,
        ActionKind.VACUUM_TABLE: maintain_table,
    }

    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy has the section."""
        return policy.statistics is not None

    def concurrency(self, policy: Policy) -> int:
        """Return how many tables are analyzed in parallel."""
        return policy.parallel.statistics

    def time_budget(self, policy: Policy) -> timedelta | None:
        """Return the time that all actions together may take."""
        return policy.statistics.time_budget if policy.statistics is not None else None

    def observe(self, context: ObserveContext) -> StatisticsObservation:
        """Read the counters of all tables."""
        return observer.observe(context)

    def record(self, context: ObserveContext, seen: StatisticsObservation) -> None:
        """Record the counters of the tables below partitioned parents."""
        assert context.store is not None, "only runs with a store record"
        write_baselines(context.store, context.policy.database.name, seen)

    def plan(
        self, policy: Policy, seen: StatisticsObservation, now: datetime, request: Request
    ) -> Plan:
        """Plan ANALYZE and VACUUM of due tables, worst first."""
        del now
        return planner.plan(policy, seen, request)


STATISTICS = Statistics()
