"""Infers from the bounds of partitions how the key stores time, the interval and the time zone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache, lru_cache, partial
from itertools import chain
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from maintenance.catalog.models import DEFAULT_BOUND, Partition
from maintenance.partition_key import (
    FUTURE,
    PAST,
    Encoding,
    KeyCodec,
    KeyEncoding,
    Snowflake,
    intervals_of,
    types_of,
)
from maintenance.partition_set.bounds import Span, bound_literals
from maintenance.partition_set.plausibility import SNOWFLAKES
from maintenance.periods import Interval, Period, period_at

UTC_ZONE = ZoneInfo("UTC")

_PLAUSIBLE_FROM = datetime(1990, 1, 1, tzinfo=UTC)
_PLAUSIBLE_AHEAD = timedelta(days=30 * 365)
"""How far ahead partitions may be made, for numbers to be times."""

_NATIVE_FROM = datetime(1000, 1, 1, tzinfo=UTC)
_NATIVE_TO = datetime(3000, 1, 1, tzinfo=UTC)
"""Between these, bounds of a type of time are meant; others stand for no bound."""

_OPEN = ("MINVALUE", "MAXVALUE", "'-infinity'", "'infinity'")

_AREAS = ("Africa", "America", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
"""Areas of the zones that are considered; others are other names of these, or have no people."""

_USUAL = (
    "Europe/Berlin",
    "Europe/London",
    "Europe/Moscow",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Asia/Singapore",
    "Australia/Sydney",
)
"""Which name is shown for zones that have the same midnights, if one of these is among them."""

_COMPARED = 800
"""How many of the newest partitions decide between zones: days of two years."""

_YEARS_AHEAD = 5
"""How far zones must have the same midnights to count as the same."""


@dataclass(frozen=True, slots=True)
class KeyCalendar:
    """How the bounds of a table's partitions divide time.

    Attributes:
        encoding: how the key stores time.
        interval: of the newest partitions.
        zone: at whose midnights they begin and end.
        periods: the partitions that are exactly one period, oldest first.
        n_bounded: the number of partitions with two bounds.
        same: further zones with the same midnights, also in the coming years.
        others: zones in which the bounds are midnights too, but which differ in the coming years;
            if there are any, the zone is not known.
        is_wall_clock: whether the key has no zone, so that the bounds say nothing of it.
    """

    encoding: KeyEncoding
    interval: Interval
    zone: ZoneInfo
    periods: tuple["Dated", ...]
    n_bounded: int
    same: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    is_wall_clock: bool = False


class Dated(NamedTuple):
    """A partition that is exactly one period."""

    period: Period
    partition: Partition


class NewestPeriod(NamedTuple):
    """The period that a table's newest partition is.

    Attributes:
        encoding: how the key stores time.
        period: with its interval.
        zone: one at whose midnights it begins and ends; others may fit older partitions better.
        is_wall_clock: whether the key has no zone, so that the bounds say nothing of it.
    """

    encoding: KeyEncoding
    period: Period
    zone: ZoneInfo
    is_wall_clock: bool


class Unknown(NamedTuple):
    """Why the bounds can't be understood: words, and a short code."""

    text: str
    reason: str


_Read = TypeVar("_Read", KeyCalendar, NewestPeriod)


def calendar_of(
    partitions: Sequence[Partition], column_type: str, usual_zone: str, now: datetime
) -> KeyCalendar | Unknown:
    """Infer the calendar of a table's partitions.

    Args:
        partitions: of the table.
        column_type: of its key, as `format_type` names it.
        usual_zone: the TimeZone of the server's sessions, which decides between zones whose
            midnights the bounds are.
        now: aware.
    """
    return _by_its_encoding(partitions, column_type, now, partial(_read_all, usual_zone))


def newest_period(
    partitions: Sequence[Partition], column_type: str, usual_zone: str, now: datetime
) -> NewestPeriod | Unknown:
    """Infer only which period the newest partition is, for the arguments of `calendar_of`.

    Both know the encoding and the interval of the same tables. This one compares no zones over the
    older partitions, which is nearly all of the work.
    """
    return _by_its_encoding(partitions, column_type, now, partial(_read_newest, usual_zone))


def _by_its_encoding(
    partitions: Sequence[Partition],
    column_type: str,
    now: datetime,
    read: Callable[[Sequence[Span], KeyCodec], _Read | Unknown],
) -> _Read | Unknown:
    """Read the bounds by the only encoding that makes periods of them."""
    bounds = [p for p in partitions if p.bound not in (None, DEFAULT_BOUND)]
    if not bounds:
        return Unknown("it has no partition with bounds yet", "no_partitions")
    encodings = _encodings(column_type)
    if not encodings:
        return Unknown(f"its key has type {column_type}, which holds no time", "type")
    found: list[_Read] = []
    doubts: list[Unknown] = []
    for encoding in encodings:
        spans = _spans(bounds, encoding, column_type, now)
        if spans is None:
            continue
        reading = _bounded(spans, KeyCodec(encoding, column_type, UTC_ZONE), read)
        if not isinstance(reading, Unknown):
            found.append(reading)
        elif not isinstance(encoding, Snowflake):  # by which every number is some time
            doubts.append(reading)
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(each.encoding.value for each in found)
        return Unknown(f"its bounds can be read as {names}", "encoding_ambiguous")
    if doubts:
        return doubts[0]
    return Unknown("its bounds are no times by any known encoding, but plain numbers", "no_time")


