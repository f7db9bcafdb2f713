"""Redis: how well the application's cache does, and what it could not be told before."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from maintenance.engine.action_context import Executor, Workbench
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.cache_invalidation import tell
from maintenance.engine.findings import FindingKind
from maintenance.engine.observe_context import Look
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.errors import CacheError, UsageError
from maintenance.policy import Policy
from maintenance.redis_client import look
from maintenance.redis_client.models import CacheFacts
from maintenance.store import invalidation_outbox as invalidations
from maintenance.subjects.redis import history
from maintenance.subjects.redis import plan as planner
from maintenance.subjects.redis.plan import SeenCache


def _tell(bench: Workbench, action: Action) -> Mapping[str, object]:
    return tell(bench, action.object)


class Caching(Subject[SeenCache]):
    """The subject `redis`."""

    name = "redis"
    executors: ClassVar[Mapping[ActionKind, Executor]] = {ActionKind.INVALIDATE_CACHE: _tell}
    finding_kinds = frozenset({FindingKind.REDIS_UNREACHABLE, FindingKind.REDIS_HIT_RATE_LOW})

    def concerns(self, policy: Policy) -> bool:
        """Whether the policy names a cache."""
        return policy.redis is not None

    def observe(self, look: Look) -> SeenCache:
        """Ask the cache for its counters, and the store for what it is owed."""
        store, database = look.store, look.policy.database.name
        facts, error = _look(look)
        return SeenCache(
            facts=facts,
            error=error,
            before=history.before(store, database, facts) if store and facts else None,
            owed=tuple(invalidations.owed(store, database)) if store else (),
        )

    def record(self, look: Look, seen: SeenCache) -> None:
        """Keep the counters, for the rate of the next look."""
        if look.store is not None and seen.facts is not None:
            history.keep(look.store, look.policy.database.name, seen.facts)

    def plan(self, policy: Policy, seen: SeenCache, now: datetime, request: Request) -> Plan:
        """Tell the cache what it is owed, where it answers; find it unreachable or of no use."""
        return planner.plan(policy, seen, now, request)


def _look(where: Look) -> tuple[CacheFacts | None, str]:
    assert where.policy.redis is not None, "it concerns the policy"
    try:
        return look(where.policy.redis.url.resolve(where.environ)), ""
    except (CacheError, UsageError) as exc:
        return None, f"{exc} ({exc.hint})" if exc.hint else str(exc)


CACHING = Caching()
