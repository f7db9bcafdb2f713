"""Growth of tables and of the database, from their sizes at each observation. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from maintenance.trend import SHORTEST, Reach, Step, Trend, fit

WEEK = timedelta(days=7)
MONTH = timedelta(days=30)
LONGEST = timedelta(days=35)
LEAST_BYTES = 100 * 2**20
"""Slower growth per week is not reported, nor is a smaller load."""
_LEAST_CHANGE = LEAST_BYTES * (SHORTEST / WEEK)


class Growth(NamedTuple):
    """Growth of a size, in bytes.

    Attributes:
        trend: its rate and range, without a load.
        week_ago: the size a week ago, or at the oldest look since.
    """

    trend: Trend
    week_ago: int

    @property
    def bytes_a_week(self) -> float:
        """Growth per week, in bytes."""
        return self.trend.per_day * WEEK.days

    @property
    def fraction_a_week(self) -> float:
        """Growth per week, as a fraction of the size a week ago."""
        return self.bytes_a_week / max(self.week_ago, 1)

    @property
    def is_known(self) -> bool:
        """Whether there are enough looks to tell growth from a load."""
        return self.trend.n_looks > 2  # noqa: PLR2004 - between two looks both are the same

    @property
    def load(self) -> Step | None:
        """A load of the last week that is not small; None without one."""
        step = self.trend.step
        if step is None or step.rise < LEAST_BYTES or self.trend.until - step.until > WEEK:
            return None
        return step

    def in_month(self, per_day: float) -> float:
        """Return the size in a month at this rate, in bytes; at least 0."""
        return max(self.trend.value + per_day * MONTH.days, 0.0)

    def reaches(self, left_bytes: float) -> Reach | None:
        """Return when so many more bytes are reached; None if never or unforeseeably late."""
        return self.trend.reaches(self.trend.value + left_bytes)


def growth(before: Sequence[tuple[datetime, int]], now: datetime, size_bytes: int) -> Growth | None:
    """Return the growth of a size over the last five weeks; None if seen for less than two days.

    Args:
        before: earlier sizes, oldest first; those that the clock puts after now are left out.
        now: the moment of the newest size.
        size_bytes: the newest size.
    """
    known = [(at, size) for at, size in before if timedelta(0) < now - at <= LONGEST]
    trend = fit([*known, (now, size_bytes)])
    if trend is None:
        return None
    week_ago = [size for at, size in known if now - at >= WEEK]
    return Growth(trend, week_ago[-1] if week_ago else known[0][1])


def has_changed(before: Sequence[tuple[datetime, int]], size_bytes: int) -> bool:
    """Whether a size changed enough for a growth or a load that is reported."""
    sizes = [size_bytes, *(size for _, size in before)]
    return max(sizes) - min(sizes) >= _LEAST_CHANGE
