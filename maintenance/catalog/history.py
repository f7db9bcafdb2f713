"""What earlier runs did and found, as far as the store knows it: frozen, for planners."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


class PastAction(NamedTuple):
    """What a run last did to an object.

    Attributes:
        table: the table that the action served.
        kind: the action's.
        outcome: None where the run was killed before it knew.
        at: when it ended, or was intended.
    """

    run_id: str
    table: str | None
    kind: str
    outcome: str | None
    at: datetime

    def __str__(self) -> str:
        outcome = self.outcome or "not known, it was interrupted"
        return f"{self.kind} by run {self.run_id[:8]} on {self.at:%Y-%m-%d %H:%M} UTC ({outcome})"

    def as_json(self) -> dict[str, Any]:
        """The deed as findings carry it."""
        return {**self._asdict(), "at": self.at.isoformat()}


class Archived(NamedTuple):
    """A period that was archived, and proven by reading it back."""

    period: str
    n_rows: int
    size_bytes: int
    at: datetime


class Reading(NamedTuple):
    """What a finding measured at a moment."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class History:
    """What the store knows; empty without one.

    Attributes:
        deeds: the newest of each object that was asked about, by its quoted name.
        unfinished: by table, the newest deed that failed or whose outcome nobody knows.
        archives: by table, the newest of each period.
        unarchived: by name of a table, why the newest try to archive it failed.
        detached_from: by OID of a table that bears a mark, the tables from which runs of ours
            detached it, or meant to.
        default_rows: by table, rows of the default partition as runs of the last days counted
            them, oldest first.
    """

    past_actions: Mapping[str, PastAction] = field(default_factory=dict[str, PastAction])
    unfinished: Mapping[str, PastAction] = field(default_factory=dict[str, PastAction])
    archives: Mapping[str, tuple[Archived, ...]] = field(
        default_factory=dict[str, tuple[Archived, ...]]
    )
    unarchived: Mapping[str, str] = field(default_factory=dict[str, str])
    detached_from: Mapping[int, frozenset[str]] = field(default_factory=dict[int, frozenset[str]])
    default_rows: Mapping[str, tuple[Reading, ...]] = field(
        default_factory=dict[str, tuple[Reading, ...]]
    )

    def origin(self, name: str) -> str:
        """Tell in words where what bears a name comes from, as far as the store knows."""
        deed = self.last_deed(name)
        return "no run of ours that made it is known" if deed is None else f"last: {deed}"

    def last_deed(self, name: str) -> PastAction | None:
        """Return what a run last did to what bears a name; None where no run is known."""
        deed = self.past_actions.get(name)
        # What bears the name of a table that was dropped is another one.
        if deed is None or (deed.kind == "drop_partition" and deed.outcome == "done"):
            return None
        return deed

    def last_action(self, name: str) -> dict[str, Any] | None:
        """Return the last deed to what bears a name, JSON-ready."""
        deed = self.last_deed(name)
        return None if deed is None else deed.as_json()

    def interruption(self, table: str) -> str:
        """Tell in words which run left something of a table behind, as far as the store knows."""
        deed = self.unfinished.get(table)
        return (
            "no run that was interrupted is known" if deed is None else f"last interrupted: {deed}"
        )
