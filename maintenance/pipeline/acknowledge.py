"""Acknowledging and muting alerts, from the command line and from Dagster."""

from datetime import UTC, datetime
from enum import StrEnum

from maintenance.alerts.models import Alert
from maintenance.engine.target import Target
from maintenance.errors import UsageError
from maintenance.pipeline.notify import standing, tend_alert
from maintenance.policy import Policy, read_moment_near


class AlertAction(StrEnum):
    """What is done with an open alert.

    - acknowledge: it is not repeated and not escalated until a time, unless it gets worse.
    - mute: nothing is sent about it until a time, except its resolution.
    - clear: it is neither acknowledged nor muted any more.
    """

    ACKNOWLEDGE = "acknowledge"
    MUTE = "mute"
    CLEAR = "clear"


_COLUMNS = {
    AlertAction.ACKNOWLEDGE: ("acknowledged_until",),
    AlertAction.MUTE: ("muted_until",),
    AlertAction.CLEAR: ("acknowledged_until", "muted_until"),
}


def acknowledge(
    on: Policy | Target,
    kind: str,
    object_: str,
    action: AlertAction,
    until: datetime | None,
) -> tuple[list[Alert], str | None]:
    """Acknowledge or mute an open alert, or clear both; return what `standing` returns then.

    Args:
        on: the database: its policy, or a target that has variables of its own.
        kind: the finding kind of the alert.
        object_: its object.
        action: what to do.
        until: the end of it, aware; None for `clear`.

    Raises:
        UsageError: no such alert is open; the hint lists those that are.
        MaintenanceError: neither store nor spool can be written.
    """
    for column in _COLUMNS[action]:
        tend_alert(on, kind, object_, column, until)
    return standing(on)


def read_until(text: str) -> datetime:
    """Parse an ISO 8601 time, in UTC if it has no offset, or a duration from now on.

    Raises:
        UsageError: the text is neither.
    """
    try:
        return read_moment_near(text, datetime.now(UTC))
    except ValueError as exc:
        raise UsageError(f"until: {exc}") from exc
