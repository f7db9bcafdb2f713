"""Alerts, the turns they take, and the sight they are judged by. Frozen, free of the store."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from maintenance.engine.findings import Finding, FindingKind, Severity


class Identity(NamedTuple):
    """What makes an alert the same alert from one round to the next."""

    database: str
    kind: FindingKind
    object: str


class Transition(StrEnum):
    """What a message says about an alert."""

    RAISED = "raised"
    REPEATED = "repeated"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """A finding of severity warn or error that stands.

    Attributes:
        since: when it was first seen, without a break until now.
        subject: whose look found it last; empty where every look would.
        notified_at: when it was last told; None as long as nobody was.
        told: the severity that was told.
        acknowledged_until: until then it is not repeated, unless it gets worse.
        muted_until: until then not a word, but that it is over.
    """

    identity: Identity
    severity: Severity
    message: str
    since: datetime
    value: float | str | None = None
    threshold: float | str | None = None
    subject: str = ""
    notified_at: datetime | None = None
    told: Severity | None = None
    acknowledged_until: datetime | None = None
    muted_until: datetime | None = None

    def is_acknowledged(self, now: datetime) -> bool:
        """Whether somebody has taken it on."""
        return self.acknowledged_until is not None and now < self.acknowledged_until

    def is_muted(self, now: datetime) -> bool:
        """Whether nobody wants to hear of it."""
        return self.muted_until is not None and now < self.muted_until


class Event(NamedTuple):
    """One turn of one alert: what is to be told."""

    turn: Transition
    alert: Alert
    at: datetime


@dataclass(frozen=True, slots=True)
class FindingSet:
    """What one look at one database found, and what it could have found.

    Attributes:
        findings: those that stand; some say of what nobody can tell whether it does.
        kinds: the kinds that were looked for with open eyes. An alert of another kind stays as
            it is: not to see a fire is not the end of a fire.
        only: the one object that was looked at; None for all.
        subjects: whose look it was; None for everybody's. Several subjects can find one kind,
            and that one of them does not is no proof.
    """

    database: str
    findings: Collection[Finding]
    kinds: frozenset[FindingKind]
    only: str | None = None
    subjects: frozenset[str] | None = None

    def covers(self, alert: Alert) -> bool:
        """Whether an alert that has no finding is over."""
        if self.subjects is not None and alert.subject and alert.subject not in self.subjects:
            return False
        kind, name = alert.identity.kind, alert.identity.object
        looked = kind in self.kinds and self.only in (None, name)
        return looked and not any(found.leaves_open(kind, name) for found in self.findings)

    def by_identity(self) -> dict[Identity, Finding]:
        """The findings by what makes them the same."""
        return {
            Identity(self.database, finding.kind, finding.object): finding
            for finding in self.findings
        }


@dataclass(frozen=True, slots=True)
class AlertUpdate:
    """The alerts that stand after a look, and what is to be told of it."""

    alerts: Mapping[Identity, Alert] = field(default_factory=dict[Identity, Alert])
    events: tuple[Event, ...] = ()
