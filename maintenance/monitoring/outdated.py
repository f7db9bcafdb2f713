"""Findings for observations that are too old: from the store alone, cheap for every minute.

An old observation does not prove that all is well. A new installation is not late.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import readable_span
from maintenance.monitoring import freshness
from maintenance.policy import Policy
from maintenance.server.session import Connection
from maintenance.subjects.bloat.history import newest_look

LOOKER = "overlooked"
"""The subject that reports this finding and the only one that can resolve it."""
BLOAT_AGE = timedelta(hours=50)
"""Somewhat more than two nightly runs."""
GRACE = timedelta(hours=1)
"""Time allowed for the run that repeats an outdated observation."""


def overlooked_analytics(policy: Policy, now: datetime, store: Connection) -> FindingSet:
    """Report tables with computed rows that have not been checked within `max_age`."""
    seen = freshness.analytics(store, policy)
    late = (
        f"{section.table} {_last_observed(now, seen[section.table].seen_at)}"
        for section in policy.stale_analytics
        if section.table in seen and now - seen[section.table].seen_at > section.max_age + GRACE
    )
    return _finding_set(policy, "stale_analytics", ", ".join(late))


def overlooked_bloat(policy: Policy, now: datetime, store: Connection) -> FindingSet:
    """Report a bloat observation that is too old."""
    taken_at, _ = newest_look(store, policy.database.name)
    is_late = taken_at is not None and now - taken_at > BLOAT_AGE
    late = f"bloat {_last_observed(now, taken_at)}" if is_late and taken_at else ""
    return _finding_set(policy, "bloat", late)


def _last_observed(now: datetime, seen_at: datetime) -> str:
    return f"last observed {readable_span(now - seen_at)} ago ({seen_at:%Y-%m-%d %H:%M} UTC)"


def _finding_set(policy: Policy, subject: str, late: str) -> FindingSet:
    name = policy.database.name
    object_ = f"{name}/{subject}/look"
    findings = list(_blind(object_, late)) if late else []
    return FindingSet(
        name, findings, frozenset({FindingKind.MONITOR_BLIND}), object_, frozenset({LOOKER})
    )


def _blind(object_: str, late: str) -> Iterator[Finding]:
    yield Finding(
        FindingKind.MONITOR_BLIND,
        Severity.WARN,
        object_,
        f"{object_}: no recent observation: {late}; check failed runs or a disabled schedule",
        subject=LOOKER,
    )
