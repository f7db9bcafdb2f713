"""The state machine of alerts: compares open alerts with new findings. Pure.

An alert is raised once its finding has been open for the policy's `for`, repeated after
`repeat_after` or when its severity changes, escalated once if it is a warning for longer than
`escalate_after`, and resolved when the finding is gone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from maintenance.alerts.models import Alert, AlertUpdate, Event, FindingSet, Identity, Transition
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.policy.alerts import AlertsPolicy

HELD_BACK = frozenset(
    {
        FindingKind.RUN_FAILED,
        FindingKind.RUN_OVERDUE,
        FindingKind.MONITOR_BLIND,
        FindingKind.MATVIEW_STALE,
    }
)
"""Consequences of a database that can't be used: not raised while that alert is open."""
BAND = 0.1
"""A numeric alert is resolved once its value is better than the threshold by this share."""


def update_alerts(
    standing: Mapping[Identity, Alert], finding_set: FindingSet, policy: AlertsPolicy, now: datetime
) -> AlertUpdate:
    """Update the open alerts with new findings.

    Args:
        standing: the alerts of this database, sent or still pending.
        finding_set: the findings of one observation.
        policy: `for`, `repeat_after` and `escalate_after`.
        now: the time of the observation, aware.

    An alert that was seen later than this observation is neither changed nor resolved by it.
    """
    found = finding_set.by_identity()
    is_away = _is_away(standing, finding_set)
    alerts: dict[Identity, Alert] = {}
    events: list[Event] = []
    for identity in sorted(standing.keys() | found.keys()):
        before, finding = standing.get(identity), found.get(identity)
        if before is not None and (
            _is_outdated(before, now) or (finding is None and not finding_set.covers(before))
        ):
            alerts[identity] = before
        elif _stands(before, finding):
            seen = _seen(identity, before, finding, now)
            turn = _turn(seen, policy, now, is_away=is_away)
            notified = seen if turn is None else _notified(seen, now)
            alerts[identity] = _escalated(notified, policy, now)
            turn = turn or _escalation(alerts[identity], notified)
            events.extend(_event(turn, alerts[identity], now))
        elif before is not None and before.notified_at is not None:
            events.append(Event(Transition.RESOLVED, before, now))
    return AlertUpdate(alerts, tuple(events))


def update_in_order(
    standing: Mapping[Identity, Alert],
    observations: Iterable[tuple[datetime, FindingSet]],
    policy: AlertsPolicy,
) -> AlertUpdate:
    """Update the open alerts with all observations of one round, in order.

    What came and went between two rounds is not told, nor what went and came back: at most one
    event an alert says how the round changed it. All events have the time of the newest
    observation, so that those of one kind are one message.
    """
    alerts, events = dict(standing), list[Event]()
    observations = tuple(observations)
    newest = max((moment for moment, _ in observations), default=None)
    for moment, finding_set in observations:
        update = update_alerts(alerts, finding_set, policy, moment)
        alerts = dict(update.alerts)
        events += update.events
    last = {event.alert.identity: event for event in events}
    for identity in {e.alert.identity for e in events if e.turn is Transition.RESOLVED}:
        if _was_told(standing, identity) == _was_told(alerts, identity):
            del last[identity]
            if identity in alerts:
                alerts[identity] = _taken_up_again(standing[identity], alerts[identity])
    told = (event if newest is None else event._replace(at=newest) for event in last.values())
    return AlertUpdate(alerts, tuple(told))


def _was_told(alerts: Mapping[Identity, Alert], identity: Identity) -> bool:
    return identity in alerts and alerts[identity].notified_at is not None


def _taken_up_again(before: Alert, after: Alert) -> Alert:
    """Return an alert that was resolved and raised in one round, as if it had stayed open."""
    return replace(
        after,
        since=before.since,
        notified_at=before.notified_at,
        notified_severity=before.notified_severity,
        acknowledged_until=before.acknowledged_until,
        muted_until=before.muted_until,
    )


def due_events(
    standing: Mapping[Identity, Alert], policy: AlertsPolicy, now: datetime
) -> AlertUpdate:
    """Return the events that are due by time alone: nothing has to be observed again for them.

    A pending alert is raised once it stood for `for`, an open one repeated after `repeat_after`, a
    muted or acknowledged one told when that ends, a warning escalated after `escalate_after`.
    """
    alerts = dict(standing)
    events: list[Event] = []
    is_away = any(_is_unreachable(identity) for identity in standing)
    for identity in sorted(standing):
        before = standing[identity]
        turn = _turn(before, policy, now, is_away=is_away)
        notified = before if turn is None else _notified(before, now)
        alerts[identity] = _escalated(notified, policy, now)
        turn = turn or _escalation(alerts[identity], notified)
        events.extend(_event(turn, alerts[identity], now))
    return AlertUpdate(alerts, tuple(events))


