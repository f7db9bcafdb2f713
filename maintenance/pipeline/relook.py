"""Looks again at what open alerts are about, between two runs, so that they end with their cause.

Only subjects that read the catalog in a moment are looked at, only where an alert of theirs is
open, and never for more than a hundredth of the time. Such a look raises nothing new: a run does.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from maintenance.alerts.models import Alert, FindingSet, Identity
from maintenance.engine.findings import (
    CAPACITY,
    INDEXES,
    PARTITIONS,
    STATISTICS,
    UNKNOWN,
    Finding,
    FindingKind,
    Severity,
)
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.at_work import objects_at_work
from maintenance.policy import Policy

SUBJECTS = (PARTITIONS, INDEXES, STATISTICS, CAPACITY)
"""Subjects whose observation reads only the catalog and counters."""

SOON = timedelta(minutes=5)
LATER = timedelta(hours=1)
"""Time between two looks: the first for alerts of the last day, the second for older ones."""

SHARE = 100
"""A look is followed by a pause of at least so many times its own duration."""

KINDS = frozenset(
    kind
    for kind in FindingKind
    if kind.spec.subjects and set(kind.spec.subjects) <= set(SUBJECTS) and not kind.spec.is_of_run
) | {FindingKind.INDEX_INVALID}
"""Kinds that these subjects see completely. Bloat finds invalid indexes too, of fewer tables."""


@dataclass
class Relook:
    """Decides for each database when it is looked at again. One for each process."""

    _again_at: dict[str, datetime] = field(default_factory=dict[str, datetime])

    def look(
        self, on: Policy | Target, alerts: Iterable[Alert], now: datetime
    ) -> FindingSet | None:
        """Look at a database if an alert may be over and the last look is long enough ago.

        Args:
            on: the database.
            alerts: its open ones.
            now: the time of the look, aware.

        Returns:
            None if nothing was looked at. That something can't be looked at is told elsewhere.
        """
        target = Target.of(on)
        name = target.policy.database.name
        if now < self._again_at.get(name, now):
            return None
        seen_whole = [alert for alert in alerts if alert.identity.kind in KINDS]
        subjects = _subjects_of(seen_whole)
        if not subjects:
            return None
        with suppress(MaintenanceError):
            began = time.monotonic()
            self._again_at[name] = now + LATER  # also if it fails
            seen = _look(target, now, seen_whole, subjects)
            pause = SHARE * timedelta(seconds=time.monotonic() - began)
            self._again_at[name] = now + max(_interval(seen_whole, now), pause)
            return seen
        return None


def _subjects_of(alerts: Iterable[Alert]) -> list[str]:
    """Return the subjects that look for the kinds of some alerts, cheap ones only."""
    wanted = {subject for alert in alerts for subject in alert.identity.kind.spec.subjects}
    return [subject for subject in SUBJECTS if subject in wanted]


def _interval(alerts: Iterable[Alert], now: datetime) -> timedelta:
    is_new = any(now - alert.since < timedelta(days=1) for alert in alerts)
    return SOON if is_new else LATER


def _look(
    target: Target,
    now: datetime,
    alerts: Collection[Alert],
    subjects: Collection[str],
) -> FindingSet:
    began = time.monotonic()
    report = pipeline.plan(target, now=now, only=subjects)
    assert report.snapshot is not None, "only a run can find the lock held"
    look_s = time.monotonic() - began
    at_work = objects_at_work(target, report.snapshot, look_s)
    name, known = target.policy.database.name, {alert.identity for alert in alerts}
    findings = [f for f in report.findings if Identity(name, f.kind, f.object) in known]
    findings.append(_unknown(f"{name}/relook", report.findings))
    kinds = {alert.identity.kind for alert in alerts} & report.kinds
    return FindingSet(name, findings, frozenset(kinds), at_work=at_work)


def _unknown(name: str, findings: Iterable[Finding]) -> Finding:
    """Return as information what could not be read: it resolves nothing, and is no alert here."""
    unknown: dict[str, list[str] | None] = {}
    for finding in findings:
        parts: Mapping[str, Collection[str] | None] = finding.data.get(UNKNOWN, {})
        for kind, objects in parts.items():
            before = unknown.setdefault(kind, [])
            unknown[kind] = (
                None if None in (before, objects) else [*(before or ()), *(objects or ())]
            )
    message = f"{name}: looked at again"
    return Finding(FindingKind.MONITOR_BLIND, Severity.INFO, name, message, data={UNKNOWN: unknown})
