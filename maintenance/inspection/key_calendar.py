"""Infers from the bounds of partitions how the key stores time, the interval and the time zone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import NamedTuple
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


class Unknown(NamedTuple):
    """Why the bounds can't be understood: words, and a short code."""

    text: str
    reason: str


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
    bounds = [p for p in partitions if p.bound not in (None, DEFAULT_BOUND)]
    if not bounds:
        return Unknown("it has no partition with bounds yet", "no_partitions")
    encodings = _encodings(column_type)
    if not encodings:
        return Unknown(f"its key has type {column_type}, which holds no time", "type")
    found: list[KeyCalendar] = []
    doubts: list[Unknown] = []
    for encoding in encodings:
        spans = _spans(bounds, encoding, column_type, now)
        if spans is None:
            continue
        read = _read(spans, KeyCodec(encoding, column_type, UTC_ZONE), usual_zone)
        if isinstance(read, KeyCalendar):
            found.append(read)
        elif not isinstance(encoding, Snowflake):  # by which every number is some time
            doubts.append(read)
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
    codec = KeyCodec(encoding, column_type, UTC_ZONE)
    is_native = encoding is Encoding.NATIVE
    first, last = (
        (_NATIVE_FROM, _NATIVE_TO) if is_native else (_PLAUSIBLE_FROM, now + _PLAUSIBLE_AHEAD)
    )
    spans: list[Span] = []
    for partition in partitions:
        try:
            literals = bound_literals(partition.bound or "")
            lower, upper = map(codec.moment, literals)
        except ValueError:
            return None
        ends = [e for e, text in zip((lower, upper), literals, strict=True) if text not in _OPEN]
        is_plausible = all(first <= end < last for end in ends)
        if lower >= upper or not (is_plausible or is_native):
            return None
        lower = lower if first <= lower < last else PAST
        spans.append(Span(lower, upper if first <= upper < last else FUTURE, partition))
    return sorted(spans, key=lambda span: span.lower)


def _read(spans: Sequence[Span], codec: KeyCodec, usual_zone: str) -> KeyCalendar | Unknown:
    """Find the interval and the zone by which most partitions, and the newest, are periods."""
    bounded = [span for span in spans if span.lower != PAST and span.upper != FUTURE]
    if not bounded:
        return Unknown("none of its partitions has two bounds", "unbounded")
    zones = [UTC_ZONE] if codec.is_wall_clock else _zones(bounded[-1], usual_zone)
    intervals = [each for each in Interval if each in intervals_of(codec.encoding)]
    readings = [
        reading
        for zone in zones
        for interval in intervals
        if (reading := _Reading.of(bounded[-_COMPARED:], interval, zone)) is not None
    ]
    if not readings:
        return _of_no_interval(bounded[-1])
    most = max(len(reading.periods) for reading in readings)
    best = [reading for reading in readings if len(reading.periods) == most]
    chosen, same, others = _choose(best, usual_zone)
    chosen = _Reading.of(bounded, chosen.interval, chosen.zone) or chosen
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
    def of(cls, spans: Sequence[Span], interval: Interval, zone: ZoneInfo) -> "_Reading | None":
        """Read partitions; None if the newest is no period."""
        newest = _period(spans[-1], interval, zone)
        if newest is None:
            return None
        dated = ((_period(span, interval, zone), span.partition) for span in spans)
        return cls(interval, zone, tuple(Dated(p, each) for p, each in dated if p is not None))


def _period(span: Span, interval: Interval, zone: ZoneInfo) -> Period | None:
    period = period_at(span.lower, interval, zone)
    return period if period.bounds(zone) == (span.lower, span.upper) else None


def _of_no_interval(newest: Span) -> Unknown:
    width = newest.upper - newest.lower
    lower, upper = bound_literals(newest.partition.bound or "")
    text = f"its newest partition, from {lower} to {upper}, is no day, week, month, quarter or year"
    if width == timedelta(weeks=1):
        return Unknown(f"{text}: weeks of a policy begin on Monday", "week_start")
    if width < timedelta(hours=23):
        return Unknown(f"{text}: intervals shorter than a day are not supported", "too_short")
    return Unknown(text, "interval")


def _zones(newest: Span, usual_zone: str) -> list[ZoneInfo]:
    """Return the zones in which a partition begins and ends at midnight, the usual ones first."""
    names = dict.fromkeys((usual_zone, "UTC", *_USUAL, *sorted(_area_zones())))
    return [
        zone
        for name in names
        if (zone := zone_named(name)) is not None
        and all(_is_midnight(end, zone) for end in (newest.lower, newest.upper))
    ]


def _is_midnight(moment: datetime, zone: ZoneInfo) -> bool:
    # Clocks that skip midnight make the day begin an hour later.
    return moment.astimezone(zone).time() <= time(1)


@cache
def _area_zones() -> frozenset[str]:
    return frozenset(name for name in available_timezones() if name.startswith(_AREAS))


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
