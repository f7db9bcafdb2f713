"""Estimates how fast rows arrive, from counts of earlier runs and rows of partitions."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from maintenance.catalog.history import RowCount
from maintenance.partition_key import PAST
from maintenance.subjects.partitions.state import PartitionState

SHORTEST = timedelta(hours=1)
"""The shortest time over which a rate is measured."""

COPIED_PER_S = 250_000
"""Rows that a drain copies, indexes and verifies per second: 3 M took 11 s when measured."""

_DAY = timedelta(days=1)


class Rate(NamedTuple):
    """Rows per day, measured since a moment."""

    rows_per_day: int
    since: datetime


def growth(readings: Iterable[RowCount], n_rows: int, now: datetime) -> Rate | None:
    """Return the growth of a row count since it last fell.

    Args:
        readings: earlier counts, oldest first.
        n_rows: the present count.
        now: when it was taken.
    """
    rising: list[RowCount] = []
    for reading in (*readings, RowCount(now, n_rows)):
        if rising and reading.value < rising[-1].value:
            rising.clear()
        rising.append(reading)
    first = rising[0]
    if now - first.at < SHORTEST:
        return None
    return Rate(round((n_rows - first.value) * (_DAY / (now - first.at))), first.at)


def insert_rate(state: PartitionState) -> int | None:
    """Return the rows per day of the newest complete partition that was analyzed."""
    for span in reversed(state.coverage.spans):
        if span.lower > PAST and span.upper <= state.position and span.partition.rows > 0:
            return round(span.partition.rows * (_DAY / (span.upper - span.lower)))
    return None


def copy_time(n_rows: float) -> timedelta:
    """Estimate how long a drain of this many rows takes."""
    return timedelta(seconds=max(1, round(n_rows / COPIED_PER_S)))
