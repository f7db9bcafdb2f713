"""Names, time zones, schedules and periods in a policy."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import cache
from typing import Annotated, Literal, cast
from zoneinfo import ZoneInfo, available_timezones

from pydantic_core import PydanticCustomError

from maintenance.errors import ProblemReason
from maintenance.names import MAX_NAME_BYTES, QualifiedName, parse_name
from maintenance.partition_key import Encoding, KeyEncoding, Snowflake
from maintenance.periods import Interval, Period, parse_period
from maintenance.policy.base import did_you_mean, refused
from maintenance.policy.cron import check_cron
from maintenance.policy.quantities import Written, text_schema

Mode = Literal["act", "report"]
"""Whether actions are executed, or only planned and reported."""


def _text(value: object, wanted: str) -> str:
    if isinstance(value, str) and value and "\0" not in value:
        return value
    is_number = isinstance(value, int | float | date)
    reason = ProblemReason.MALFORMED if isinstance(value, str) else ProblemReason.WRONG_TYPE
    hint = "put it in quotes if it is text" if is_number else ""
    raise refused(wanted, hint, reason=reason)


def matching(pattern: str, wanted: str, *examples: str) -> Written:
    """Describe a text that matches a pattern as a whole."""
    compiled = re.compile(pattern)

    def read(value: object) -> str:
        text = _text(value, wanted)
        if compiled.fullmatch(text) is None:
            raise refused(wanted)
        return text

    return Written(read, text_schema(wanted, *examples, pattern=f"^({pattern})$"))


def _read_name(value: object) -> QualifiedName:
    wanted = 'a SQL name, such as orders, sales.orders or "Sales"."Order Log"'
    text = _text(value, wanted)
    try:
        return parse_name(text)
    except ValueError as error:
        raise refused(wanted, str(error).partition(":")[0]) from error


TableName = Annotated[
    QualifiedName,
    Written(_read_name, text_schema("a SQL name, folded unless quoted", "public.orders")),
]
"""A relation, in schema public by default."""


def _too_long(wanted: str) -> PydanticCustomError:
    wanted = f"{wanted}, of at most {MAX_NAME_BYTES} bytes"
    return refused(wanted, reason=ProblemReason.OUT_OF_RANGE)


def _read_role(value: object) -> str:
    text = _text(value, "a role's exact name")
    if len(text.encode()) > MAX_NAME_BYTES:
        raise _too_long("a role's exact name")
    return text


RoleName = Annotated[str, Written(_read_role, text_schema("a role's exact name", "app_owner"))]
"""A role, as in the catalog."""


def _read_schema(value: object) -> str:
    text = _text(value, "a schema's exact name")
    if len(text.encode()) > MAX_NAME_BYTES:
        raise _too_long("a schema's exact name")
    if text.startswith("pg_"):
        raise refused("a schema's exact name that does not begin with pg_")
    return text


SchemaName = Annotated[
    str, Written(_read_schema, text_schema("a schema's exact name", "public", "partitions"))
]
"""A schema as spelled in the catalog, without quotes."""


def _read_column(value: object) -> str:
    text = _text(value, "a column's exact name")
    if len(text.encode()) > MAX_NAME_BYTES:
        raise _too_long("a column's exact name")
    return text


ColumnName = Annotated[
    str, Written(_read_column, text_schema("a column's exact name", "created_at", "createdAt"))
]
"""A column as spelled in the catalog, without quotes."""


def _read_constraint(value: object) -> str:
    text = _text(value, "a constraint's exact name")
    if len(text.encode()) > MAX_NAME_BYTES:
        raise _too_long("a constraint's exact name")
    return text


ConstraintName = Annotated[
    str, Written(_read_constraint, text_schema("a constraint's exact name", "orders_user_fkey"))
]
"""A constraint as spelled in the catalog, without quotes."""

DatabaseName = Annotated[
    str,
    matching("[a-z][a-z0-9_]*", "lower case letters, digits and _, starting with a letter", "shop"),
]
"""Name of the database in asset keys, paths and messages."""

Owner = Annotated[
    str,
    matching(
        r"team:\S+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}",
        "team:<name>, or an email address",
        "team:data",
        "dba@example.com",
    ),
]
"""Owner of a database's assets."""

_IDENTIFIER = r'("([^"]|"")+"|[A-Za-z_$][\w$]*)'
SearchPath = Annotated[
    str,
    matching(
        rf"\s*{_IDENTIFIER}(\s*,\s*{_IDENTIFIER})*\s*", "schemas separated by commas", "app, public"
    ),
]
"""Schemas, in the order of name resolution."""

_SETTING = "a value as in postgresql.conf, such as on, 1000 ms or 4GB"


