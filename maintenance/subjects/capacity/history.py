"""Read and record in the store how much of each limit was in use."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg.types.json import Jsonb

from maintenance.server.session import Connection, fetch, run_statement
from maintenance.subjects.capacity.models import CapacityObservation, Level

LOOKED_BACK = timedelta(days=60)
LOW_WATER = 0.1
"""Smaller shares are not recorded."""


class Kept(NamedTuple):
    """One limit at the newest observation."""

    cliff: str
    object: str
    used: float
    ceiling: float

    @property
    def share(self) -> float:
        """The share in use."""
        return self.used / self.ceiling if self.ceiling > 0 else 1.0


def record(store: Connection, database: str, now: datetime, levels: Iterable[Level]) -> None:
    """Record the levels from the low-water mark on, and the rates, in one statement."""
    rows = [
        {
            "cliff": level.cliff.value,
            "object": level.object,
            "used": level.used,
            "ceiling": level.ceiling or None,
        }
        for level in levels
        if level.share >= LOW_WATER
    ]
    parameters = {"taken_at": now, "database": database, "levels": Jsonb(rows)}
    run_statement(store, "store", "add_capacity", parameters)


def with_history(
    store: Connection, database: str, now: datetime, seen: CapacityObservation
) -> CapacityObservation:
    """Return an observation with the values of earlier runs."""
    about = {"database": database, "since": now - LOOKED_BACK, "until": now}
    past: dict[tuple[str, str], list[tuple[datetime, float]]] = defaultdict(list)
    for row in fetch(store, "store", "list_capacity", about):
        past[row.cliff, row.object].append((row.taken_at, row.used))
    peaks = fetch(store, "store", "list_pool_peaks", about)
    pool = tuple((row.taken_at, row.n_connections / row.n_usable) for row in peaks)
    return replace(seen, past=dict(past), pool_peaks=pool)


def newest(store: Connection, database: str) -> list[Kept]:
    """Return the limits of the newest observation, the nearest first."""
    rows = fetch(store, "store", "list_newest_capacity", {"database": database})
    return [Kept(*row) for row in rows]
