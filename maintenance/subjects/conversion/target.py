"""The partitions that a converted table will have: the first one with all its rows, and the next.

The first partition has no lower bound, so that rows may arrive as late as before. Until the table
is converted, a CHECK refuses rows from the first partition's upper bound on. It lies so far ahead
that no application writes there: behind the next whole period and at least two weeks ahead, or, if
the table has rows in the future, behind the horizon of the policy, where the partitioned table has
no partition either.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from maintenance.names import MAX_NAME_BYTES, QualifiedName, cut
from maintenance.partition_key import FUTURE, PAST
from maintenance.partition_set.expected import PeriodRange, current_period, horizon, slots
from maintenance.periods import Period, parse_period, period_at
from maintenance.subjects.conversion.models import UNTIL, ConvertibleTable, Helper

AHEAD = timedelta(days=1)
"""A row further in the future than this shows that the application writes ahead of time."""

HEADROOM = timedelta(days=14)
"""At least this long no row may be refused, so that a conversion can wait for locks."""

LEAST_HEADROOM = timedelta(days=7)
"""A CHECK of an earlier run that refuses rows sooner is replaced."""


@dataclass(frozen=True, slots=True)
class Target:
    """The partitions of a table after its conversion.

    Attributes:
        first: the first partition's name, with the first and the last period of its rows.
        until: the period that begins where the first partition ends.
        check: name of the CHECK for the first partition's bound.
        following: partitions to create right afterwards.
    """

    first: QualifiedName
    until: PeriodRange
    check: str
    following: tuple[tuple[QualifiedName, PeriodRange], ...]


def target_of(seen: ConvertibleTable, now: datetime) -> Target:
    """Compute the partitions of a table whose key range is known and has no future rows."""
    section, calendar = seen.section, seen.codec.calendar
    kept = next((period for each in seen.helpers if (period := _kept(seen, each, now))), None)
    until = kept or _until(seen, now)
    last = max(horizon(section, now), until)
    wanted = slots(until, last, calendar)
    schema = section.schema_name or seen.name.schema
    following = tuple((QualifiedName(schema, section.child_name(s.period)), s) for s in wanted)
    return Target(_first_name(seen, until, now), wanted[0], check_name(until), following)


def check_name(until: Period) -> str:
    """Return the name of the CHECK that refuses rows from a period on."""
    return f"{UNTIL}{until.key.replace('-', '_')}"


def last_position(seen: ConvertibleTable) -> datetime:
    """Return the position of the greatest key.

    Raises:
        ValueError: it is not a value of this encoding.
    """
    last = seen.key_range.last
    return seen.codec.moment(last) if last is not None else PAST


def end_of_horizon(seen: ConvertibleTable, now: datetime) -> datetime:
    """Return the position where the last partition ends that the policy requires."""
    return horizon(seen.section, now).bounds(seen.codec.calendar)[1]


def writes_ahead(seen: ConvertibleTable, now: datetime) -> bool:
    """Whether the table has rows of the future."""
    return last_position(seen) > seen.codec.position(now) + AHEAD


def other_name(name: str, table: str, first: str) -> str:
    """Return the name of an object of the first partition, whose own name its parent's gets.

    Args:
        name: the object's, unique within its schema.
        table: the table's.
        first: the first partition's.
    """
    new = name.replace(table, first) if table in name else f"{first}_{name}"
    if len(new.encode()) <= MAX_NAME_BYTES:
        return new
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{cut(new, MAX_NAME_BYTES - 9)}_{digest}"


def _until(seen: ConvertibleTable, now: datetime) -> Period:
    calendar = seen.codec.calendar
    until = current_period(seen.section, now).shift(2)
    if writes_ahead(seen, now):
        until = max(until, horizon(seen.section, now).shift(1))
    while until.bounds(calendar)[0] < seen.codec.position(now) + HEADROOM:
        until = until.shift(1)
    return until


def _kept(seen: ConvertibleTable, helper: Helper, now: datetime) -> Period | None:
    """Return the period of an earlier run's CHECK, if it still leaves enough time."""
    if helper.kind != "check" or not helper.name.startswith(UNTIL):
        return None
    try:
        key = helper.name.removeprefix(UNTIL).replace("_", "-")
        period = parse_period(key, seen.section.interval)
    except ValueError:
        return None
    lower = period.bounds(seen.codec.calendar)[0]
    enough = lower >= seen.codec.position(now) + LEAST_HEADROOM and lower > last_position(seen)
    return period if enough and check_name(period) == helper.name else None


def _first_name(seen: ConvertibleTable, until: Period, now: datetime) -> QualifiedName:
    section = seen.section
    first = seen.key_range.first
    position = seen.codec.moment(first) if first is not None else seen.codec.position(now)
    if position in (PAST, FUTURE):
        position = seen.codec.position(now)
    begin = period_at(position, section.interval, seen.codec.calendar)
    keys = _in_names((begin, until.shift(-1)))
    suffix = f"_{'_to_'.join(keys)}"
    name = cut(section.table.name, MAX_NAME_BYTES - len(suffix)) + suffix
    return QualifiedName(section.table.schema, name)


def _in_names(periods: Iterable[Period]) -> Iterable[str]:
    return (period.key.replace("-", "_") for period in periods)
