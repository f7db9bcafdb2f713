"""Keep samples of the watch in the store, and read them and their peaks."""

from datetime import datetime, timedelta
from typing import NamedTuple

from maintenance.server.session import Connection, Question, fetch
from maintenance.subjects.workload.models import WatchSample

KEPT_WHOLE = timedelta(days=1)
"""Older samples are thinned."""
SPAN = timedelta(minutes=10)
"""Thinned samples: one for each, with the peaks of it."""
_ORIGIN = datetime(2000, 1, 1)  # noqa: DTZ001 - only for differences of the clock's time


class PoolPeak(NamedTuple):
    """The moment at which the largest share of the usable connections was in use."""

    at: datetime
    n_connections: int
    n_usable: int

    @property
    def share(self) -> float:
        """The share in use, from 0 to 1."""
        return self.n_connections / self.n_usable


class Peaks(NamedTuple):
    """The highest values of the samples since a moment; None where nothing is known.

    Attributes:
        n_samples: 0 if there are none, and everything else is unknown.
        blocked_s: seconds in which at least one session waited for a lock.
    """

    n_samples: int
    n_idle_in_transaction: int | None
    oldest_transaction_s: float | None
    longest_idle_s: float | None
    n_waiting: int | None
    longest_wait_s: float | None
    blocked_s: float
    n_slow: int | None
    longest_statement_s: float | None
    slot_bytes: int | None
    standby_lag_bytes: int | None
    wraparound: float | None
    redis_memory_bytes: int | None


def keeping(database: str, sample: WatchSample) -> list[Question]:
    """Return the statements that keep a sample, and thin those that are older than a day."""
    row = {"database": database, **sample._asdict()}
    before = _boundary(sample.taken_at - KEPT_WHOLE)
    thinned = {"database": database, "before": before, "span_s": int(SPAN.total_seconds())}
    return [("store", "add_sample", row), ("store", "thin_samples", thinned)]


def _boundary(moment: datetime) -> datetime:
    """Return the last boundary of spans before a moment."""
    return moment - (moment.replace(tzinfo=None) - _ORIGIN) % SPAN


def samples_since(store: Connection, database: str, since: datetime) -> list[WatchSample]:
    """Return the samples since a moment, oldest first; those older than a day are peaks."""
    about = {"database": database, "since": since}
    return [WatchSample(*row) for row in fetch(store, "store", "list_samples", about)]


def pool_peak(store: Connection, database: str, since: datetime) -> PoolPeak | None:
    """Return the peak of connections since a moment; None without a sample."""
    rows = fetch(store, "store", "find_pool_peak", {"database": database, "since": since})
    return PoolPeak(*rows[0]) if rows else None


def peaks(store: Connection, database: str, since: datetime) -> Peaks:
    """Return the peaks of all other numbers since a moment."""
    about = {"database": database, "since": since}
    (row,) = fetch(store, "store", "summarize_samples", about)
    return Peaks(*row)
