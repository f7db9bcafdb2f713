"""Compares what pg_partman creates and removes with what a policy would, moment by moment.

pg_partman removes a partition when its beginning plus one interval is before now minus the
retention, by the calendar of its session's TimeZone. It keeps `premake` partitions ahead of the one
with the newest row, or of the clock if `infinite_time_partitions` is set.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from math import floor
from typing import NamedTuple
from zoneinfo import ZoneInfo

from maintenance.catalog.partman import PartmanTable
from maintenance.partition_key import FUTURE, PAST, KeyCodec
from maintenance.partition_set.bounds import Span
from maintenance.partition_set.expected import current_period, horizon
from maintenance.partition_set.expiry import cutoff
from maintenance.periods import CalendarSpan, Interval, add_months, period_at
from maintenance.policy import PartitionPolicy, RetentionPolicy

_PART = re.compile(r"\s*(\d{1,6})\s+(year|mon|month|week|day)s?(?=\s|\Z)", re.IGNORECASE)
_NO_TIME = re.compile(r"\s*(?:00:00:00)?\s*\Z")
_UNITS = {"year": (12, 0), "mon": (1, 0), "month": (1, 0), "week": (0, 7), "day": (0, 1)}

YEARS = 2
"""How far into the future both are compared."""

_STEP = timedelta(hours=6)
_DAY = timedelta(days=1)
_AROUND = (timedelta(seconds=-1), timedelta(seconds=1))
_DAYS_A_MONTH = 30
_DAYS_A_YEAR = 365.25
_DAY_S = 86_400


class Difference(NamedTuple):
    """A moment at which pg_partman and the policy disagree.

    Attributes:
        moment: at which.
        partman: until when partitions are removed by pg_partman, or its last period.
        ours: the same of the policy.
    """

    moment: datetime
    partman: str
    ours: str


class Comparison(NamedTuple):
    """The result of comparing at many moments: how many, and the first difference, if any."""

    n_moments: int
    difference: Difference | None


def read_span(text: str) -> CalendarSpan | None:
    """Read an interval of pg_partman as a calendar length; None if it is not one of whole days."""
    position, months, days = 0, 0, 0
    while match := _PART.match(text, position):
        of_months, of_days = _UNITS[match[2].lower()]
        months += int(match[1]) * of_months
        days += int(match[1]) * of_days
        position = match.end()
    span = CalendarSpan(months, days)
    return span if position and _NO_TIME.match(text, position) and any(span) else None


def compare_retention(
    policy: PartitionPolicy,
    retention: RetentionPolicy,
    spans: Sequence[Span],
    codec: KeyCodec,
    session_zone: ZoneInfo,
    now: datetime,
) -> Comparison:
    """Compare which partitions both remove, from now on for some years.

    Partitions that will be made are compared too. Moments at which a bound expires to the
    microsecond are left out: there pg_partman waits for the next run.

    Args:
        policy: of the table.
        retention: the same as pg_partman's.
        spans: the partitions that exist, oldest first.
        codec: of the table's key.
        session_zone: the TimeZone of pg_partman's sessions.
        now: aware.
    """
    kept = retention.keep
    bounded = [span for span in spans if span.lower != PAST and span.upper != FUTURE]
    of_partman = [
        _plus_interval(span.lower, policy.interval, codec, session_zone) for span in bounded
    ]
    ours = [codec.last_moment(span.upper) for span in bounded]
    end = now + timedelta(days=YEARS * 366)
    for period in _further(policy, codec, bounded, end):
        upper = codec.last_moment(period)
        of_partman.append(upper)
        ours.append(upper)
    moments = sorted(set(_moments(now, end, [*of_partman, *ours], kept)))
    of_partman.sort()
    ours.sort()
    for moment in moments:
        theirs = _before(moment, kept, session_zone)
        limit = cutoff(retention, policy, moment)
        # Both remove the oldest first, so equally many are the same ones.
        if bisect_left(of_partman, theirs) != bisect_right(ours, limit):
            found = Difference(moment, theirs.isoformat(), limit.isoformat())
            return Comparison(len(moments), found)
    return Comparison(len(moments), None)


def _further(
    policy: PartitionPolicy, codec: KeyCodec, spans: Sequence[Span], end: datetime
) -> Iterator[datetime]:
    """Yield the ends of the periods that follow the partitions, as positions."""
    if not spans:
        return
    period = period_at(spans[-1].upper, policy.interval, codec.calendar)
    while period.bounds(codec.calendar)[0] < end:
        yield period.bounds(codec.calendar)[1]
        period = period.shift(1)


def _moments(
    now: datetime, end: datetime, bounds: Sequence[datetime], kept: CalendarSpan
) -> Iterator[datetime]:
    """Yield moments from now to the end: each some hours, and around each expiry."""
    moment = now
    while moment < end:
        yield moment
        moment += _STEP
    for bound in bounds:
        expiry = _after(bound, kept)
        yield from (expiry + around for around in _AROUND if now <= expiry + around < end)


def _after(moment: datetime, kept: CalendarSpan) -> datetime:
    try:
        day = add_months(moment.date(), kept.months) + timedelta(days=kept.days)
    except (OverflowError, ValueError):
        return FUTURE
    return datetime.combine(day, moment.timetz())


def _before(moment: datetime, kept: CalendarSpan, zone: ZoneInfo) -> datetime:
    """Return a moment minus an interval, as the server subtracts it in a session of a zone."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    day = add_months(local.date(), -kept.months) - timedelta(days=kept.days)
    return datetime.combine(day, local.time(), zone).astimezone(UTC)


