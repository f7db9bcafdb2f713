"""Partition keys: converts moments to bounds and bounds to moments.

A key column holds time natively (`date`, `timestamp`, `timestamptz`), as an integer count
since 1970, as an integer whose digits are a date (`2026`, `202611`, `20261128`), or inside an
identifier that sorts by time (UUIDv7, ULID, snowflake).
"""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from maintenance.periods import Interval, first_moment_of, midnight


class Encoding(Enum):
    """How a key column stores time. The value is its name in a policy."""

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
        shift: how many lower bits are not time.
    """

    epoch: datetime
    shift: int

    @property
    def value(self) -> str:
        """The name of the encoding, like `Encoding.value`."""
        return "snowflake"

    def __str__(self) -> str:
        # Part of the policy's hash, so it must be complete.
        return f"snowflake(epoch={self.epoch.isoformat()}, shift={self.shift})"


KeyEncoding = Encoding | Snowflake
"""How a key column stores time."""

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
"""The column types of each encoding, as `format_type` names them (without length)."""

INTERVALS: Mapping[Encoding, frozenset[Interval]] = {
    Encoding.YYYY: frozenset({Interval.YEAR}),
    Encoding.YYYYMM: frozenset({Interval.MONTH, Interval.QUARTER, Interval.YEAR}),
}
"""The intervals whose bounds an encoding can write; encodings not listed can write all."""


def types_of(encoding: KeyEncoding) -> frozenset[str]:
    """Return the column types that an encoding can use."""
    return frozenset({"bigint"}) if isinstance(encoding, Snowflake) else TYPES[encoding]


def intervals_of(encoding: KeyEncoding) -> frozenset[Interval]:
    """Return the intervals whose bounds an encoding can write."""
    every = frozenset(Interval)
    return every if isinstance(encoding, Snowflake) else INTERVALS.get(encoding, every)


def first_year(encoding: KeyEncoding) -> int:
    """Return the first year that an encoding can write."""
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
"""For encodings of dates as digits: how many numbers a year has."""
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID_TIME_CHARS = 10
_DATE_CHARS = len("2026-01-01")
_WALL_CLOCK_TYPES = frozenset({"date", "timestamp without time zone"})
_UTC = ZoneInfo("UTC")

PAST = datetime.min.replace(tzinfo=UTC)
"""Stands for MINVALUE and -infinity."""

FUTURE = datetime.max.replace(tzinfo=UTC)
"""Stands for MAXVALUE, infinity and every year past 9999."""


@dataclass(frozen=True, slots=True)
class KeyCodec:
    """Writes and reads the bounds of one key column.

    Bounds are compared as *positions*: aware datetimes in UTC. If the column stores moments, the
    position is the moment. A `date`, a `timestamp without time zone` and a date as digits store a
    wall clock, which may skip an hour or show it twice, and the server compares such values as
    they are written; so their position is the reading itself, labeled UTC.

    Attributes:
        encoding: how the column stores time.
        type: the column's type as `format_type` names it, without length or precision.
        zone: the calendar zone; `date`, `timestamp without time zone` and dates as digits are its
            wall clock.
    """

    encoding: KeyEncoding
    type: str
    zone: ZoneInfo

    @property
    def is_wall_clock(self) -> bool:
        """Whether the column stores readings of a wall clock, without a zone."""
        is_native = self.encoding is Encoding.NATIVE and self.type in _WALL_CLOCK_TYPES
        return is_native or self.encoding in _DIGITS

    @property
    def calendar(self) -> ZoneInfo:
        """The zone whose midnights, as positions, are the boundaries of periods."""
        return _UTC if self.is_wall_clock else self.zone

    def position(self, moment: datetime) -> datetime:
        """Return the position of an aware moment among the bounds."""
        if not self.is_wall_clock or moment in (PAST, FUTURE):
            return moment
        return moment.astimezone(self.zone).replace(tzinfo=UTC, fold=0)

    def first_moment(self, position: datetime) -> datetime:
        """Return the moment, in UTC, from which on the clock can show a position."""
        return min(self._moments(position))

    def last_moment(self, position: datetime) -> datetime:
        """Return the moment, in UTC, after which the clock shows no earlier position."""
        return max(self._moments(position))

    def _moments(self, position: datetime) -> tuple[datetime, datetime]:
        """Return both moments of a repeated clock reading; the same moment twice otherwise."""
        if not self.is_wall_clock or position in (PAST, FUTURE):
            return position, position
        try:
            first, second = (
                position.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1)
            )
        except OverflowError:  # within a day of the ends of Python's calendar
            end = PAST if position.year == 1 else FUTURE
            return end, end
        if second < first:  # skipped: the clock jumps over it, at one moment
            jump = first_moment_of(position.replace(tzinfo=None), self.zone)
            return jump, jump
        return first, second

    def literal(self, position: datetime) -> str:
        """Return the bound at a position as SQL text; `timestamptz` always with its UTC offset.

        Raises:
            ValueError: a moment before 1970, in an encoding that begins in 1970.
        """
        if self.encoding is not Encoding.NATIVE:
            return self._encoded(position)
        text = _written(position)
        if self.type == "timestamp with time zone":
            return f"'{text}+00'"
        return f"'{text[:_DATE_CHARS]}'" if self.type == "date" else f"'{text}'"

    def moment(self, literal: str) -> datetime:
        """Read one bound as `pg_get_expr` shows it in a session whose TimeZone is UTC.

        Returns:
            Its position; `PAST` and `FUTURE` for unbounded or unrepresentable ends.

        Raises:
            ValueError: the text is not a bound of this key.
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
            return f"'{_as_digits(moment.astimezone(UTC).date(), _DIGITS[self.encoding])}'"
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
            # Only the time: zero version and variant bits sort before every real UUID of it.
            digits = f"{milliseconds:012x}"
            return f"'{digits[:8]}-{digits[8:]}-0000-0000-000000000000'"
        return f"'{_ulid_time(milliseconds)}'"

    def _read_encoded(self, text: str) -> datetime:
        if self.encoding in _MICROSECONDS:
            return _since_epoch(int(text) * _MICROSECONDS[self.encoding])
        if self.encoding in _DIGITS:
            return _from_digits(int(text), _DIGITS[self.encoding])
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
        return datetime.fromisoformat(match["stamp"]).replace(tzinfo=UTC)


_TIMESTAMP = re.compile(
    r"(?P<stamp>(?P<year>\d{4,})-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.\d+)?)?)(?:\+00)?\Z"
)


def _written(position: datetime) -> str:
    # Not strftime, which pads no year below 1000 on Linux.
    return position.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")


def _since_epoch(microseconds: int) -> datetime:
    return _since(_EPOCH, microseconds)


def _since(epoch: datetime, microseconds: int) -> datetime:
    try:
        return epoch + timedelta(microseconds=microseconds)
    except OverflowError:
        return FUTURE if microseconds > 0 else PAST


def _as_digits(day: date, numbers_a_year: int) -> int:
    return (day.year * 10_000 + day.month * 100 + day.day) * numbers_a_year // 10_000


def _from_digits(value: int, numbers_a_year: int) -> datetime:
    """Return the beginning of the first date whose number is equal or greater.

    A bound need not be a date: `202613` ends December like `202701`.
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
        return _from_digits(value - rest + (month + 1) * 100, numbers_a_year)
    return midnight(date(year, month, max(day, 1)), _UTC)


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
