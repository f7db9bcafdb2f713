"""Plan for Redis: retry pending invalidations, and report its state."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.formatting import readable_span
from maintenance.policy import Policy, WorkloadPolicy
from maintenance.redis_client.models import CacheFacts, PendingInvalidation, hit_rate


@dataclass(frozen=True, slots=True)
class RedisObservation:
    """One observation of the cache.

    Attributes:
        facts: None if it did not answer; `error` has the reason.
        before: an earlier record with enough lookups in between; None without one.
        pending: pending invalidations.
    """

    facts: CacheFacts | None
    error: str = ""
    before: CacheFacts | None = None
    pending: tuple[PendingInvalidation, ...] = ()

    @property
    def hit_rate(self) -> float | None:
        """The fraction of lookups since `before` that found their key; None if unknown."""
        if self.facts is None or self.before is None:
            return None
        return hit_rate(self.before, self.facts)


def plan(policy: Policy, seen: RedisObservation, now: datetime, request: Request) -> Plan:
    """Plan pending invalidations, oldest first, if Redis answers."""
    asked = None if request.table is None else str(request.table)
    due = [each for each in seen.pending if asked in (None, each.object)]
    actions = tuple(_invalidation(each) for each in due) if seen.facts is not None else ()
    return Plan(actions=actions, findings=tuple(redis_findings(policy, seen, now)))


def _invalidation(invalidation: PendingInvalidation) -> Action:
    why = f"; last error: {invalidation.error}" if invalidation.error else ""
    return Action(
        kind=ActionKind.INVALIDATE_CACHE,
        object=invalidation.object,
        steps=(),
        reason=f"invalidation pending since {invalidation.since:%Y-%m-%d %H:%M}{why}",
        preconditions={"patterns": invalidation.patterns},
    )


def redis_findings(policy: Policy, seen: RedisObservation, now: datetime) -> Iterator[Finding]:
    """Yield what is wrong with the cache: the server does not answer, or too few keys are found.

    The nightly observation and the watch share this rule.
    """
    name = policy.database.name
    if seen.facts is None:
        yield _unreachable(name, seen, now)
    least = (policy.workload or WorkloadPolicy()).redis_hit_rate
    rate = seen.hit_rate
    if rate is not None and rate < least:
        yield Finding(
            FindingKind.REDIS_HIT_RATE_LOW,
            Severity.WARN,
            name,
            f"{name}: Redis hit rate {rate:.0%}, wanted at least {least:.0%}; check whether keys"
            " are evicted, expire too early, or are never read again",
            value=round(rate, 4),
            threshold=least,
            data={"evicted": seen.facts.evicted - seen.before.evicted}
            if seen.facts and seen.before
            else {},
        )


def _unreachable(name: str, seen: RedisObservation, now: datetime) -> Finding:
    oldest = min((each.since for each in seen.pending), default=None)
    since = f" for {readable_span(now - oldest)}" if oldest else ""
    pending = f"; {len(seen.pending)} invalidations pending{since}" if seen.pending else ""
    return Finding(
        FindingKind.REDIS_UNREACHABLE,
        Severity.WARN,
        name,
        f"{name}: {seen.error}{pending}",
        data={
            "pending": [each.object for each in seen.pending],
            "pending_since": oldest.isoformat() if oldest else None,
        },
    )
