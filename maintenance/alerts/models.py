"""Alerts, their transitions, and the findings that update them. Frozen, no store access."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from maintenance.engine.findings import Finding, FindingKind, Severity


class Identity(NamedTuple):
    """The key of an alert: the same from one round to the next."""

    database: str
    kind: FindingKind
    object: str


class Transition(StrEnum):
    """The change of state that a message reports.

    An escalation is sent as raised, to the sinks that have not received the alert.
    """

    RAISED = "raised"
    REPEATED = "repeated"
    RESOLVED = "resolved"
    ESCALATED = "escalated"


@dataclass(frozen=True, slots=True)
class Alert:
    """An open finding of severity warn or error.

    Attributes:
        since: when it was first seen without interruption.
        severity_since: since when it has its severity; None if that never changed.
        subject: the subject that reported it last; empty if any subject would.
        notified_at: when it was last sent; None before the first time.
        notified_severity: the severity that was sent.
        acknowledged_until: not repeated until then, unless it gets worse.
        muted_until: not sent until then, except its resolution.
        escalated_at: when it was sent, as a warning, to sinks that receive only errors.
        notified_sinks: names of the sinks at which it is open; None before sinks were recorded.
        seen_at: when its finding was last observed; nothing older changes or resolves it.
    """

    identity: Identity
    severity: Severity
    message: str
    since: datetime
    value: float | str | None = None
    threshold: float | str | None = None
    subject: str = ""
    notified_at: datetime | None = None
    notified_severity: Severity | None = None
    acknowledged_until: datetime | None = None
    muted_until: datetime | None = None
    severity_since: datetime | None = None
    escalated_at: datetime | None = None
    notified_sinks: tuple[str, ...] | None = None
    seen_at: datetime | None = None

    def is_acknowledged(self, now: datetime) -> bool:
        """Whether it is acknowledged at this time."""
        return self.acknowledged_until is not None and now < self.acknowledged_until

    def is_muted(self, now: datetime) -> bool:
        """Whether it is muted at this time."""
        return self.muted_until is not None and now < self.muted_until


class Route(NamedTuple):
    """What one sink receives of an event.

    Attributes:
        turn: the transition as that sink sees it.
        severity: the severity as that sink sees it.
        can_wait: whether it waits in quiet hours.
    """

    sink: str
    turn: Transition
    severity: Severity
    can_wait: bool = False


class Event(NamedTuple):
    """One transition of one alert, to be sent."""

    turn: Transition
    alert: Alert
    at: datetime


RoutedEvent = tuple[Event, tuple[Route, ...]]
"""An event with what the sinks receive of it."""


class PendingDelivery(NamedTuple):
    """An event that one sink has not received yet.

    Attributes:
        event: the event, the same for every sink.
        attempts: number of failed attempts.
        tried_at: time of the last attempt.
        turn: the transition as this sink sees it; None for that of the event.
        severity: the severity as this sink sees it; None for that of the event.
        can_wait: whether it waits in quiet hours.
    """

    id: int
    event: Event
    attempts: int
    tried_at: datetime | None
    turn: Transition | None = None
    severity: Severity | None = None
    can_wait: bool = False

    @property
    def as_routed(self) -> Event:
        """The event as this sink receives it."""
        turn, alert, at = self.event
        if self.severity is not None:
            alert = replace(alert, severity=self.severity)
        return Event(self.turn or turn, alert, at)


@dataclass(frozen=True, slots=True)
class FindingSet:
    """The findings of one observation of a database, and what it could have found.

    Attributes:
        findings: the open findings; some report that a fact is unknown.
        kinds: the kinds that were checked completely. Alerts of other kinds are not resolved: a
            missing observation does not prove that a problem is gone.
        only: the one object that was observed; None for all.
        subjects: the subjects that observed; None for all. Several subjects can report one kind,
            so its absence in one of them proves nothing.
        objects: by kind the objects that were observed, where not all were; a kind that is
            missing was observed on all. `app/slot/` stands for those below it.
        began_at: when the run began that these findings are of; None for a mere look. What an
            earlier run could not do is only over if this one tried again.
        done: objects of that run's actions that succeeded.
        at_work: objects that a run is changing while they are observed. What is found on them is
            neither raised nor resolved: the run's own findings follow.
    """

    database: str
    findings: Collection[Finding]
    kinds: frozenset[FindingKind]
    only: str | None = None
    subjects: frozenset[str] | None = None
    objects: Mapping[FindingKind, Collection[str]] | None = None
    began_at: datetime | None = None
    done: frozenset[str] = frozenset()
    at_work: frozenset[str] = frozenset()

    def covers(self, alert: Alert) -> bool:
        """Whether an alert without a finding is resolved."""
        if self.subjects is not None and alert.subject and alert.subject not in self.subjects:
            return False
        kind, name = alert.identity.kind, alert.identity.object
        if name in self.at_work:
            return False
        if kind.spec.is_of_run and not self._tried_since(alert.seen_at or alert.since):
            return False
        if kind.spec.is_of_run and name in self.done:
            return True
        looked = kind in self.kinds and self.only in (None, name) and self._observed(kind, name)
        return looked and not any(found.leaves_open(kind, name) for found in self.findings)

    def _observed(self, kind: FindingKind, name: str) -> bool:
        observed = (self.objects or {}).get(kind)
        return observed is None or any(
            name.startswith(each) if each.endswith("/") else name == each for each in observed
        )

    def by_identity(self) -> dict[Identity, Finding]:
        """The findings by identity."""
        return {
            Identity(self.database, finding.kind, finding.object): finding
            for finding in self.findings
            if not self._is_at_work(finding)
        }

    def _is_at_work(self, finding: Finding) -> bool:
        """Whether a run is changing the object of a finding, its table, or all its tables."""
        tables = [str(each) for each in finding.data.get("tables", ())]
        named = (finding.object, str(finding.data.get("table")))
        return not self.at_work.isdisjoint(named) or (bool(tables) and self.at_work >= set(tables))

    def _tried_since(self, moment: datetime) -> bool:
        """Whether this is of a run that began after a moment."""
        return self.began_at is not None and self.began_at >= moment


@dataclass(frozen=True, slots=True)
class AlertUpdate:
    """The open alerts after an observation, and the events to send.

    Attributes:
        routes: for each event, in order, what the sinks receive of it; empty until it is routed.
    """

    alerts: Mapping[Identity, Alert] = field(default_factory=dict[Identity, Alert])
    events: tuple[Event, ...] = ()
    routes: tuple[tuple[Route, ...], ...] = ()

    @property
    def routed(self) -> tuple[RoutedEvent, ...]:
        """The events, each with its routes."""
        return tuple(zip(self.events, self.routes, strict=True))
