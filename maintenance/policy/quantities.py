"""Quantities in a policy: `50 ms`, `10 GB`, `24 months`, `0.4`, `3`."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from math import inf
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from maintenance.errors import ProblemReason
from maintenance.periods import CalendarSpan
from maintenance.policy.base import did_you_mean, refused

_YAML_TYPES = (bool, int, float, str)

_DURATION_UNITS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1),
    **dict.fromkeys(("s", "second", "seconds"), 1000),
    **dict.fromkeys(("min", "minute", "minutes"), 60_000),
    **dict.fromkeys(("h", "hour", "hours"), 3_600_000),
    **dict.fromkeys(("day", "days"), 86_400_000),
    **dict.fromkeys(("week", "weeks"), 604_800_000),
}
"""Milliseconds."""

_SIZE_UNITS = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
"""Bytes; powers of 1024, as in PostgreSQL's settings."""

_SPAN_UNITS = {
    **dict.fromkeys(("day", "days"), (0, 1)),
    **dict.fromkeys(("week", "weeks"), (0, 7)),
    **dict.fromkeys(("month", "months"), (1, 0)),
    **dict.fromkeys(("year", "years"), (12, 0)),
}
"""Months and days."""

NEVER = "never"
"""A limit that is never reached; infinite in Python."""

_AMOUNT = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*([A-Za-z]+)\s*", re.ASCII)
_MAX_YEARS = 1000  # the calendar functions support no more


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """Annotates a type with its notation in the file.

    Attributes:
        read: converts the YAML value; raises `refused(...)`.
        schema: the JSON schema of the written value.
    """

    read: Callable[[object], object]
    schema: JsonSchemaValue

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validate the YAML value; a value already converted is accepted."""

        def read(value: object) -> object:
            is_read = source not in _YAML_TYPES and isinstance(value, source)
            return value if is_read else self.read(value)

        shown = core_schema.plain_serializer_function_ser_schema(_shown)
        return core_schema.no_info_plain_validator_function(read, serialization=shown)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe the value as written."""
        return dict(self.schema)


def _shown(value: object) -> object:
    if value == inf:
        return NEVER
    return value if isinstance(value, _YAML_TYPES) else str(value)


def text_schema(description: str, *examples: str, pattern: str = "") -> JsonSchemaValue:
    """Return the JSON schema of a text with a pattern."""
    rule = {"pattern": pattern} if pattern else {}
    return {"type": "string", "description": description, "examples": list(examples), **rule}


def _amounts(value: object, units: Mapping[str, Any], wanted: str) -> list[tuple[Decimal, str]]:
    """Split `1 year 6 months` into its numbers and units."""
    text = value if isinstance(value, str) else ""
    amounts: list[tuple[Decimal, str]] = []
    position = 0
    while match := _AMOUNT.match(text, position):
        amounts.append((Decimal(match[1]), match[2]))
        position = match.end()
    unknown = [unit for _, unit in amounts if unit not in units]
    if not amounts or position != len(text) or unknown:
        hint = _unit_hint(value, unknown, units)
        raise refused(wanted, hint, reason=_amount_reason(value, unknown))
    return amounts


def _amount_reason(value: object, unknown: list[str]) -> ProblemReason:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ProblemReason.MISSING_UNIT
    if not isinstance(value, str):
        return ProblemReason.WRONG_TYPE
    return ProblemReason.UNKNOWN_VALUE if unknown else ProblemReason.MALFORMED


def _unit_hint(value: object, unknown: list[str], units: Mapping[str, Any]) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "write the unit after the number"
    if units is _DURATION_UNITS and set(unknown) & set(_SPAN_UNITS):
        return "use days: months and years vary in length"
    return did_you_mean(unknown[0], units) if unknown else ""


_LONGEST = timedelta(days=36_500)
_DURATION_WANTED = "a duration, such as 10 minutes or 35 days"


def _read_duration(value: object, least: timedelta, most: timedelta, wanted: str) -> timedelta:
    amounts = _amounts(value, _DURATION_UNITS, wanted)
    length_ms = sum(number * _DURATION_UNITS[unit] for number, unit in amounts)
    if not least <= (length := timedelta(milliseconds=min(float(length_ms), 1e14))) <= most:
        raise refused(wanted, reason=ProblemReason.OUT_OF_RANGE)
    return length


