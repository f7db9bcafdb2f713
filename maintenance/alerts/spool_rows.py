"""Alerts and events as rows of the spool."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from maintenance.alerts.models import Alert, Event, Identity, Transition
from maintenance.engine.findings import FindingKind, Severity

_MOMENTS = (
    *("since", "severity_since", "notified_at", "acknowledged_until", "muted_until"),
    *("escalated_at", "seen_at"),
)
_PLAIN = tuple(f.name for f in fields(Alert) if f.name not in (*_MOMENTS, "identity"))

KNOWN_KINDS = frozenset(kind.value for kind in FindingKind)
"""The file may hold kinds of another version of this software."""


def document_of(alert: Alert) -> str:
    """Return an alert as JSON."""
    plain = {name: getattr(alert, name) for name in _PLAIN}
    moments = {name: _text(getattr(alert, name)) for name in _MOMENTS}
    return json.dumps({**alert.identity._asdict(), **plain, **moments})


def alert_of(document: Mapping[str, Any]) -> Alert:
    """Return the alert of a parsed document."""
    identity = Identity(document["database"], FindingKind(document["kind"]), document["object"])
    values: dict[str, Any] = {name: document[name] for name in _PLAIN}
    values |= {name: moment_of(document[name]) for name in _MOMENTS}
    values["severity"] = Severity(values["severity"])
    notified = values["notified_severity"]
    values["notified_severity"] = Severity(notified) if notified else None
    sinks = values["notified_sinks"]
    values["notified_sinks"] = None if sinks is None else tuple(sinks)
    return Alert(identity, **values)


def view_of(facts: Sequence[Any]) -> tuple[Transition | None, Severity | None, bool]:
    """Return the transition and severity as a sink sees them, and whether they may wait."""
    turn, severity, can_wait = facts
    return (
        Transition(turn) if turn else None,
        Severity(severity) if severity else None,
        bool(can_wait),
    )


def event_of(facts: Sequence[Any]) -> Event:
    """Return the event of its transition, time and document."""
    turn, happened_at, document = facts
    return Event(Transition(turn), alert_of(json.loads(document)), moment(happened_at))


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def moment_of(text: str | None) -> datetime | None:
    """Return a time; None if there is none."""
    return datetime.fromisoformat(text) if text else None


def moment(text: str) -> datetime:
    """Return a time that is there."""
    return datetime.fromisoformat(text)
