"""Health assessment of an overview. Pure."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from maintenance.alerts.models import Alert
from maintenance.engine.findings import FindingKind, Severity
from maintenance.formatting import readable_span
from maintenance.monitoring.models import History, Overview

SILENCE = timedelta(hours=26)
"""If no run has ended for this long, a nightly run was missed."""

UNPROCESSED = timedelta(minutes=10)
"""If findings are unprocessed for this long, alerting does not work."""


class Level(StrEnum):
    """The urgency of a problem."""

    FINE = "all is well"
    TODAY = "look today"
    NOW = "act now"


class Reason(NamedTuple):
    """One problem, with its urgency."""

    level: Level
    text: str


class Verdict(NamedTuple):
    """The most urgent level, and all reasons, the most urgent first."""

    level: Level
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        """The verdict in one line."""
        said = "; ".join(reason.text for reason in self.reasons)
        return f"{self.headline}: {said}" if said else self.headline

    @property
    def headline(self) -> str:
        """The level; without trouble it says whether everything was looked at."""
        so_far = " so far" if self.level is Level.FINE and self.reasons else ""
        return f"{self.level.capitalize()}{so_far}"


_RANKS = tuple(Level)


def assess_health(overview: Overview) -> Verdict:
    """Assess an overview; missing data counts as a problem."""
    found = sorted(_reasons(overview), key=lambda reason: -_RANKS.index(reason.level))
    return Verdict(found[0].level if found else Level.FINE, tuple(found))


def _reasons(overview: Overview) -> Iterator[Reason]:
    if overview.blind is not None:
        yield Reason(Level.NOW, f"server not observed: {overview.blind}")
    for severity, level in ((Severity.ERROR, Level.NOW), (Severity.WARN, Level.TODAY)):
        alerts = [a for a in overview.alerts(severity) if not a.is_acknowledged(overview.now)]
        if alerts:
            yield Reason(level, _counted(severity, alerts))
    known = {alert.identity.kind for alert in overview.history.alerts} if overview.history else ()
    if FindingKind.PARTITION_HORIZON_SHORT not in known:
        yield from _short(overview)
    if overview.history is None:
        if overview.blind is None:
            yield Reason(Level.TODAY, "no run recorded: nothing has been maintained yet")
        return
    yield from _silent(overview, overview.history)
    yield from _unprocessed(overview, overview.history)
    yield from _unobserved(overview.history)
    if FindingKind.MATVIEW_STALE not in known:
        yield from _stale(overview, overview.history)


def _counted(severity: Severity, alerts: Sequence[Alert]) -> str:
    first = alerts[0].identity
    noun = {Severity.ERROR: "error", Severity.WARN: "warning"}[severity]
    more = f" and {len(alerts) - 1} more" if len(alerts) > 1 else ""
    counted = f"{len(alerts)} {noun}{'s' if len(alerts) > 1 else ''}"
    return f"{counted}: {first.kind} on {first.object}{more}"


def _short(overview: Overview) -> Iterator[Reason]:
    for table in overview.tables:
        if table.ahead < table.premake:
            level = Level.TODAY if table.covered_until > overview.now else Level.NOW
            text = f"{table.table} has {table.ahead} of {table.premake} partitions ahead"
            yield Reason(level, text)


def _silent(overview: Overview, history: History) -> Iterator[Reason]:
    ended_at = history.activity.last_ended_at
    if ended_at is None:
        yield Reason(Level.TODAY, "no run has finished yet")
    elif overview.now - ended_at > SILENCE:
        span = readable_span(overview.now - ended_at)
        yield Reason(Level.NOW, f"no run finished for {span}: check the Dagster daemon")
    elif history.activity.last_failed and not history.alerts:  # the alerts give the cause
        yield Reason(Level.TODAY, "the last run failed")


def _unprocessed(overview: Overview, history: History) -> Iterator[Reason]:
    """Without processing, an empty list of alerts means nothing."""
    since = history.activity.unprocessed_since
    if since is not None and overview.now - since > UNPROCESSED:
        span = readable_span(overview.now - since)
        text = f"findings unprocessed for {span}: check the sensor alert_on_findings"
        yield Reason(Level.TODAY, text)


def _unobserved(history: History) -> Iterator[Reason]:
    """Say what the verdict does not cover yet; it is no trouble, and no proof of none."""
    subjects = history.unobserved if history.activity.last_ended_at is not None else ()
    for subject in subjects:
        yield Reason(Level.FINE, f"{subject}: not looked at yet")


def _stale(overview: Overview, history: History) -> Iterator[Reason]:
    over = [view.age.name for view in history.views if view.age.is_late(overview.now)]
    if over:
        text = f"older than max_age: {', '.join(map(str, over))}"
        yield Reason(Level.TODAY, text)
