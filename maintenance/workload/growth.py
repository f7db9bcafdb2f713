"""How fast something grows, and when it will be too large."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

WEEK = timedelta(days=7)
SHORTEST = timedelta(days=2)
"""Over less than this a growth says nothing about a week."""
LONGEST = timedelta(days=35)


class Growth(NamedTuple):
    """Growth in a week, in bytes and as a share of the size a week ago."""

    bytes_a_week: float
    fraction_a_week: float
    since: datetime

    def reaches(self, left_bytes: float, now: datetime) -> datetime | None:
        """Return when so much more will have come, within a year; None if not."""
        if self.bytes_a_week <= 0:
            return None
        weeks = left_bytes / self.bytes_a_week
        return now + WEEK * max(weeks, 0) if weeks <= 52 else None  # noqa: PLR2004 - a year


def growth(before: Sequence[tuple[datetime, int]], now: datetime, size_bytes: int) -> Growth | None:
    """Return how fast a size grows, from the oldest look of the last weeks; None if too new."""
    known = [pair for pair in before if SHORTEST <= now - pair[0] <= LONGEST]
    if not known:
        return None
    since, then = known[0]
    weeks = (now - since) / WEEK
    a_week = (size_bytes - then) / weeks
    return Growth(a_week, a_week / max(then, 1), since)
