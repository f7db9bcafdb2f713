"""Materialized views: create missing ones, refresh those whose sources changed."""

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
from maintenance.subjects.matviews import observe as observer
from maintenance.subjects.matviews import plan as planner
from maintenance.subjects.matviews.apply import create, explained, refresh
from maintenance.subjects.matviews.history import record
from maintenance.subjects.matviews.models import MatviewsObservation
from maintenance.subjects.matviews.rebuild import rebuild
from maintenance.subjects.matviews.unique_index import index


class Matviews(Subject[MatviewsObservation]):
    """The subject `matviews`."""

    name = "matviews"
    executors: ClassVar[Mapping[ActionKind, Executor]] = {
        ActionKind.CREATE_MATVIEW: explained(create),
        ActionKind.REFRESH_MATVIEW: explained(refresh),
        ActionKind.INDEX_MATVIEW: explained(index),
        ActionKind.REBUILD_MATVIEW: explained(rebuild),
    }

    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy names materialized views."""
        return bool(policy.matviews)

    def relations(self, policy: Policy) -> Collection[QualifiedName]:
        """Return the views of the policy, to suggest names for those that do not exist."""
        return [section.name for section in policy.matviews]

    def concurrency(self, policy: Policy) -> int:
        """Return how many views the policy allows to refresh in parallel."""
        return policy.parallel.matviews

    def observe(self, context: ObserveContext) -> MatviewsObservation:
        """Read the views, their sources and their recorded refreshes."""
        return observer.observe(context)

    def record(self, context: ObserveContext, seen: MatviewsObservation) -> None:
        """Record proofs of freshness and the comparisons of definitions."""
        record(context, seen)

    def plan(
        self, policy: Policy, seen: MatviewsObservation, now: datetime, request: Request
    ) -> Plan:
        """Create missing views; refresh those not proven unchanged."""
        return planner.plan(policy, seen, now, request)


MATVIEWS = Matviews()
