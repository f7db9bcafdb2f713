"""Models of recorded actions and measurements of earlier runs: frozen, for planners."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


class PastAction(NamedTuple):
    """The last recorded action on an object.

    Attributes:
        table: the table that the action served.
        kind: the action's.
        outcome: None if the run was killed before it was recorded.
        at: when it ended, or was recorded as intended.
    """

    run_id: str
    table: str | None
    kind: str
    outcome: str | None
    at: datetime

    def __str__(self) -> str:
        outcome = self.outcome or "outcome unknown: interrupted"
        return f"{self.kind} by run {self.run_id[:8]} on {self.at:%Y-%m-%d %H:%M} UTC ({outcome})"

    def as_json(self) -> dict[str, Any]:
        """Return the action as in the data of findings."""
        return {**self._asdict(), "at": self.at.isoformat()}


class Archived(NamedTuple):
    """A period that was archived and verified by reading it back."""

    period: str
    n_rows: int
    size_bytes: int
    at: datetime


class RowCount(NamedTuple):
    """The recorded number of rows of a table at a moment."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class History:
    """Recorded history from the store; empty without a store.

    Attributes:
        past_actions: the newest action on each requested object, by its quoted name.
        unfinished: by table, the newest action that failed or has an unknown outcome.
        archives: by table, the newest archive of each period.
        unarchived: by name of a table, why the newest attempt to archive it failed.
        detached_from: by OID of a marked table, the tables from which runs of ours
            detached it, or intended to.
        default_rows: by table, recorded row counts of the default partition of the last
            days, oldest first.
    """

    past_actions: Mapping[str, PastAction] = field(default_factory=dict[str, PastAction])
    unfinished: Mapping[str, PastAction] = field(default_factory=dict[str, PastAction])
    archives: Mapping[str, tuple[Archived, ...]] = field(
        default_factory=dict[str, tuple[Archived, ...]]
    )
    unarchived: Mapping[str, str] = field(default_factory=dict[str, str])
    detached_from: Mapping[int, frozenset[str]] = field(default_factory=dict[int, frozenset[str]])
    default_rows: Mapping[str, tuple[RowCount, ...]] = field(
        default_factory=dict[str, tuple[RowCount, ...]]
    )

    def origin(self, name: str) -> str:
        """Return as text the last recorded action on a name."""
        action = self.newest_action(name)
        return "no recorded run created it" if action is None else f"last action: {action}"

    def newest_action(self, name: str) -> PastAction | None:
        """Return the last recorded action on the object of a name; None without one."""
        action = self.past_actions.get(name)
        # After a drop an object of this name is another one.
        if action is None or (action.kind == "drop_partition" and action.outcome == "done"):
            return None
        return action

    def last_action(self, name: str) -> dict[str, Any] | None:
        """Return the last recorded action on the object of a name, JSON-ready."""
        action = self.newest_action(name)
        return None if action is None else action.as_json()

    def interruption(self, table: str) -> str:
        """Return as text the last interrupted or failed action on a table."""
        action = self.unfinished.get(table)
        return (
            "no interrupted run is recorded"
            if action is None
            else f"last interrupted action: {action}"
        )
