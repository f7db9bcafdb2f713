"""Materialized views: always there, always fresh, refreshed only when something changed."""

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
from maintenance.subjects.matviews import observe as observing
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
        """The views of the policy, for names that come near those which do not exist."""
        return [section.name for section in policy.matviews]

    def concurrency(self, policy: Policy) -> int:
        """As many as the policy has refreshed side by side."""
        return policy.parallel.matviews

    def observe(self, context: ObserveContext) -> MatviewsObservation:
        """Read what the views are, what they read, and what is on record of them."""
        return observing.observe(context)

    def record(self, context: ObserveContext, seen: MatviewsObservation) -> None:
        """Keep what was proven, and what the files were found to mean."""
        record(context, seen)

    def plan(
        self, policy: Policy, seen: MatviewsObservation, now: datetime, request: Request
    ) -> Plan:
        """Make what is missing, refresh what is not proven unchanged."""
        return planner.plan(policy, seen, now, request)


MATVIEWS = Matviews()
