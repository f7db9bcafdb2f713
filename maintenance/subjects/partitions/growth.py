"""How fast rows come, by what earlier runs counted and by what partitions hold: pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from maintenance.catalog.history import Reading
from maintenance.partition_key import PAST
from maintenance.subjects.partitions.state import PartitionState

SHORTEST = timedelta(hours=1)
"""A rate measured over less is noise."""

COPIED_PER_S = 250_000
"""Rows that a drain copies, indexes and proves in a second: 3 M took 11 s where it was measured."""

_DAY = timedelta(days=1)


class Rate(NamedTuple):
    """Rows a day, measured since a moment."""

    rows_per_day: int
    since: datetime


def growth(readings: Iterable[Reading], n_rows: int, now: datetime) -> Rate | None:
    """Return how fast a number of rows grew up to now, since it was last seen to fall.

    Args:
        readings: earlier counts, oldest first.
        n_rows: the present count.
        now: when it was taken.
    """
    rising: list[Reading] = []
    for reading in (*readings, Reading(now, n_rows)):
        if rising and reading.value < rising[-1].value:
            rising.clear()
        rising.append(reading)
    first = rising[0]
    if now - first.at < SHORTEST:
        return None
    return Rate(round((n_rows - first.value) * (_DAY / (now - first.at))), first.at)


def insert_rate(state: PartitionState) -> int | None:
    """Return the rows a day that the newest whole partition which was analyzed took in."""
    for span in reversed(state.coverage.spans):
        if span.lower > PAST and span.upper <= state.position and span.partition.rows > 0:
            return round(span.partition.rows * (_DAY / (span.upper - span.lower)))
    return None


def copy_time(n_rows: float) -> timedelta:
    """Return about how long a drain of so many rows takes."""
    return timedelta(seconds=max(1, round(n_rows / COPIED_PER_S)))
