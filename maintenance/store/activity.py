"""Summarize the activity of recent runs."""

from datetime import datetime
from typing import NamedTuple

from maintenance.server.session import Connection, fetch


class ActionTotals(NamedTuple):
    """Actions of one kind with the same outcome."""

    kind: str
    outcome: str
    n: int
    seconds: float


class Failure(NamedTuple):
    """A failed run, or a failed action."""

    at: datetime
    what: str
    error: str


class Activity(NamedTuple):
    """The activity of runs since a moment.

    Attributes:
        n_open: runs that have not ended, or were killed.
        last_ended_at: when the newest run ended, at any time; None before the first.
        last_failed: whether that run failed.
        unprocessed_since: the end of the oldest run whose findings are not processed to alerts;
            None if all are.
        own_seconds: total time of our own statements.
        last_done_at: when the newest run ended that did all it had to do, at any time.
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
    last_done_at: datetime | None = None


def observed_subjects(store: Connection, database: str) -> frozenset[str]:
    """Return the subjects that any run on a database has observed."""
    rows = fetch(store, "store", "list_observed_subjects", {"database": database})
    return frozenset(row.subject for row in rows)


def activity(store: Connection, database: str, since: datetime, most: int) -> Activity:
    """Return the activity of runs on a database since a moment, with the newest failures."""
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
        last_done_at=sums.last_done_at,
    )
