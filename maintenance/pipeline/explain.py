"""Explain a finding: its runbook entry, with the numbers of the objects that have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from maintenance.alerts.formatting import readable
from maintenance.alerts.models import Alert, Identity
from maintenance.alerts.store import newest_findings, standing_alerts
from maintenance.engine.findings import Finding, FindingKind
from maintenance.engine.runbook_reader import by_itself, entry
from maintenance.engine.target import Target
from maintenance.errors import UsageError
from maintenance.names import near
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.alert_links import links
from maintenance.pipeline.alert_round import spool_of
from maintenance.policy import Policy


@dataclass(frozen=True, slots=True)
class Case:
    """One object that has a finding of the kind.

    Attributes:
        numbers: value and threshold with their units; empty without a value.
        state: `open` or `pending` as its alert is; empty if it has none.
        since: when its alert was first seen; None if it has none.
        found_at: when it was last observed by a run or now.
    """

    finding: Finding
    numbers: str
    state: str
    since: datetime | None
    found_at: datetime
    links: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """The case as the command line prints it."""
        return {
            **self.finding.as_json(),
            "numbers": self.numbers,
            "state": self.state,
            "since": self.since.isoformat() if self.since is not None else None,
            "found_at": self.found_at.isoformat(),
            "links": dict(self.links),
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a kind of finding means, and where it is found in a database."""

    database: str
    kind: FindingKind
    cases: tuple[Case, ...]

    @property
    def entry(self) -> str:
        """The runbook's entry, as Markdown."""
        return entry(self.kind)

    @property
    def by_itself(self) -> str:
        """The automatic action."""
        return by_itself(self.kind)

    @property
    def ok(self) -> bool:
        """Always true: to explain has no failure of its own."""
        return True


@dataclass(slots=True)
class _Known:
    """What is known of a kind, by object."""

    alerts: dict[str, Alert] = field(default_factory=dict[str, Alert])
    findings: dict[str, tuple[Finding, datetime]] = field(
        default_factory=dict[str, tuple[Finding, datetime]]
    )

    @property
    def objects(self) -> list[str]:
        return sorted(self.alerts.keys() | self.findings.keys())


def explain(on: Policy | Target, kind: FindingKind, object_: str | None = None) -> Explanation:
    """Explain a kind of finding, for one object or for all that have it now.

    Reads the open alerts and the newest stored finding of the object; observes the database if
    neither has it, or if no object is named and no alert is open. Changes nothing.

    Raises:
        UsageError: the object has no such finding; the hint names those that have.
        UnreachableError, MaintenanceError: as `pipeline.plan`.
    """
    target = Target.of(on)
    name = target.policy.database.name
    known = _read(target, kind)
    if object_ is None:
        if not known.alerts:
            known.findings = _observe(target, kind)  # what is stored may be over
        objects: Sequence[str] = sorted(known.alerts or known.findings)
    else:
        if object_ not in known.objects:
            known.findings |= _observe(target, kind)
        if object_ not in known.objects:
            raise UsageError(f"{name}: no finding {kind} on {object_}", hint=_hint(object_, known))
        objects = [object_]
    cases = tuple(_case(target.policy, kind, each, known) for each in objects)
    return Explanation(name, kind, cases)


def _read(target: Target, kind: FindingKind) -> _Known:
    name, known = target.policy.database.name, _Known()
    with target.optional_store() as store:
        if store is None:
            alerts = spool_of(target).standing()
        else:
            alerts = standing_alerts(store, name)
            known.findings = {f.object: (f, at) for f, at in newest_findings(store, name, kind)}
    known.alerts = {i.object: alert for i, alert in alerts.items() if i.kind is kind}
    return known


def _observe(target: Target, kind: FindingKind) -> dict[str, tuple[Finding, datetime]]:
    report = pipeline.plan(target)
    return {each.object: (each, report.now) for each in report.findings if each.kind is kind}


def _hint(object_: str, known: _Known) -> str:
    guesses = near(object_, known.objects)
    if guesses:
        return f"did you mean {', '.join(guesses)}?"
    return f"objects with this finding: {', '.join(known.objects[:10]) or 'none'}"


def _case(policy: Policy, kind: FindingKind, object_: str, known: _Known) -> Case:
    alert = known.alerts.get(object_)
    if alert is None:
        finding, found_at = known.findings[object_]
        alert, state, since = _as_alert(policy, finding, found_at), "", None
    else:
        stored = known.findings.get(object_)
        finding = _as_finding(alert, stored[0].data if stored is not None else {})
        found_at, since = alert.seen_at or alert.since, alert.since
        state = "open" if alert.notified_at is not None else "pending"
    numbers = readable(kind, finding.value, finding.threshold)
    return Case(finding, numbers, state, since, found_at, links(policy)([alert]))


def _as_finding(alert: Alert, data: Mapping[str, Any]) -> Finding:
    return Finding(
        alert.identity.kind,
        alert.severity,
        alert.identity.object,
        alert.message,
        alert.value,
        alert.threshold,
        data=data,
        subject=alert.subject,
    )


def _as_alert(policy: Policy, finding: Finding, found_at: datetime) -> Alert:
    """Return a finding as an alert, for its links."""
    identity = Identity(policy.database.name, finding.kind, finding.object)
    return Alert(identity, finding.severity, finding.message, found_at, subject=finding.subject)