def _read_setting(value: object) -> str:
    """Return a setting as text; YAML reads `on` and `off` as truth values."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str) or "\0" in value:
        raise refused(_SETTING, reason=ProblemReason.WRONG_TYPE)
    return value


SettingValue = Annotated[
    str, Written(_read_setting, {"type": ["string", "number", "boolean"], "description": _SETTING})
]
"""A setting of the server."""

Text = Annotated[str, Written(lambda value: _text(value, "a text"), {"type": "string"})]
"""A text that is not empty."""


def _choice(choices: type[Enum]) -> Callable[[object], Enum]:
    values = [member.value for member in choices]

    def read(value: object) -> Enum:
        if value in values:
            return choices(value)
        hint = did_you_mean(value, values) if isinstance(value, str) else ""
        raise refused(f"one of {', '.join(values)}", hint, reason=ProblemReason.UNKNOWN_VALUE)

    return read


IntervalName = Annotated[
    Interval,
    Written(_choice(Interval), {"enum": [interval.value for interval in Interval]}),
]
"""Interval of one partition."""

_SNOWFLAKE = "{snowflake: {epoch: 2015-01-01, shift: 22}}"
_SHIFT = 22
_MOST_SHIFT = 40
_read_plain_encoding = _choice(Encoding)


def _read_encoding(value: object) -> KeyEncoding:
    if isinstance(value, dict):
        return _read_snowflake(cast("dict[object, object]", value))
    if value == "snowflake":
        hint = "its epoch is the date from which the identifiers count"
        raise refused(_SNOWFLAKE, hint, reason=ProblemReason.MISSING)
    try:
        return cast("Encoding", _read_plain_encoding(value))
    except PydanticCustomError as error:
        context = error.context or {}
        wanted = f"{context['wanted']}, {_SNOWFLAKE}"
        raise refused(wanted, context["hint"], reason=ProblemReason.UNKNOWN_VALUE) from None


def _read_snowflake(value: dict[object, object]) -> Snowflake:
    facts = value.get("snowflake")
    if set(value) != {"snowflake"} or not isinstance(facts, dict):
        raise refused(_SNOWFLAKE)
    written = cast("dict[object, object]", facts)
    if not {"epoch"} <= set(written) <= {"epoch", "shift"}:
        raise refused(_SNOWFLAKE, "snowflake needs epoch and shift")
    shift = written.get("shift", _SHIFT)
    is_number = isinstance(shift, int) and not isinstance(shift, bool)
    if not is_number or not 1 <= cast("int", shift) <= _MOST_SHIFT:
        wanted = f"a shift of 1 to {_MOST_SHIFT} bits, such as 22"
        reason = ProblemReason.OUT_OF_RANGE if is_number else ProblemReason.WRONG_TYPE
        raise refused(wanted, found=str(shift), reason=reason)
    return Snowflake(_read_epoch(written["epoch"]), cast("int", shift))


def _read_epoch(value: object) -> datetime:
    """Parse a date, a time (UTC unless it has an offset), or milliseconds since 1970."""
    epoch = None
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            epoch = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)
        elif isinstance(value, date | str):
            epoch = datetime.fromisoformat(value if isinstance(value, str) else value.isoformat())
    except (ValueError, OverflowError):
        epoch = None
    if epoch is None or epoch.year < 1970:  # noqa: PLR2004 - no such identifiers are older
        wanted = "an epoch: a date, a time or milliseconds since 1970, such as 2015-01-01"
        raise refused(wanted, found=str(value))
    return epoch.replace(tzinfo=UTC) if epoch.tzinfo is None else epoch.astimezone(UTC)


EncodingName = Annotated[
    KeyEncoding,
    Written(
        _read_encoding,
        {
            "anyOf": [
                {"enum": [encoding.value for encoding in Encoding]},
                {
                    "type": "object",
                    "properties": {
                        "snowflake": {
                            "type": "object",
                            "properties": {
                                "epoch": {
                                    "type": ["string", "integer"],
                                    "description": "date from which its milliseconds count",
                                },
                                "shift": {
                                    "type": "integer",
                                    "minimum": 1,
                                    "maximum": _MOST_SHIFT,
                                    "default": _SHIFT,
                                },
                            },
                            "required": ["epoch"],
                            "additionalProperties": False,
                        }
                    },
                    "required": ["snowflake"],
                    "additionalProperties": False,
                },
            ]
        },
    ),
]
"""Time encoding of the key column."""


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"localtime"}


def _read_zone(value: object) -> ZoneInfo:
    wanted = "an IANA time zone, such as UTC or Europe/Berlin"
    text = _text(value, wanted)
    if text == "UTC" or text in _zones():
        return ZoneInfo(text)
    hint = did_you_mean(text, sorted(_zones()))
    raise refused(wanted, hint, reason=ProblemReason.UNKNOWN_VALUE)


ZoneName = Annotated[ZoneInfo, Written(_read_zone, text_schema("an IANA time zone", "UTC"))]
"""Time zone of the partition bounds."""


def _read_cron(value: object) -> str:
    wanted = 'a cron schedule, such as "0 2 * * *"'
    try:
        return check_cron(_text(value, wanted))
    except PydanticCustomError:
        raise
    except ValueError as error:
        raise refused(wanted, f"expected {error}") from error


Cron = Annotated[
    str, Written(_read_cron, text_schema("a cron schedule of five fields, in UTC", "0 2 * * *"))
]
"""Cron schedule, in UTC."""


def read_period(value: object, interval: Interval) -> Period | PydanticCustomError:
    """Parse a period from YAML: text, a date, or a year number.

    Returns:
        The period, or the error that refuses it at its location.
    """
    if isinstance(value, Period):
        return value
    is_date = isinstance(value, date) and not isinstance(value, datetime)
    is_year = isinstance(value, int) and not isinstance(value, bool)
    text = f"{value:04d}" if is_year else str(value) if is_date else value
    wanted = f"the first day of a period of {interval.value}, as YYYY, YYYY-MM or YYYY-MM-DD"
    if not isinstance(text, str):
        return refused(wanted, reason=ProblemReason.WRONG_TYPE)
    try:
        return parse_period(text, interval)
    except ValueError as error:
        return refused(wanted, str(error))


def _period_or_refusal(value: object) -> Period:
    """Return the period from `read_period`: only the table's section knows the interval."""
    if isinstance(value, PydanticCustomError):
        raise value
    raise refused("a period of the table's interval")


PeriodKey = Annotated[
    Period,
    Written(
        _period_or_refusal,
        {
            "type": ["string", "integer"],
            "description": "a period by its first day: YYYY, YYYY-MM or YYYY-MM-DD",
            "examples": ["2024-03", "2024", "2024-03-04"],
        },
    ),
]
"""A period, by its first day."""
