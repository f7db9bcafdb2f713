"""What the spool adds to the store when the store is back. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from maintenance.alerts.models import Alert, Event, Identity, Transition
from maintenance.engine.findings import Severity


@dataclass(frozen=True, slots=True)
class SpooledDelivery:
    """How far one sink is with an event of the spool."""

    sink: str
    attempts: int = 0
    tried_at: datetime | None = None
    ended_at: datetime | None = None
    error: str | None = None
    turn: Transition | None = None
    severity: Severity | None = None
    can_wait: bool = False


@dataclass(frozen=True, slots=True)
class SpooledEvent:
    """An event with its deliveries."""

    event: Event
    deliveries: tuple[SpooledDelivery, ...]


@dataclass(frozen=True, slots=True)
class SpoolChanges:
    """What the spool knows and the store does not.

    Attributes:
        alerts: the alerts that were raised or changed.
        gone: the alerts that were resolved, and when.
        events: the events that were raised, or delivered, in order.
    """

    alerts: Mapping[Identity, Alert] = field(default_factory=dict[Identity, Alert])
    gone: Mapping[Identity, datetime] = field(default_factory=dict[Identity, datetime])
    events: tuple[SpooledEvent, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to merge."""
        return bool(self.alerts or self.gone or self.events)


def merge(
    standing: Mapping[Identity, Alert],
    changes: SpoolChanges,
    resolved: Mapping[Identity, datetime],
) -> dict[Identity, Alert]:
    """Return the alerts that are open, by the store and the spool together.

    Of two states of an alert the one that was seen later counts; merging twice changes nothing.

    Args:
        standing: the alerts in the store.
        changes: those of the spool.
        resolved: when the store last resolved alerts that it no longer has.
    """
    merged = dict(standing)
    for identity, alert in changes.alerts.items():
        known = standing.get(identity)
        if known is not None:
            merged[identity] = _joined(known, alert)
        elif identity not in resolved or resolved[identity] < last_seen(alert):
            merged[identity] = alert
    for identity, gone_at in changes.gone.items():
        if identity in merged and last_seen(merged[identity]) <= gone_at:
            del merged[identity]
    return merged


def last_seen(alert: Alert) -> datetime:
    """Return when an alert was last observed, as far as that is known."""
    return max(moment for moment in (alert.seen_at, alert.notified_at, alert.since) if moment)


def _joined(known: Alert, spooled: Alert) -> Alert:
    for one, other in ((spooled, known), (known, spooled)):
        if one.since > last_seen(other):
            return one  # the other one was resolved in between
    newer = spooled if last_seen(spooled) >= last_seen(known) else known
    told = spooled if _told_at(spooled) >= _told_at(known) else known
    return replace(
        newer,
        since=min(known.since, spooled.since),
        notified_at=told.notified_at,
        notified_severity=told.notified_severity,
        notified_sinks=told.notified_sinks,
        escalated_at=known.escalated_at or spooled.escalated_at,
        acknowledged_until=spooled.acknowledged_until,
        muted_until=spooled.muted_until,
    )


def _told_at(alert: Alert) -> float:
    return alert.notified_at.timestamp() if alert.notified_at else float("-inf")
