"""Partition keys: how a moment is written as a bound, and a bound read as a moment.

A key column holds time natively (`date`, `timestamp`, `timestamptz`), as an integer count
since 1970, as an integer whose digits are a date (`2026`, `202611`, `20261128`), or inside an
identifier that sorts by time (UUIDv7, ULID, snowflake).
"""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import Enum
from zoneinfo import ZoneInfo

from maintenance.periods import Interval, midnight


class Encoding(Enum):
    """How a key column holds time. The value is how a policy writes it."""

    NATIVE = "native"
    EPOCH_S = "epoch_s"
    EPOCH_MS = "epoch_ms"
    EPOCH_US = "epoch_us"
    YYYY = "yyyy"
    YYYYMM = "yyyymm"
    YYYYMMDD = "yyyymmdd"
    UUIDV7 = "uuidv7"
    ULID = "ulid"


@dataclass(frozen=True, slots=True)
class Snowflake:
    """A bigint identifier whose upper bits count milliseconds.

    Attributes:
        epoch: the moment from which they count, aware.
        shift: how many lower bits hold something else than time.
    """

    epoch: datetime
    shift: int

    @property
    def value(self) -> str:
        """The name of the encoding, as `Encoding.value` has it for the others."""
        return "snowflake"

    def __str__(self) -> str:
        # Part of the policy's hash, so it must tell all there is.
        return f"snowflake(epoch={self.epoch.isoformat()}, shift={self.shift})"


KeyEncoding = Encoding | Snowflake
"""How a key column holds time."""

TYPES: Mapping[Encoding, frozenset[str]] = {
    Encoding.NATIVE: frozenset({"date", "timestamp without time zone", "timestamp with time zone"}),
    Encoding.EPOCH_S: frozenset({"integer", "bigint"}),
    Encoding.EPOCH_MS: frozenset({"bigint"}),
    Encoding.EPOCH_US: frozenset({"bigint"}),
    Encoding.YYYY: frozenset({"smallint", "integer", "bigint"}),
    Encoding.YYYYMM: frozenset({"integer", "bigint"}),
    Encoding.YYYYMMDD: frozenset({"integer", "bigint"}),
    Encoding.UUIDV7: frozenset({"uuid"}),
    Encoding.ULID: frozenset({"text", "character varying", "character"}),
}
"""The column types each encoding can live in, as `format_type` names them (without length)."""

INTERVALS: Mapping[Encoding, frozenset[Interval]] = {
    Encoding.YYYY: frozenset({Interval.YEAR}),
    Encoding.YYYYMM: frozenset({Interval.MONTH, Interval.QUARTER, Interval.YEAR}),
}
"""The intervals whose bounds an encoding can write; those that are not here write all."""


def types_of(encoding: KeyEncoding) -> frozenset[str]:
    """Return the column types that an encoding can live in."""
    return frozenset({"bigint"}) if isinstance(encoding, Snowflake) else TYPES[encoding]


def intervals_of(encoding: KeyEncoding) -> frozenset[Interval]:
    """Return the intervals whose bounds an encoding can write."""
    every = frozenset(Interval)
    return every if isinstance(encoding, Snowflake) else INTERVALS.get(encoding, every)


def first_year(encoding: KeyEncoding) -> int:
    """Return the year in which the moments that an encoding can write begin."""
    if isinstance(encoding, Snowflake):
        return encoding.epoch.year
    return _EPOCH.year if encoding in (Encoding.UUIDV7, Encoding.ULID) else 1


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS: Mapping[KeyEncoding, int] = {
    Encoding.EPOCH_S: 1_000_000,
    Encoding.EPOCH_MS: 1_000,
    Encoding.EPOCH_US: 1,
}
_DIGITS: Mapping[KeyEncoding, int] = {
    Encoding.YYYY: 1,
    Encoding.YYYYMM: 100,
    Encoding.YYYYMMDD: 10_000,
}
"""By encoding of dates as digits: how many numbers there are to a year."""
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID_TIME_CHARS = 10
_DATE_CHARS = len("2026-01-01")

PAST = datetime.min.replace(tzinfo=UTC)
"""Stands for MINVALUE and -infinity."""

FUTURE = datetime.max.replace(tzinfo=UTC)
"""Stands for MAXVALUE, infinity and every year past 9999."""


