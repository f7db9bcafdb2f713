"""What nobody has looked at for too long: by the store alone, cheap enough for every minute.

Not to look is not to find nothing. Who never looked is not late, only new.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.sessions import optional_store_session
from maintenance.formatting import readable_span
from maintenance.monitoring import freshness
from maintenance.policy import Policy
from maintenance.subjects.bloat.history import newest_look

LOOKER = "overlooked"
"""Who finds this, and who alone can tell that it is over."""
BLOAT_AGE = timedelta(hours=50)
"""Two nightly runs and some."""
GRACE = timedelta(hours=1)
"""What is older than it may be is looked at again; that takes a while."""


def overlooked_analytics(
    policy: Policy, now: datetime, environ: Mapping[str, str] = os.environ
) -> FindingSet:
    """Tell whether tables of computed rows were looked at as often as they may become stale.

    Raises:
        UsageError: an environment variable is missing, or the url is none.
    """
    seen = freshness.analytics(policy, environ)
    if seen is None:
        return FindingSet(policy.database.name, [], frozenset())
    late = (
        f"{section.table} {_told(now, seen[section.table].seen_at)}"
        for section in policy.stale_analytics
        if section.table in seen and now - seen[section.table].seen_at > section.max_age + GRACE
    )
    return _finding_set(policy, "stale_analytics", ", ".join(late))


def overlooked_bloat(
    policy: Policy, now: datetime, environ: Mapping[str, str] = os.environ
) -> FindingSet:
    """Tell whether the last look at bloat is too old to go by.

    Raises:
        UsageError: an environment variable is missing, or the url is none.
        MaintenanceError: the store could not be read.
    """
    with optional_store_session(policy, environ) as store:
        if store is None:
            return FindingSet(policy.database.name, [], frozenset())
        taken_at, _ = newest_look(store, policy.database.name)
    is_late = taken_at is not None and now - taken_at > BLOAT_AGE
    late = f"bloat {_told(now, taken_at)}" if is_late and taken_at else ""
    return _finding_set(policy, "bloat", late)


def _told(now: datetime, seen_at: datetime) -> str:
    return f"was last looked at {readable_span(now - seen_at)} ago ({seen_at:%Y-%m-%d %H:%M} UTC)"


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
        f"{object_}: nobody looks: {late}; see whether its runs fail, or its schedule is off",
        subject=LOOKER,
    )