def none_after(standing: Mapping[Identity, Alert], now: datetime) -> dict[Identity, Alert]:
    """Return the alerts with no past later than now, as after a clock was set back."""
    return {
        identity: replace(
            alert,
            since=min(alert.since, now),
            notified_at=_earlier(alert.notified_at, now),
            seen_at=_earlier(alert.seen_at, now),
            severity_since=_earlier(alert.severity_since, now),
            escalated_at=_earlier(alert.escalated_at, now),
        )
        for identity, alert in standing.items()
    }


def _earlier(moment: datetime | None, now: datetime) -> datetime | None:
    return None if moment is None else min(moment, now)


def _is_outdated(before: Alert, now: datetime) -> bool:
    """Whether an observation of this time is older than what is known of an alert."""
    return before.seen_at is not None and now < before.seen_at


def _is_unreachable(identity: Identity) -> bool:
    return identity.kind is FindingKind.DATABASE_UNREACHABLE


def _is_away(standing: Mapping[Identity, Alert], finding_set: FindingSet) -> bool:
    """Whether the database or its store can't be used, as far as this observation says."""
    if any(finding.kind is FindingKind.DATABASE_UNREACHABLE for finding in finding_set.findings):
        return True
    known = (alert for identity, alert in standing.items() if _is_unreachable(identity))
    return any(not finding_set.covers(alert) for alert in known)


def _stands(before: Alert | None, finding: Finding | None) -> bool:
    if finding is None:
        return False
    if finding.severity is not Severity.INFO:
        return True
    return before is not None and before.notified_at is not None and _in_band(finding)


def _in_band(finding: Finding) -> bool:
    """Whether a value is so close to its threshold that it may exceed it again at any moment."""
    value, threshold = finding.value, finding.threshold
    if isinstance(value, str) or isinstance(threshold, str) or value is None or threshold is None:
        return False
    return abs(value - threshold) <= BAND * abs(threshold)


def _seen(
    identity: Identity, before: Alert | None, finding: Finding | None, now: datetime
) -> Alert:
    """Return the alert updated with its finding."""
    assert finding is not None, "an open alert has a finding"
    known = before or Alert(identity, finding.severity, finding.message, now)
    is_worth_telling = finding.severity is not Severity.INFO
    severity = finding.severity if is_worth_telling else known.severity
    return replace(
        known,
        severity=severity,
        severity_since=known.severity_since if severity is known.severity else now,
        message=finding.message,
        value=finding.value,
        threshold=finding.threshold,
        subject=finding.subject,
        seen_at=now,
    )


def _turn(alert: Alert, policy: AlertsPolicy, now: datetime, *, is_away: bool) -> Transition | None:
    if alert.is_muted(now):
        return None
    if alert.notified_at is None:
        if is_away and alert.identity.kind in HELD_BACK:
            return None
        return Transition.RAISED if now - alert.since >= policy.for_ else None
    is_worse = (alert.notified_severity, alert.severity) == (Severity.WARN, Severity.ERROR)
    if alert.is_acknowledged(now) and not is_worse:
        return None
    if alert.severity is not alert.notified_severity:
        return Transition.RAISED
    return Transition.REPEATED if now - alert.notified_at >= policy.repeat_after else None


def _notified(alert: Alert, now: datetime) -> Alert:
    return replace(alert, notified_at=now, notified_severity=alert.severity)


def _escalated(alert: Alert, policy: AlertsPolicy, now: datetime) -> Alert:
    """Note an escalation if it is due: of a warning that was sent and is not acknowledged."""
    if not policy.has_escalation or alert.escalated_at is not None:
        return alert
    if alert.notified_severity is not Severity.WARN or alert.severity is not Severity.WARN:
        return alert
    if alert.is_muted(now) or alert.is_acknowledged(now):
        return alert
    is_due = now - (alert.severity_since or alert.since) >= policy.escalate_after
    return replace(alert, escalated_at=now) if is_due else alert


def _escalation(alert: Alert, before: Alert) -> Transition | None:
    return Transition.ESCALATED if alert.escalated_at != before.escalated_at else None


def _event(turn: Transition | None, alert: Alert, now: datetime) -> Iterator[Event]:
    if turn is not None:
        yield Event(turn, alert, now)
