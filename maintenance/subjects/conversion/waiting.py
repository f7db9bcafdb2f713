"""The finding on a conversion that other sessions keep from its locks."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.subjects.conversion.models import ConvertibleTable, Wait

LONG = timedelta(days=3)
"""A conversion that waits for longer is not to be expected to end by itself."""


def waiting(seen: ConvertibleTable, wait: Wait, now: datetime) -> Finding:
    """Return the finding on a conversion whose newest runs gave up; it names the blocker."""
    name, age = str(seen.name), now - wait.since
    runs = "1 run" if wait.n_runs == 1 else f"{wait.n_runs} runs"
    return Finding(
        FindingKind.CONVERSION_WAITING,
        Severity.ERROR if age > LONG else Severity.WARN,
        name,
        f"{name}: its conversion has waited for a lock since {wait.since:%Y-%m-%d %H:%M} UTC, and"
        f" {runs} gave up; the table works as before. {_described(wait)}. The next run continues",
        value=max(0, round(age.total_seconds())),
        threshold=LONG.total_seconds(),
        data={
            "since": wait.since.isoformat(),
            "gave_up_at": wait.at.isoformat(),
            "runs": wait.n_runs,
            "blocked_by": dict(wait.blocked_by),
        },
    )


def _described(wait: Wait) -> str:
    """Say which session was in the way, and what to do."""
    facts = wait.blocked_by
    if facts.get("prepared"):
        prepared = facts["prepared"]
        return f"In the way was the prepared transaction {prepared}: commit it, or roll it back"
    if facts.get("pid") is None:
        return f"The last error: {wait.error}"
    return f"In the way was {_session(facts)}. End it, or convert while it does not run"


def _session(facts: Mapping[str, Any]) -> str:
    who = ", ".join(
        str(each)
        for each in (facts.get("role"), facts.get("application"), facts.get("state"))
        if each
    )
    start = facts.get("query_start")
    since = f", its query began at {start}" if start else ""
    lock, relation = facts.get("lock"), facts.get("relation")
    held = f", with {lock} on {relation}" if lock and relation else ""
    return f"pid {facts['pid']} ({who or 'not shown to us'}{since}){held}"