def _plus_interval(
    position: datetime, interval: Interval, codec: KeyCodec, zone: ZoneInfo
) -> datetime:
    """Return the beginning of a partition plus one interval, as the server adds it in a session."""
    wall = position if codec.is_wall_clock else position.astimezone(zone)
    local = wall.replace(tzinfo=None)
    day = add_months(local.date(), interval.months) + timedelta(days=interval.days)
    return datetime.combine(day, local.time(), zone).astimezone(UTC)


def compare_horizon(
    policy: PartitionPolicy, found: PartmanTable, session_zone: ZoneInfo, now: datetime
) -> Comparison:
    """Compare the last period that both create, from now on for some years.

    Rows are taken to arrive now, so that the newest row is of the current period.

    Args:
        policy: of the table.
        found: pg_partman's configuration.
        session_zone: the TimeZone of pg_partman's sessions.
        now: aware.
    """
    # Where the horizon does not count from the clock, it moves at midnight alone.
    step = _STEP if found.is_endless else _DAY
    moments = [now + n * step for n in range(timedelta(days=YEARS * 366) // step)]
    for moment in moments:
        theirs, ours = (
            _partman_horizon(policy, found, session_zone, moment),
            horizon(policy, moment),
        )
        if theirs != ours.start:
            return Comparison(len(moments), Difference(moment, str(theirs), ours.key))
    return Comparison(len(moments), None)


def _partman_horizon(
    policy: PartitionPolicy, found: PartmanTable, zone: ZoneInfo, now: datetime
) -> date:
    """Return the first day of the last period that pg_partman creates."""
    current = current_period(policy, now)
    since = _midnight(current.start)
    if found.is_endless:
        since = now.astimezone(zone).replace(tzinfo=None)
    unit = policy.interval.months * _DAYS_A_MONTH + policy.interval.days
    if policy.interval is Interval.YEAR:
        unit = _DAYS_A_YEAR
    last = current
    while _rounded(_age_days(_midnight(last.start), since) / unit) < found.premake:
        last = last.shift(1)
    return last.start


def _rounded(number: float) -> int:
    """Round as the server does: halves away from zero."""
    return floor(abs(number) + 0.5) * (1 if number >= 0 else -1)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _age_days(later: datetime, earlier: datetime) -> float:
    """Return `extract(epoch from age(later, earlier))` in days."""
    if later < earlier:
        return -_age_days(earlier, later)
    months = (later.year - earlier.year) * 12 + later.month - earlier.month
    days = later.day - earlier.day
    seconds = _seconds_of_day(later) - _seconds_of_day(earlier)
    if seconds < 0:
        days, seconds = days - 1, seconds + _DAY_S
    if days < 0:
        # The length of the month in which the earlier moment lies.
        first = earlier.date().replace(day=1)
        months, days = months - 1, days + (add_months(first, 1) - first).days
    years, months = divmod(months, 12)
    return years * _DAYS_A_YEAR + months * _DAYS_A_MONTH + days + seconds / _DAY_S


def _seconds_of_day(moment: datetime) -> float:
    return (moment - _midnight(moment.date())).total_seconds()
