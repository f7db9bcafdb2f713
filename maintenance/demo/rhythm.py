"""Distribution of activity: hours of the day, days of the week, and growth over the months."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

_HOUR = timedelta(hours=1)
_MONTH_DAYS = 30.44


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The distribution of activity over time, in UTC.

    Attributes:
        by_hour: 24 relative weights, from midnight.
        by_weekday: 7 relative weights, from Monday.
        growth: growth per month; 0.05 is five percent.
    """

    by_hour: tuple[float, ...]
    by_weekday: tuple[float, ...]
    growth: float

    def weight(self, hour: datetime, since: datetime) -> float:
        """Return the relative weight of one hour."""
        months = (hour - since) / timedelta(days=_MONTH_DAYS)
        return (
            self.by_hour[hour.hour] * self.by_weekday[hour.weekday()] * (1 + self.growth) ** months
        )


LEARNERS = Rhythm(
    by_hour=(2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 8, 7, 8, 9, 9, 8, 8, 10, 12, 13, 11, 8, 4),
    by_weekday=(1.1, 1.15, 1.1, 1.05, 0.9, 0.7, 0.95),
    growth=0.05,
)
"""Mostly evenings, less at weekends, growing."""

OFFICE = Rhythm(
    by_hour=(
        1,
        1,
        1,
        1,
        2,
        5,
        20,
        50,
        90,
        110,
        120,
        100,
        70,
        90,
        110,
        110,
        100,
        70,
        40,
        20,
        10,
        8,
        5,
        3,
    ),
    by_weekday=(1.1, 1.2, 1.2, 1.1, 0.9, 0.1, 0.05),
    growth=0.03,
)
"""Working hours on working days."""


def moments(
    rhythm: Rhythm, start: datetime, end: datetime, n: int, chance: Random
) -> Iterator[datetime]:
    """Yield exactly n times of [start, end), ascending, as dense as the rhythm says.

    Only one hour's times are in memory at once.
    """
    total = sum(weight for _, _, weight in _hours(rhythm, start, end))
    due, made = 0.0, 0
    for hour, length, weight in _hours(rhythm, start, end):
        due += weight * n / total
        microseconds = length // timedelta(microseconds=1)
        offsets = sorted(chance.randrange(microseconds) for _ in range(round(due) - made))
        made += len(offsets)
        for offset in offsets:
            yield hour + timedelta(microseconds=offset)


def _hours(
    rhythm: Rhythm, start: datetime, end: datetime
) -> Iterator[tuple[datetime, timedelta, float]]:
    """Yield each hour's beginning, length (the last may be cut) and weight."""
    hour = start.astimezone(UTC)
    while hour < end:
        length = min(_HOUR, end - hour)
        yield hour, length, rhythm.weight(hour, start) * (length / _HOUR)
        hour += _HOUR