def _encodings(column_type: str) -> list[KeyEncoding]:
    known: tuple[KeyEncoding, ...] = (*Encoding, *SNOWFLAKES)
    return [each for each in known if column_type in types_of(each)]


def _spans(
    partitions: Sequence[Partition], encoding: KeyEncoding, column_type: str, now: datetime
) -> list[Span] | None:
    """Read the bounds by an encoding, in order; None if that gives no plausible times.

    A bound that stands for none, such as the year 9999, is returned as `PAST` or `FUTURE`.
    """
    is_native = encoding is Encoding.NATIVE
    first, last = (
        (_NATIVE_FROM, _NATIVE_TO) if is_native else (_PLAUSIBLE_FROM, now + _PLAUSIBLE_AHEAD)
    )
    read = _ends_reader(KeyCodec(encoding, column_type, UTC_ZONE))
    spans: list[Span] = []
    for partition in partitions:
        try:
            lower, upper, least, most = read(partition.bound or "")
        except ValueError:
            return None
        if lower >= upper or not (is_native or first <= least <= most < last):
            return None
        lower = lower if first <= lower < last else PAST
        spans.append(Span(lower, upper if first <= upper < last else FUTURE, partition))
    return sorted(spans, key=lambda span: span.lower)


class _Ends(NamedTuple):
    """A range as positions, and the first and last of its bounds that are written as times."""

    lower: datetime
    upper: datetime
    least: datetime
    most: datetime


@cache
def _ends_reader(codec: KeyCodec) -> Callable[[str], _Ends]:
    @lru_cache(maxsize=8192)  # months recur in every table of a database
    def read(bound: str) -> _Ends:
        literals = bound_literals(bound)
        ends = lower, upper = codec.moment(literals[0]), codec.moment(literals[1])
        written = [end for end, text in zip(ends, literals, strict=True) if text not in _OPEN]
        written = written or [_PLAUSIBLE_FROM]
        return _Ends(lower, upper, min(written), max(written))

    return read


def _bounded(
    spans: Sequence[Span],
    codec: KeyCodec,
    read: Callable[[Sequence[Span], KeyCodec], _Read | Unknown],
) -> _Read | Unknown:
    bounded = [span for span in spans if span.lower != PAST and span.upper != FUTURE]
    if not bounded:
        return Unknown("none of its partitions has two bounds", "unbounded")
    return read(bounded, codec)


def _read_newest(
    usual_zone: str, bounded: Sequence[Span], codec: KeyCodec
) -> NewestPeriod | Unknown:
    """Find the interval of which the newest partition is a period."""
    newest = bounded[-1]
    found = _first_fitting(newest.lower, newest.upper, codec, usual_zone)
    if found is None:
        return _of_no_interval(newest)
    zone, period = found
    return NewestPeriod(codec.encoding, period, zone, codec.is_wall_clock)


def _read_all(usual_zone: str, bounded: Sequence[Span], codec: KeyCodec) -> KeyCalendar | Unknown:
    """Find the interval and the zone by which most partitions, and the newest, are periods."""
    readings = [
        _Reading.of(bounded[-_COMPARED:], period.interval, zone)
        for zone, period in _fitting(bounded[-1].lower, bounded[-1].upper, codec, usual_zone)
    ]
    if not readings:
        return _of_no_interval(bounded[-1])
    most = max(len(reading.periods) for reading in readings)
    best = [reading for reading in readings if len(reading.periods) == most]
    chosen, same, others = _choose(best, usual_zone)
    chosen = _Reading.of(bounded, chosen.interval, chosen.zone)
    return KeyCalendar(
        encoding=codec.encoding,
        interval=chosen.interval,
        zone=chosen.zone,
        periods=chosen.periods,
        n_bounded=len(bounded),
        same=same,
        others=others,
        is_wall_clock=codec.is_wall_clock,
    )


class _Reading(NamedTuple):
    """The partitions that are periods of an interval by the calendar of a zone."""

    interval: Interval
    zone: ZoneInfo
    periods: tuple[Dated, ...]

    @classmethod
    def of(cls, spans: Sequence[Span], interval: Interval, zone: ZoneInfo) -> "_Reading":
        """Read partitions."""
        dated = ((_period(span.lower, span.upper, interval, zone), span) for span in spans)
        periods = (Dated(period, span.partition) for period, span in dated if period is not None)
        return cls(interval, zone, tuple(periods))