def read_duration(text: str) -> timedelta:
    """Parse a duration such as `30 days` outside a policy.

    Raises:
        ValueError: the text is not a duration.
    """
    try:
        return _read_duration(text, timedelta(0), _LONGEST, _DURATION_WANTED)
    except PydanticCustomError as exc:
        raise ValueError(f"{text!r} is not a duration such as 10 minutes or 35 days") from exc


def read_moment(text: str) -> datetime:
    """Parse an ISO 8601 time; without an offset it is UTC.

    Raises:
        ValueError: the text is not a time.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_moment_near(text: str, now: datetime, *, back: bool = False) -> datetime:
    """Parse a time, or a duration from now on; back from now, if asked.

    Raises:
        ValueError: the text is neither, or the time is out of range.
    """
    with suppress(ValueError):
        return read_moment(text)
    try:
        span = read_duration(text)
        return now - span if back else now + span
    except (ValueError, OverflowError) as exc:
        raise ValueError(
            f"found {text!r}, wanted a duration (7 days) or a time (2026-12-01)"
        ) from exc


def _duration(least: timedelta, most: timedelta, wanted: str) -> Written:
    units = "|".join(_DURATION_UNITS)
    return Written(
        lambda value: _read_duration(value, least, most, wanted),
        text_schema(
            wanted, "50 ms", "4 hours", "35 days", pattern=rf"^\s*(\d+(\.\d+)?\s*({units})\s*)+$"
        ),
    )


Duration = Annotated[
    timedelta,
    _duration(timedelta(0), _LONGEST, _DURATION_WANTED),
]
"""A duration; a day has 24 hours."""

_SHORTEST_WATCH = timedelta(seconds=5)
_WATCH_WANTED = "a duration of at least 5 seconds, or never"


def _read_watch(value: object) -> timedelta:
    if value == "never":
        return timedelta(0)
    return _read_duration(value, _SHORTEST_WATCH, timedelta(days=1), _WATCH_WANTED)


WatchInterval = Annotated[
    timedelta,
    Written(
        _read_watch,
        text_schema(
            _WATCH_WANTED,
            "1 minute",
            "never",
            pattern=rf"^(never|\s*(\d+(\.\d+)?\s*({'|'.join(_DURATION_UNITS)})\s*)+)$",
        ),
    ),
]
"""The time between two samples; zero is never."""

Timeout = Annotated[
    timedelta,
    _duration(timedelta(milliseconds=1), timedelta(days=1), "a duration from 1 ms to 1 day"),
]
"""A timeout that the server enforces. Never 0, which means no limit in PostgreSQL."""


def _read_size(value: object) -> int:
    wanted = "a size, such as 10 MB or 5 GB"
    (number, unit), *more = _amounts(value, _SIZE_UNITS, wanted)
    if more:
        raise refused(wanted)
    return int(number * _SIZE_UNITS[unit])


Size = Annotated[
    int,
    Written(
        _read_size,
        text_schema(
            "a size: B, kB, MB, GB or TB, powers of 1024",
            "10 MB",
            "5 GB",
            pattern=r"^\s*\d+(\.\d+)?\s*(B|kB|MB|GB|TB)\s*$",
        ),
    ),
]
"""A number of bytes."""


def _read_span(value: object, wanted: str) -> CalendarSpan:
    amounts = _amounts(value, _SPAN_UNITS, wanted)
    if any(number % 1 for number, _ in amounts):
        raise refused(wanted, "whole numbers only")
    months = sum(int(number) * _SPAN_UNITS[unit][0] for number, unit in amounts)
    days = sum(int(number) * _SPAN_UNITS[unit][1] for number, unit in amounts)
    if months / 12 + days / 365 > _MAX_YEARS:
        raise refused(wanted, f"at most {_MAX_YEARS} years", reason=ProblemReason.OUT_OF_RANGE)
    return CalendarSpan(months, days)


def _read_keep(example: str, to_keep_all: str, value: object) -> CalendarSpan:
    wanted = f"a calendar length of at least 1 day, such as {example}"
    span = _read_span(value, wanted)
    if span == CalendarSpan(0, 0):
        hint = f"to keep everything, {to_keep_all}"
        raise refused(wanted, hint, reason=ProblemReason.OUT_OF_RANGE)
    return span


_read_retention = partial(_read_keep, "24 months", "remove the retention section")
_read_records = partial(_read_keep, "90 days", "write `dagster: off`")
_read_history = partial(_read_keep, "13 months", "write 100 years")


def _span(read: Callable[[object], CalendarSpan], *examples: str) -> Written:
    units = "|".join(_SPAN_UNITS)
    schema = text_schema("a length on the calendar: days, weeks, months or years", *examples)
    return Written(read, schema | {"pattern": rf"^\s*(\d+\s*({units})\s*)+$"})


Span = Annotated[
    CalendarSpan,
    _span(lambda value: _read_span(value, "a calendar length, such as 7 days"), "0 days", "7 days"),
]
"""A calendar length, in days and months."""

RetentionSpan = Annotated[CalendarSpan, _span(_read_retention, "24 months", "90 days", "1 year")]
"""How long the partitions of a table are kept; at least one day."""

RecordSpan = Annotated[CalendarSpan, _span(_read_records, "90 days", "6 months")]
"""How long Dagster's records are kept; at least one day."""

