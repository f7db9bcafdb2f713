"""Redis: check the hit rate of the application's cache, and retry pending invalidations."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from maintenance.engine.action_context import ActionContext, Executor
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.cache_invalidation import send_pending
from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.errors import CacheError, UsageError
from maintenance.policy import Policy
from maintenance.redis_client import read_facts
from maintenance.redis_client.models import CacheFacts, KeySample
from maintenance.redis_client.ttl import read_ttls
from maintenance.store.invalidation_outbox import pending_invalidations
from maintenance.subjects.redis import history
from maintenance.subjects.redis import plan as planner
from maintenance.subjects.redis.plan import RedisObservation


def _tell(context: ActionContext, action: Action) -> Mapping[str, object]:
    return send_pending(context, action.object)


class Caching(Subject[RedisObservation]):
    """The subject `redis`."""

    name = "redis"
    executors: ClassVar[Mapping[ActionKind, Executor]] = {ActionKind.INVALIDATE_CACHE: _tell}

    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy has a Redis url."""
        return policy.redis is not None

    def observe(self, context: ObserveContext) -> RedisObservation:
        """Read the cache's counters, and the pending invalidations from the store."""
        store, database = context.store, context.policy.database.name
        facts, error = _look(context)
        ttls, ttl_error = _read_ttls(context, is_there=facts is not None)
        return RedisObservation(
            facts=facts,
            error=error,
            before=history.before(store, database, facts) if store and facts else None,
            pending=tuple(pending_invalidations(store, database)) if store else (),
            ttls=ttls,
            ttl_error=ttl_error,
        )

    def record(self, context: ObserveContext, seen: RedisObservation) -> None:
        """Record the counters, for the hit rate of the next observation."""
        if context.store is not None and seen.facts is not None:
            history.keep(context.store, context.policy.database.name, seen.facts)

    def plan(self, policy: Policy, seen: RedisObservation, now: datetime, request: Request) -> Plan:
        """Plan pending invalidations if Redis answers; report it if unreachable or ineffective."""
        return planner.plan(policy, seen, now, request)


def _look(where: ObserveContext) -> tuple[CacheFacts | None, str]:
    assert where.policy.redis is not None, "it concerns the policy"
    try:
        return read_facts(where.target.resolve(where.policy.redis.url)), ""
    except (CacheError, UsageError) as exc:
        return None, exc.with_hint


def _read_ttls(where: ObserveContext, *, is_there: bool) -> tuple[Mapping[str, KeySample], str]:
    section = where.policy.redis
    if section is None or not section.ttl or not is_there:
        return {}, ""
    try:
        return read_ttls(where.target.resolve(section.url), section.ttl), ""
    except (CacheError, UsageError) as exc:
        return {}, exc.with_hint


CACHING = Caching()