def _period(lower: datetime, upper: datetime, interval: Interval, zone: ZoneInfo) -> Period | None:
    period = period_at(lower, interval, zone)
    return period if period.bounds(zone) == (lower, upper) else None


def _of_no_interval(newest: Span) -> Unknown:
    width = newest.upper - newest.lower
    lower, upper = bound_literals(newest.partition.bound or "")
    text = f"its newest partition, from {lower} to {upper}, is no day, week, month, quarter or year"
    if width == timedelta(weeks=1):
        return Unknown(f"{text}: weeks of a policy begin on Monday", "week_start")
    if width < timedelta(hours=23):
        return Unknown(f"{text}: intervals shorter than a day are not supported", "too_short")
    return Unknown(text, "interval")


@lru_cache(maxsize=1024)  # the newest month is that of many tables
def _first_fitting(
    lower: datetime, upper: datetime, codec: KeyCodec, usual_zone: str
) -> tuple[ZoneInfo, Period] | None:
    return next(_fitting(lower, upper, codec, usual_zone), None)


def _fitting(
    lower: datetime, upper: datetime, codec: KeyCodec, usual_zone: str
) -> Iterator[tuple[ZoneInfo, Period]]:
    """Yield the zones in which a range is a period, the usual ones first, with the period."""
    intervals = [each for each in Interval if each in intervals_of(codec.encoding)]
    zones = [UTC_ZONE] if codec.is_wall_clock else _zones(lower, upper, usual_zone)
    for zone in zones:
        for interval in intervals:
            period = _period(lower, upper, interval, zone)
            if period is not None:
                yield zone, period


def _zones(lower: datetime, upper: datetime, usual_zone: str) -> Iterator[ZoneInfo]:
    """Yield the zones in which a range begins and ends at midnight, the usual ones first.

    To read all others takes longer than all else in a short run.
    """
    usual = dict.fromkeys((usual_zone, "UTC", *_USUAL))
    others = (name for name in _area_zones() if name not in usual)
    for name in chain(usual, others):
        zone = zone_named(name)
        if zone is not None and _is_midnight(lower, zone) and _is_midnight(upper, zone):
            yield zone


def _is_midnight(moment: datetime, zone: ZoneInfo) -> bool:
    # Clocks that skip midnight make the day begin an hour later.
    return moment.astimezone(zone).time() <= time(1)


def _area_zones() -> Iterator[str]:
    """Yield the names, which are listed only when the first is wanted."""
    yield from _sorted_area_zones()


@cache
def _sorted_area_zones() -> Sequence[str]:
    return sorted(name for name in available_timezones() if name.startswith(_AREAS))


@cache
def zone_named(name: str) -> ZoneInfo | None:
    """Return a zone by its name; all names of UTC give the same one."""
    if name in ("UTC", "Etc/UTC", "GMT", "Etc/UCT", "UCT", "Zulu", "Etc/Zulu", "Universal"):
        return UTC_ZONE
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # a zone of the server that we do not know
        return None


def _choose(
    readings: Sequence[_Reading], usual_zone: str
) -> tuple[_Reading, tuple[str, ...], tuple[str, ...]]:
    """Choose among zones by which equally many partitions are periods.

    Returns:
        The reading; the further zones that are the same in the coming years; and one zone for each
        group of those that are not, if nothing decides between them.
    """
    by_midnights: dict[object, list[_Reading]] = {}
    for reading in readings:
        key = (reading.interval, *_midnights_ahead(reading))
        by_midnights.setdefault(key, []).append(reading)
    groups = list(by_midnights.values())
    preferred = (zone_named(usual_zone), UTC_ZONE)
    for zone in preferred:
        for group in groups:
            for reading in group:
                if reading.zone == zone:
                    return reading, _further(group, reading), ()
    first = groups[0][0]
    return first, _further(groups[0], first), tuple(group[0].zone.key for group in groups[1:])


def _further(group: Sequence[_Reading], chosen: _Reading) -> tuple[str, ...]:
    return tuple(reading.zone.key for reading in group if reading.zone != chosen.zone)


def _midnights_ahead(reading: _Reading) -> Iterator[timedelta | None]:
    """Yield the offsets of a zone at the boundaries of the coming years."""
    newest = reading.periods[-1].period
    for n in range(_YEARS_AHEAD * 12):
        day = period_at(newest.bounds(UTC_ZONE)[0], Interval.MONTH, UTC_ZONE).shift(n).start
        for of_month in (1, 16):
            moment = datetime.combine(day.replace(day=of_month), time(), reading.zone)
            yield moment.utcoffset()


def share(calendar: KeyCalendar) -> str:
    """Return how many partitions are exactly one period, such as `12 of 14`."""
    return f"{len(calendar.periods)} of {calendar.n_bounded}"
