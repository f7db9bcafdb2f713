"""Partition keys: how a moment is written as a bound, and a bound read as a moment.

A key column holds time natively (`date`, `timestamp`, `timestamptz`), as an integer count
since 1970, or inside an identifier that sorts by time (UUIDv7, ULID).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from zoneinfo import ZoneInfo


class Encoding(Enum):
    """How a key column holds time. The value is how a policy writes it."""

    NATIVE = "native"
    EPOCH_S = "epoch_s"
    EPOCH_MS = "epoch_ms"
    EPOCH_US = "epoch_us"
    UUIDV7 = "uuidv7"
    ULID = "ulid"


TYPES: Mapping[Encoding, frozenset[str]] = {
    Encoding.NATIVE: frozenset({"date", "timestamp without time zone", "timestamp with time zone"}),
    Encoding.EPOCH_S: frozenset({"integer", "bigint"}),
    Encoding.EPOCH_MS: frozenset({"bigint"}),
    Encoding.EPOCH_US: frozenset({"bigint"}),
    Encoding.UUIDV7: frozenset({"uuid"}),
    Encoding.ULID: frozenset({"text", "character varying", "character"}),
}
"""The column types each encoding can live in, as `format_type` names them (without length)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS = {Encoding.EPOCH_S: 1_000_000, Encoding.EPOCH_MS: 1_000, Encoding.EPOCH_US: 1}
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
        zone: the calendar zone; `date` and `timestamp without time zone` hold its wall clock.
    """

    encoding: Encoding
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
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return FUTURE if microseconds > 0 else PAST


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
