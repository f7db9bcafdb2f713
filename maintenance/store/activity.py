"""What runs have done of late: in sums, for whoever wants to know whether they do their work."""

from datetime import datetime
from typing import NamedTuple

from maintenance.server.session import Connection, fetch


class ActionTotals(NamedTuple):
    """Actions of one kind that came out alike."""

    kind: str
    outcome: str
    n: int
    seconds: float


class Failure(NamedTuple):
    """A run that failed as a whole, or an action that could not be done."""

    at: datetime
    what: str
    error: str


class Activity(NamedTuple):
    """What runs have done since a moment.

    Attributes:
        n_open: runs that have not ended, or were killed.
        last_ended_at: when the newest run ended, however long ago; None before the first.
        last_failed: whether that failed.
        unprocessed_since: when the oldest run ended whose findings are no alerts yet; None if all
            are.
        own_seconds: how long our own statements took.
    """

    n_runs: int
    n_failed: int
    n_open: int
    last_ended_at: datetime | None
    last_failed: bool
    unprocessed_since: datetime | None
    own_seconds: float
    past_actions: tuple[ActionTotals, ...]
    failures: tuple[Failure, ...]


def activity(store: Connection, database: str, since: datetime, most: int) -> Activity:
    """Return what runs on a database have done since a moment, with the newest failures."""
    about = {"database": database, "since": since}
    (sums,) = fetch(store, "store", "sum_runs", about)
    return Activity(
        n_runs=sums.n_runs,
        n_failed=sums.n_failed,
        n_open=sums.n_open,
        last_ended_at=sums.last_ended_at,
        last_failed=bool(sums.last_failed),
        unprocessed_since=sums.unprocessed_since,
        own_seconds=sums.own_seconds,
        past_actions=tuple(
            ActionTotals(*row) for row in fetch(store, "store", "summarize_actions", about)
        ),
        failures=tuple(
            Failure(*row) for row in fetch(store, "store", "list_failures", {**about, "most": most})
        ),
    )
