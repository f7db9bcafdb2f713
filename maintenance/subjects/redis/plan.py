"""Planning around the cache: tell it what it is owed once it answers, find it unwell."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.formatting import readable_span
from maintenance.policy import Policy, WorkloadPolicy
from maintenance.redis_client.models import CacheFacts, Owed, hit_rate


@dataclass(frozen=True, slots=True)
class RedisObservation:
    """One look at the cache.

    Attributes:
        facts: None where it did not answer, with the `error`.
        before: an earlier look with lookups enough in between; None without one.
        owed: what it is still to be told.
    """

    facts: CacheFacts | None
    error: str = ""
    before: CacheFacts | None = None
    owed: tuple[Owed, ...] = ()

    @property
    def hit_rate(self) -> float | None:
        """The share of lookups since `before` that found their key; None without evidence."""
        if self.facts is None or self.before is None:
            return None
        return hit_rate(self.before, self.facts)


def plan(policy: Policy, seen: RedisObservation, now: datetime, request: Request) -> Plan:
    """Tell what is owed, oldest first, where the cache answers."""
    asked = None if request.table is None else str(request.table)
    due = [each for each in seen.owed if asked in (None, each.object)]
    actions = tuple(_tell(each) for each in due) if seen.facts is not None else ()
    return Plan(actions=actions, findings=tuple(_findings(policy, seen, now)))


def _tell(owed: Owed) -> Action:
    why = f"; the last try: {owed.error}" if owed.error else ""
    return Action(
        kind=ActionKind.INVALIDATE_CACHE,
        object=owed.object,
        steps=(),
        reason=f"it changed at {owed.owed_at:%Y-%m-%d %H:%M} and Redis has not been told{why}",
        preconditions={"patterns": owed.patterns},
    )


def _findings(policy: Policy, seen: RedisObservation, now: datetime) -> Iterator[Finding]:
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
            f"{name}: {rate:.0%} of the lookups in Redis found their key, wanted {least:.0%}:"
            " see whether keys are evicted, expire too early, or are never asked for again",
            value=round(rate, 4),
            threshold=least,
            data={"evicted": seen.facts.evicted - seen.before.evicted}
            if seen.facts and seen.before
            else {},
        )


def _unreachable(name: str, seen: RedisObservation, now: datetime) -> Finding:
    oldest = min((each.owed_at for each in seen.owed), default=None)
    since = f" since {readable_span(now - oldest)}" if oldest else ""
    waiting = f"; invalidations of {len(seen.owed)} objects wait{since}" if seen.owed else ""
    return Finding(
        FindingKind.REDIS_UNREACHABLE,
        Severity.WARN,
        name,
        f"{name}: {seen.error}{waiting}",
        data={
            "owed": [each.object for each in seen.owed],
            "owed_since": oldest.isoformat() if oldest else None,
        },
    )