@dataclass(frozen=True, slots=True)
class KeyCodec:
    """Writes and reads the bounds of one key column.

    Attributes:
        encoding: how the column holds time.
        type: the column's type as `format_type` names it, without length or precision.
        zone: the calendar zone; `date`, `timestamp without time zone` and dates as digits hold
            its wall clock.
    """

    encoding: KeyEncoding
    type: str
    zone: ZoneInfo

    def literal(self, moment: datetime) -> str:
        """Return a bound as SQL text; `timestamptz` always with its UTC offset.

        Raises:
            ValueError: a moment before 1970, in an encoding that begins there.
        """
        if self.encoding is not Encoding.NATIVE:
            return self._encoded(moment)
        if self.type == "timestamp with time zone":
            return f"'{_wall_clock(moment, UTC)}+00'"
        local = _wall_clock(moment, self.zone)
        return f"'{local[:_DATE_CHARS]}'" if self.type == "date" else f"'{local}'"

    def moment(self, literal: str) -> datetime:
        """Read one bound as `pg_get_expr` shows it in a session whose TimeZone is UTC.

        Returns:
            An aware UTC moment; `PAST` and `FUTURE` for unbounded or unrepresentable ends.

        Raises:
            ValueError: the text is no bound of this key.
        """
        if literal == "MINVALUE":
            return PAST
        if literal == "MAXVALUE":
            return FUTURE
        text = literal[1:-1] if literal.startswith("'") else literal
        if self.encoding is Encoding.NATIVE:
            return self._read_native(text)
        return self._read_encoded(text)

    def _encoded(self, moment: datetime) -> str:
        if self.encoding in _DIGITS:
            return f"'{_as_digits(moment.astimezone(self.zone).date(), _DIGITS[self.encoding])}'"
        if isinstance(self.encoding, Snowflake):
            elapsed = (moment - self.encoding.epoch) // timedelta(milliseconds=1)
            return f"'{elapsed << self.encoding.shift}'"
        since = moment - _EPOCH
        if self.encoding in _MICROSECONDS:
            return f"'{since // timedelta(microseconds=_MICROSECONDS[self.encoding])}'"
        milliseconds = since // timedelta(milliseconds=1)
        if milliseconds < 0:
            raise ValueError(f"{self.encoding.value} begins with 1970, not {moment:%Y}")
        if self.encoding is Encoding.UUIDV7:
            # The time alone: version and variant bits left zero sort before every real UUID of it.
            digits = f"{milliseconds:012x}"
            return f"'{digits[:8]}-{digits[8:]}-0000-0000-000000000000'"
        return f"'{_ulid_time(milliseconds)}'"

    def _read_encoded(self, text: str) -> datetime:
        if self.encoding in _MICROSECONDS:
            return _since_epoch(int(text) * _MICROSECONDS[self.encoding])
        if self.encoding in _DIGITS:
            return _from_digits(int(text), _DIGITS[self.encoding], self.zone)
        if isinstance(self.encoding, Snowflake):
            return _since(self.encoding.epoch, (int(text) >> self.encoding.shift) * 1000)
        if self.encoding is Encoding.UUIDV7:
            return _since_epoch(int(text.replace("-", "")[:12], 16) * 1000)
        return _since_epoch(_ulid_milliseconds(text) * 1000)

    def _read_native(self, text: str) -> datetime:
        match = _TIMESTAMP.match(text)
        if text in ("-infinity", "infinity") or text.endswith(" BC"):
            return FUTURE if text == "infinity" else PAST
        if match is None:
            raise ValueError(f"not a bound of type {self.type}: {text!r}")
        if len(match["year"]) > 4:  # noqa: PLR2004 - Python's calendar ends with 9999
            return FUTURE
        zoned = self.type == "timestamp with time zone"
        moment = datetime.fromisoformat(match["stamp"])
        try:
            return moment.replace(tzinfo=UTC if zoned else self.zone).astimezone(UTC)
        except OverflowError:  # within a day of the end of Python's calendar
            return PAST if moment.year == 1 else FUTURE


_TIMESTAMP = re.compile(
    r"(?P<stamp>(?P<year>\d{4,})-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.\d+)?)?)(?:\+00)?\Z"
)


def _wall_clock(moment: datetime, zone: tzinfo) -> str:
    local = moment.astimezone(zone).replace(tzinfo=None)
    # Not strftime, which pads no year below 1000 on Linux.
    return local.isoformat(sep=" ", timespec="seconds")


def _since_epoch(microseconds: int) -> datetime:
    return _since(_EPOCH, microseconds)


def _since(epoch: datetime, microseconds: int) -> datetime:
    try:
        return epoch + timedelta(microseconds=microseconds)
    except OverflowError:
        return FUTURE if microseconds > 0 else PAST


def _as_digits(day: date, numbers_a_year: int) -> int:
    return (day.year * 10_000 + day.month * 100 + day.day) * numbers_a_year // 10_000


def _from_digits(value: int, numbers_a_year: int, zone: ZoneInfo) -> datetime:
    """Return the beginning of the first date that is written by this number or a greater one.

    A bound need be no date: `202613` ends December as well as `202701`.
    """
    year, rest = divmod(value, numbers_a_year)
    month, day = divmod(rest * 10_000 // numbers_a_year, 100)
    if month < 1:
        month, day = 1, 1
    elif month > 12:  # noqa: PLR2004 - months of a year
        year, month, day = year + 1, 1, 1
    if year < 1 or year > FUTURE.year:
        return PAST if year < 1 else FUTURE
    if day > monthrange(year, month)[1]:
        return _from_digits(value - rest + (month + 1) * 100, numbers_a_year, zone)
    try:
        return midnight(date(year, month, max(day, 1)), zone)
    except OverflowError:  # within a day of the ends of Python's calendar
        return PAST if year == 1 else FUTURE


def _ulid_time(milliseconds: int) -> str:
    text = ""
    for _ in range(_ULID_TIME_CHARS):
        milliseconds, digit = divmod(milliseconds, 32)
        text = _CROCKFORD[digit] + text
    return text


def _ulid_milliseconds(text: str) -> int:
    value = 0
    for character in text[:_ULID_TIME_CHARS].upper().ljust(_ULID_TIME_CHARS, "0"):
        value = value * 32 + _CROCKFORD.index(character)
    return value
