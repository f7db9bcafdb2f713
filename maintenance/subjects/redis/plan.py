"""Plan for Redis: retry pending invalidations, and report its state."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.formatting import readable_span
from maintenance.policy import Policy, WorkloadPolicy
from maintenance.redis_client.models import CacheFacts, KeySample, PendingInvalidation, hit_rate


@dataclass(frozen=True, slots=True)
class RedisObservation:
    """One observation of the cache.

    Attributes:
        facts: None if it did not answer; `error` has the reason.
        before: an earlier record with enough lookups in between; None without one.
        pending: pending invalidations.
        ttls: samples of keys, by pattern of the policy.
        ttl_error: why they could not be read; empty if they were.
    """

    facts: CacheFacts | None
    error: str = ""
    before: CacheFacts | None = None
    pending: tuple[PendingInvalidation, ...] = ()
    ttls: Mapping[str, KeySample] = field(default_factory=dict[str, KeySample])
    ttl_error: str = ""

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
    found = (*redis_findings(policy, seen, now), *ttl_findings(policy, seen))
    return Plan(actions=actions, findings=found)


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


def ttl_findings(policy: Policy, seen: RedisObservation) -> Iterator[Finding]:
    """Yield the patterns of keys that live longer than the policy says."""
    name, wanted = policy.database.name, policy.redis.ttl if policy.redis else {}
    for pattern, limit in wanted.items():
        where, sample = f"{name}/redis/{pattern}", seen.ttls.get(pattern)
        if sample is None or (not sample.n_keys and not sample.is_complete):
            why = seen.ttl_error or seen.error or "none of them was found in time"
            yield Finding(
                FindingKind.MONITOR_BLIND,
                Severity.WARN if seen.ttl_error else Severity.INFO,
                where,
                f"{name}: time to live of keys {pattern} not checked: {why}",
                data={UNKNOWN: {FindingKind.REDIS_TTL_EXCEEDED.value: [where]}},
            )
        elif n_beyond := sample.n_beyond(limit.total_seconds()):
            yield _too_long(name, where, pattern, (limit, n_beyond), sample)


def _too_long(
    name: str, where: str, pattern: str, found: tuple[timedelta, int], sample: KeySample
) -> Finding:
    limit, n_beyond = found
    never = f", {sample.n_without_ttl} of them never" if sample.n_without_ttl else ""
    return Finding(
        FindingKind.REDIS_TTL_EXCEEDED,
        Severity.WARN,
        where,
        f"{name}: {n_beyond} of {sample.n_keys} keys {pattern} expire later than in"
        f" {readable_span(limit)}{never}; set their expiry where they are written (SET … EX), else"
        " stale values are served and memory fills",
        value=n_beyond,
        threshold=0,
        data={
            "keys": sample.n_keys,
            "without_ttl": sample.n_without_ttl,
            "longest_s": sample.ttls_s[0] if sample.ttls_s else None,
            "limit_s": limit.total_seconds(),
            "is_complete": sample.is_complete,
        },
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