HistorySpan = Annotated[CalendarSpan, _span(_read_history, "13 months", "90 days", "1 year")]
"""How long the store keeps its own history; at least one day."""


def whole(least: int, most: int | None = None, why: str = "") -> Written:
    """Describe a whole number within limits; `why` explains the lower limit."""
    limits = f"from {least} to {most}" if most is not None else f"of at least {least}"

    def read(value: object) -> object:
        wanted = f"a whole number {limits}"
        if not isinstance(value, int) or isinstance(value, bool):
            raise refused(wanted, reason=ProblemReason.WRONG_TYPE)
        if value < least or (most is not None and value > most):
            hint = why if value < least else ""
            raise refused(wanted, hint, reason=ProblemReason.OUT_OF_RANGE)
        return value

    bounds = {"minimum": least} | ({"maximum": most} if most is not None else {})
    return Written(read, {"type": "integer", **bounds})


def number(least: float, most: float | None = None) -> Written:
    """Describe a number within limits."""
    limits = f"from {least:g} to {most:g}" if most is not None else f"of at least {least:g}"

    def read(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refused(f"a number {limits}", reason=ProblemReason.WRONG_TYPE)
        if not least <= value <= (most if most is not None else 1e9):
            raise refused(f"a number {limits}", reason=ProblemReason.OUT_OF_RANGE)
        return float(value)

    bounds = {"minimum": least} | ({"maximum": most} if most is not None else {})
    return Written(read, {"type": "number", **bounds})


Share = Annotated[float, number(0, 1)]
"""A part of a whole, from 0 to 1."""

Count = Annotated[int, whole(0)]
"""A number of things, from 0."""


def _read_size_limit(value: object) -> object:
    return inf if value in (NEVER, inf) else _read_size(value)


SizeLimit = Annotated[
    float,
    Written(
        _read_size_limit,
        text_schema(
            "a size (B, kB, MB, GB or TB, powers of 1024), or never",
            "100 MB",
            "1 GB",
            NEVER,
            pattern=r"^(never|\s*\d+(\.\d+)?\s*(B|kB|MB|GB|TB)\s*)$",
        ),
    ),
]
"""A number of bytes; infinite for never."""


def _read_count_limit(value: object) -> object:
    if value in (NEVER, inf):
        return inf
    wanted = "a whole number of at least 1, or never"
    if not isinstance(value, int) or isinstance(value, bool):
        raise refused(wanted, reason=ProblemReason.WRONG_TYPE)
    if value < 1:
        raise refused(wanted, reason=ProblemReason.OUT_OF_RANGE)
    return value


CountLimit = Annotated[
    float,
    Written(
        _read_count_limit,
        {"anyOf": [{"const": NEVER}, {"type": "integer", "minimum": 1}]},
    ),
]
"""A number of things; infinite for never."""
