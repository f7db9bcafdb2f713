"""Whether to worry. Pure."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from maintenance.alerts.models import Alert
from maintenance.engine.findings import FindingKind, Severity
from maintenance.formatting import readable_span
from maintenance.monitoring.models import History, Overview

SILENCE = timedelta(hours=26)
"""After so long without the end of a run, a night was missed."""

UNJUDGED = timedelta(minutes=10)
"""After so long somebody should have made alerts of what a run found."""


class Level(StrEnum):
    """How soon somebody should look."""

    FINE = "all is well"
    TODAY = "look today"
    NOW = "act now"


class Reason(NamedTuple):
    """One reason to worry."""

    level: Level
    text: str


class Verdict(NamedTuple):
    """The most pressing level, and every reason, the most pressing first."""

    level: Level
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        """The verdict in one line."""
        said = "; ".join(reason.text for reason in self.reasons)
        return f"{self.level.capitalize()}: {said}" if said else self.level.capitalize()


_RANKS = tuple(Level)


def assess_health(overview: Overview) -> Verdict:
    """Judge an overview: what is not seen is no reason to be calm."""
    found = sorted(_reasons(overview), key=lambda reason: -_RANKS.index(reason.level))
    return Verdict(found[0].level if found else Level.FINE, tuple(found))


def _reasons(overview: Overview) -> Iterator[Reason]:
    if overview.blind is not None:
        yield Reason(Level.NOW, f"the server can't be seen: {overview.blind}")
    for severity, level in ((Severity.ERROR, Level.NOW), (Severity.WARN, Level.TODAY)):
        alerts = [a for a in overview.alerts(severity) if not a.is_acknowledged(overview.now)]
        if alerts:
            yield Reason(level, _counted(severity, alerts))
    known = {alert.identity.kind for alert in overview.history.alerts} if overview.history else ()
    if FindingKind.PARTITION_HORIZON_SHORT not in known:
        yield from _short(overview)
    if overview.history is None:
        if overview.blind is None:
            yield Reason(Level.TODAY, "no run is on record, so nothing has been maintained yet")
        return
    yield from _silent(overview, overview.history)
    yield from _unprocessed(overview, overview.history)
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
        yield Reason(Level.TODAY, "no run has ended yet")
    elif overview.now - ended_at > SILENCE:
        span = readable_span(overview.now - ended_at)
        yield Reason(Level.NOW, f"no run has ended for {span}: is Dagster's daemon alive?")
    elif history.activity.last_failed and not history.alerts:  # else they say why
        yield Reason(Level.TODAY, "the last run failed")


def _unprocessed(overview: Overview, history: History) -> Iterator[Reason]:
    """Without rounds of alerts, that none stands means nothing."""
    since = history.activity.unprocessed_since
    if since is not None and overview.now - since > UNJUDGED:
        span = readable_span(overview.now - since)
        text = f"findings of {span} ago are no alerts yet: does the sensor alert_on_findings run?"
        yield Reason(Level.TODAY, text)


def _stale(overview: Overview, history: History) -> Iterator[Reason]:
    over = [view.age.name for view in history.views if view.age.is_over(overview.now)]
    if over:
        yield Reason(Level.TODAY, f"older than they may be: {', '.join(map(str, over))}")
