"""The state machine of alerts: compares open alerts with new findings. Pure.

An alert is raised once its finding has been open for the policy's `for`, repeated after
`repeat_after` or when its severity changes, escalated once if it is a warning for longer than
`escalate_after`, and resolved when the finding is gone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from maintenance.alerts.models import Alert, AlertUpdate, Event, FindingSet, Identity, Transition
from maintenance.engine.findings import Finding, Severity
from maintenance.policy.alerts import AlertsPolicy

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
    """
    found = finding_set.by_identity()
    alerts: dict[Identity, Alert] = {}
    events: list[Event] = []
    for identity in sorted(standing.keys() | found.keys()):
        before, finding = standing.get(identity), found.get(identity)
        if before is not None and finding is None and not finding_set.covers(before):
            alerts[identity] = _escalated(before, policy, now)
            turn = _escalation(alerts[identity], before)
            events.extend(_event(turn, alerts[identity], now))
        elif _stands(before, finding):
            seen = _seen(identity, before, finding, now)
            turn = _turn(seen, policy, now)
            notified = seen if turn is None else _notified(seen, now)
            alerts[identity] = _escalated(notified, policy, now)
            turn = turn or _escalation(alerts[identity], notified)
            events.extend(_event(turn, alerts[identity], now))
        elif before is not None and before.notified_at is not None:
            events.append(Event(Transition.RESOLVED, before, now))
    return AlertUpdate(alerts, tuple(events))


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
    )


def _turn(alert: Alert, policy: AlertsPolicy, now: datetime) -> Transition | None:
    if alert.is_muted(now):
        return None
    if alert.notified_at is None:
        return Transition.RAISED if now - alert.since >= policy.for_ else None
    is_worse = (alert.told, alert.severity) == (Severity.WARN, Severity.ERROR)
    if alert.is_acknowledged(now) and not is_worse:
        return None
    if alert.severity is not alert.told:
        return Transition.RAISED
    return Transition.REPEATED if now - alert.notified_at >= policy.repeat_after else None


def _notified(alert: Alert, now: datetime) -> Alert:
    return replace(alert, notified_at=now, told=alert.severity)


def _escalated(alert: Alert, policy: AlertsPolicy, now: datetime) -> Alert:
    """Note an escalation if it is due: of a warning that was sent and is not acknowledged."""
    if not policy.has_escalation or alert.escalated_at is not None:
        return alert
    if alert.told is not Severity.WARN or alert.severity is not Severity.WARN:
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
