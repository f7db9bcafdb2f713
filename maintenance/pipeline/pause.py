"""Pause and resume a database: while it is paused, nothing is changed and all is observed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from maintenance.engine.target import Target
from maintenance.errors import UsageError
from maintenance.pipeline.gate import who
from maintenance.policy import Policy
from maintenance.policy.pauses import Pause
from maintenance.store import migrate
from maintenance.store.pauses import begin_pause, end_pause, read_pause

LONGEST_REASON = 1_000
"""Maximum number of characters of a reason."""


@dataclass(frozen=True, slots=True)
class PauseReport:
    """The pause of one database after a command; None if it is not paused.

    Attributes:
        ended: the pause that the command has ended or replaced.
    """

    database: str
    pause: Pause | None
    ended: Pause | None = None

    @property
    def ok(self) -> bool:
        """Always true: a pause that can't be stored is an error."""
        return True

    def as_json(self) -> dict[str, Any]:
        """Return the report as the command line prints it."""
        return {
            "database": self.database,
            "pause": pause_json(self.pause),
            "ended": pause_json(self.ended),
        }


def pause_json(pause: Pause | None) -> dict[str, Any] | None:
    """Return a pause as JSON; None without one."""
    if pause is None:
        return None
    return {
        "since": pause.since.isoformat(),
        "until": pause.until.isoformat() if pause.until is not None else None,
        "reason": pause.reason,
        "by": pause.by,
    }


def pause(on: Policy | Target, until: datetime | None = None, reason: str = "") -> PauseReport:
    """Pause a database until a time, or until it is resumed; an active pause is replaced.

    A run that is at work finishes its current action and skips the others.

    Raises:
        UsageError: the time is not in the future, or the reason is too long.
        UnreachableError, MaintenanceError: the store can't be reached or created.
    """
    if until is not None and until <= datetime.now(UTC):
        raise UsageError(
            f"pause until {until:%Y-%m-%d %H:%M} UTC: found a time in the past",
            hint="choose a later time",
        )
    if len(reason) > LONGEST_REASON:
        raise UsageError(
            f"pause: found a reason of {len(reason):,} characters, wanted at most"
            f" {LONGEST_REASON:,}",
            hint="name a ticket or a page instead",
        )
    target = Target.of(on)
    name = target.policy.database.name
    with target.store() as store:
        migrate(store)
        earlier = read_pause(store, name)
        begin_pause(store, name, until, reason.strip(), who(store))
        return PauseReport(name, read_pause(store, name), earlier)


def resume(on: Policy | Target) -> PauseReport:
    """End the pause of a database, if there is one.

    Raises:
        UnreachableError, MaintenanceError: the store can't be reached or created.
    """
    target = Target.of(on)
    name = target.policy.database.name
    with target.store() as store:
        migrate(store)
        earlier = read_pause(store, name)
        end_pause(store, name, who(store))
        return PauseReport(name, None, earlier)
