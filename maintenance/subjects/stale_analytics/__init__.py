"""Stale analytics: report and recalculate computed rows that are older than their sources."""

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
from maintenance.store.staleness import keep_staleness
from maintenance.subjects.stale_analytics import plan as planner
from maintenance.subjects.stale_analytics.apply import recalculate
from maintenance.subjects.stale_analytics.models import StaleAnalyticsObservation
from maintenance.subjects.stale_analytics.observe import observe


class StaleAnalytics(Subject[StaleAnalyticsObservation]):
    """The subject `stale_analytics`."""

    name = "stale_analytics"
    executors: ClassVar[Mapping[ActionKind, Executor]] = {ActionKind.RECALCULATE_ROWS: recalculate}

    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy has tables of computed rows."""
        return bool(policy.stale_analytics)

    def relations(self, policy: Policy) -> Collection[QualifiedName]:
        """Return the tables and their activity tables."""
        return [
            relation
            for section in policy.stale_analytics
            for relation in (section.table, section.activity and section.activity.table)
            if relation is not None
        ]

    def observe(self, context: ObserveContext) -> StaleAnalyticsObservation:
        """Count the stale rows of each table."""
        return observe(context)

    def record(self, context: ObserveContext, seen: StaleAnalyticsObservation) -> None:
        """Record the counts, for sensors that must not count themselves."""
        if context.store is not None:
            for table, staleness in seen.tables.items():
                keep_staleness(
                    context.store,
                    context.policy.database.name,
                    str(table),
                    context.now,
                    staleness.n_stale,
                    staleness.oldest_age_s,
                )

    def plan(
        self, policy: Policy, seen: StaleAnalyticsObservation, now: datetime, request: Request
    ) -> Plan:
        """Report stale rows, and recalculate them if the policy has SQL for it."""
        return planner.plan(policy, seen, now, request)


STALE_ANALYTICS = StaleAnalytics()
