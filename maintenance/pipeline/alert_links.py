"""Links of an alert: its runbook entry, and its asset or job in the Dagster UI."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote as url_quote

from maintenance.alerts.messages import Links
from maintenance.alerts.models import Alert
from maintenance.engine.findings import FindingKind
from maintenance.names import parse_name, slug, text_slug
from maintenance.policy import Placement, Policy

ASSETS = {
    "conversion": "partition_inventory",
    "partitions": "partition_inventory",
    "retention": "retention",
    "matviews": "matviews",
    "stale_analytics": "stale_analytics",
    "statistics": "statistics",
    "indexes": "index_usage",  # or indexes, where only a declaration is concerned
    "redis": "redis",
    "bloat": "bloat",
    "workload": "workload",
    "capacity": "capacity",
}
"""The asset of each subject, below the database's name."""

_ABSOLUTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


def links(policy: Policy) -> Links:
    """Return the function that finds the links for alerts of one kind."""

    def of(alerts: Sequence[Alert]) -> Mapping[str, str]:
        kind = alerts[0].identity.kind
        # A path is of use where the documents are, and a message is read elsewhere.
        runbook = policy.alerts.runbook.replace("{kind}", kind.value)
        found = {"runbook": runbook} if _ABSOLUTE.match(runbook) else {}
        path = _path(alerts, policy.placement)
        if policy.alerts.ui is not None and path is not None:
            found["dagster"] = f"{policy.alerts.ui.rstrip('/')}/{url_quote(path)}"
        return found

    return of


def _path(alerts: Sequence[Alert], placement: Placement) -> str | None:
    """Return the UI path of one alert, or the path that several alerts have in common."""
    paths = [path_of(alert, placement) for alert in alerts]
    if len(set(paths)) == 1:
        return paths[0]
    common = {path.rpartition("/")[0] for path in paths if path is not None}
    return common.pop() if len(common) == 1 and None not in paths else None


def path_of(alert: Alert, placement: Placement) -> str | None:
    """Return the UI path of an alert's asset or job, without a leading slash; None if unknown."""
    database, kind, name = alert.identity
    if kind.spec.is_of_job:
        return f"locations/{placement.location}/jobs/{name}"
    if kind.spec.is_of_file:
        return _asset(placement, text_slug(Path(name).stem), "broken_policy")
    subject = alert.subject if alert.subject in ASSETS else _only_subject(kind)
    if subject not in ASSETS:
        return None
    view = _view(name) if subject == "matviews" else ()
    asset = "indexes" if kind.spec.is_of_declaration else ASSETS[subject]
    return _asset(placement, database, asset, *view)


def _only_subject(kind: FindingKind) -> str | None:
    subjects = kind.spec.subjects
    return subjects[0] if len(subjects) == 1 else None


def _asset(placement: Placement, *key: str) -> str:
    return "/".join(("assets", *placement.key(*key)))


def _view(name: str) -> tuple[str, ...]:
    """Return the last part of a view's asset key; none if the object is not a view."""
    try:
        return (slug(parse_name(name)),)
    except ValueError:
        return ()
