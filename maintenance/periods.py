"""Calendar periods of partitions: days, weeks, months, quarters and years."""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from functools import lru_cache
from typing import NamedTuple, Self
from zoneinfo import ZoneInfo


class Interval(Enum):
    """The length of a period. The value is its name in a policy.

    Attributes:
        months: length in months; 0 for days and weeks.
        days: length in days; 0 for the intervals counted in months.
        shortest: of the periods of this length, on a clock that skips nothing.
    """

    DAY = "1 day", 0, 1, timedelta(days=1)
    WEEK = "1 week", 0, 7, timedelta(days=7)
    MONTH = "1 month", 1, 0, timedelta(days=28)
    QUARTER = "3 months", 3, 0, timedelta(days=90)
    YEAR = "1 year", 12, 0, timedelta(days=365)

    def __new__(cls, name: str, months: int, days: int, shortest: timedelta) -> Self:
        """Make a member whose value is its name in a policy."""
        member = object.__new__(cls)
        member._value_ = name
        member.months, member.days, member.shortest = months, days, shortest
        return member

    _value_: str
    months: int
    days: int
    shortest: timedelta

    @property
    def key_format(self) -> str:
        """The strftime format of a period's key: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`."""
        if self is Interval.YEAR:
            return "%Y"
        return "%Y-%m" if self.months else "%Y-%m-%d"


class CalendarSpan(NamedTuple):
    """A calendar length: months, then days."""

    months: int
    days: int

    def before(self, day: date) -> date:
        """Return the day this long before another; a missing 31st becomes the last of the month."""
        return add_months(day, -self.months) - timedelta(days=self.days)

    def __str__(self) -> str:
        parts = [f"{self.months} months"] if self.months else []
        if self.days or not parts:
            parts.append(f"{self.days} days")
        return " ".join(parts)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One interval of the calendar, named by its first day."""

    start: date
    interval: Interval

    @property
    def key(self) -> str:
        """`2026`, `2026-12` or `2026-12-07`: the key for commands, Dagster and archives."""
        # Not strftime, which pads no year below 1000 on Linux.
        return self.start.isoformat()[: _KEY_LENGTH[self.interval.key_format]]

    @property
    def end(self) -> date:
        """First day after the period."""
        return _advance(self.start, self.interval, 1)

    def shift(self, n: int) -> "Period":
        """Return the period n intervals later (earlier if negative)."""
        return Period(_advance(self.start, self.interval, n), self.interval)

    def bounds(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Return the half-open [lower, upper) in UTC, midnight to midnight in the zone."""
        return midnight(self.start, zone), midnight(self.end, zone)

    def __str__(self) -> str:
        return self.key


def period_of(day: date, interval: Interval) -> Period:
    """Return the period that contains a day. Weeks begin on Monday (ISO 8601)."""
    if interval is Interval.WEEK:
        day -= timedelta(days=day.weekday())
    elif interval.months:
        month = (day.month - 1) // interval.months * interval.months + 1
        day = day.replace(month=month, day=1)
    return Period(day, interval)


def period_at(moment: datetime, interval: Interval, zone: ZoneInfo) -> Period:
    """Return the period that contains an aware moment, on the zone's calendar."""
    return period_of(moment.astimezone(zone).date(), interval)


def periods_between(first: Period, last: Period) -> Iterator[Period]:
    """Yield the periods from first to last, both included; nothing if last comes earlier."""
    period = first
    while period.start <= last.start:
        yield period
        period = period.shift(1)


_KEY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?\Z", re.ASCII)
_KEY_LENGTH = {"%Y": 4, "%Y-%m": 7, "%Y-%m-%d": 10}


def parse_period(key: str, interval: Interval) -> Period:
    """Parse `YYYY`, `YYYY-MM` or `YYYY-MM-DD` as the period of an interval that begins there.

    Raises:
        ValueError: not such a key, no such day, or not the first day of a period.
    """
    match = _KEY.match(key)
    if match is None:
        raise ValueError(f"not a period: {key!r}; expected YYYY, YYYY-MM or YYYY-MM-DD")
    year, month, day = (int(part) if part else 1 for part in match.groups())
    start = date(year, month, day)
    period = period_of(start, interval)
    if period.start != start:
        raise ValueError(
            f"{key} is not the start of a period of {interval.value}; that is {period}"
        )
    return period


@lru_cache(maxsize=65536)
def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a day in a zone, in UTC.

    If the clocks skip midnight, this is the moment of the jump; if midnight occurs twice, the first
    (PEP 495, fold=0).
    """
    return first_moment_of(datetime.combine(day, time()), zone)


def first_moment_of(reading: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment, in UTC, at which a zone's clock shows a reading or a later one.

    Args:
        reading: without a zone.
        zone: its clock may skip the reading, or show it twice.
    """
    first, second = (reading.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return first
    first, second = first.replace(microsecond=0), second.replace(microsecond=0)
    # Skipped: the jump lies between the moments by the offsets before and after it.
    before, after = second - timedelta(seconds=1), first
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
        shown = middle.astimezone(zone).replace(tzinfo=None)
        before, after = (middle, after) if shown < reading else (before, middle)
    return after


def add_months(day: date, n: int) -> date:
    """Return the day n months later; if that month is shorter, its last day."""
    month_index = day.year * 12 + day.month - 1 + n
    year, month = divmod(month_index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _advance(start: date, interval: Interval, n: int) -> date:
    if interval.months:
        return add_months(start, n * interval.months)
    return start + timedelta(days=n * interval.days)
