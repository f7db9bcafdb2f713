"""Derives a period from the name of a partition: evidence to keep it, never to drop it."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from maintenance.catalog.models import Partition
from maintenance.periods import Interval, Period, midnight, period_of
from maintenance.policy import PartitionPolicy

_YEAR = r"(?<!\d)(?P<year>(?:19|20|21)\d\d)"
_PATTERNS = (
    # 2026w48, 2026_w48
    re.compile(_YEAR + r"[_-]?w(?P<week>\d\d?)(?!\d)", re.IGNORECASE),
    # 2026q4, 2026_q4
    re.compile(_YEAR + r"[_-]?q(?P<quarter>[1-4])(?!\d)", re.IGNORECASE),
    # 20261128, 2026_11_28, and those with a time of day behind
    re.compile(
        _YEAR + r"(?P<sign>[_-]?)(?P<month>\d\d)(?P=sign)(?P<day>\d\d)" + r"(?=(?:\d\d){0,3}(?!\d))"
    ),
    # 202611, 2026_11
    re.compile(_YEAR + r"[_-]?(?P<month>\d\d)(?!\d)"),
    re.compile(_YEAR + r"[_-](?P<month>\d)(?!\d)"),
    re.compile(_YEAR + r"(?!\d)"),
)
_EPOCH_SECONDS = re.compile(r"(?<!\d)(1\d{9})(?:\d{3})?(?:\d{3})?(?!\d)")
"""Seconds, milliseconds or microseconds since 1970, from 2001 on."""

_UTC = ZoneInfo("UTC")
_MARGIN = timedelta(days=1)
"""Tolerance for bounds of another zone, and for names by the last day of a period."""


class Named(NamedTuple):
    """The time range that a name means, in UTC."""

    lower: datetime
    upper: datetime


class Bounded(Protocol):
    """A partition with its bounds as moments."""

    @property
    def lower(self) -> datetime:
        """Its lower bound."""
        ...

    @property
    def upper(self) -> datetime:
        """Its upper bound."""
        ...

    @property
    def partition(self) -> Partition:
        """The partition."""
        ...


def named_period(policy: PartitionPolicy, name: str) -> Named | None:
    """Return the time range that a partition's name means, if any; of several the latest."""
    return _named(policy.table.name, name)


def contradicts(policy: PartitionPolicy, each: Bounded) -> Named | None:
    """Return the time range that a partition's name means, if it is outside its bounds."""
    named = named_period(policy, each.partition.relation.name)
    if named is None:
        return None
    lower, upper = named
    touches = each.lower < upper + _MARGIN and lower - _MARGIN < each.upper
    return None if touches else named


def names_agree(policy: PartitionPolicy, ranges: Iterable[Bounded]) -> bool:
    """Whether a name agrees with its bounds, or no name means a time."""
    is_named = False
    for each in ranges:
        if named_period(policy, each.partition.relation.name) is not None:
            if contradicts(policy, each) is None:
                return True
            is_named = True
    return not is_named


@lru_cache(maxsize=65536)
def _named(table: str, name: str) -> Named | None:
    # The table's own name may contain digits that mean no period.
    rest = name.removeprefix(table)
    found = list(_times(rest))
    return max(found, key=lambda named: named.upper) if found else None


def _times(text: str) -> Iterator[Named]:
    for pattern in _PATTERNS:
        periods = [period for match in pattern.finditer(text) if (period := _period(match))]
        if periods:
            # Coarser patterns would only match parts of these again.
            yield from (_times_of(period) for period in periods)
            break
    for match in _EPOCH_SECONDS.finditer(text):
        moment = datetime.fromtimestamp(int(match[1]), UTC)
        yield Named(moment, moment)


def _times_of(period: Period) -> Named:
    # UTC is enough: names are compared with a tolerance of a day.
    return Named(midnight(period.start, _UTC), midnight(period.end, _UTC))


def _period(match: re.Match[str]) -> Period | None:
    found = match.groupdict()
    year = int(found["year"])
    try:
        if found.get("week"):
            return Period(date.fromisocalendar(year, int(found["week"]), 1), Interval.WEEK)
        if found.get("quarter"):
            return period_of(date(year, 3 * int(found["quarter"]), 1), Interval.QUARTER)
        if found.get("day"):
            return Period(date(year, int(found["month"]), int(found["day"])), Interval.DAY)
        if found.get("month"):
            return Period(date(year, int(found["month"]), 1), Interval.MONTH)
        return Period(date(year, 1, 1), Interval.YEAR)
    except ValueError:
        return None
