"""Cron schedules: five fields; malformed ones, and ones that never fire, are refused."""

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import NamedTuple

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(
    r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?", re.ASCII
)


_SUNDAY = 7


class _Field(NamedTuple):
    name: str
    least: int
    most: int
    names: dict[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day", 1, 31, {}),
    _Field("month", 1, 12, {name: n for n, name in enumerate(_MONTHS, start=1)}),
    _Field("weekday", 0, 7, {name: n for n, name in enumerate(_WEEKDAYS)}),
)


class CronError(ValueError):
    """A schedule that is malformed or never fires; the message says what is expected."""


def check_cron(text: str) -> str:
    """Return a schedule with single spaces between its fields.

    Raises:
        CronError: not five fields, a field out of range, or a day that does not exist.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise CronError("five fields: minute hour day month weekday")
    values = [set(_read(field, rule)) for field, rule in zip(fields, _FIELDS, strict=True)]
    days, months = values[2], values[3]
    if min(days) > max(_DAYS_IN_MONTH[n - 1] for n in months):
        raise CronError("a day that exists in one of its months")
    return " ".join(fields)


def next_tick(cron: str, after: datetime) -> datetime:
    """Return the first tick of a schedule after a time, in UTC.

    Args:
        cron: as `check_cron` returns it. If neither day nor weekday is `*`, either of them is
            enough, as in Dagster.
        after: aware, in UTC.
    """
    schedule = _schedule(cron)
    midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
    for n in count():
        day = midnight + timedelta(days=n)
        if schedule.is_on(day):
            hours, minutes = sorted(schedule.hours), sorted(schedule.minutes)
            times = (day.replace(hour=h, minute=m) for h in hours for m in minutes)
            first = next((at for at in times if at > after), None)
            if first is not None:
                return first
    raise AssertionError("check_cron refuses a day that never exists")


def matches(cron: str, moment: datetime) -> bool:
    """Whether the minute of a time is a tick of a schedule.

    Args:
        cron: as `check_cron` returns it.
        moment: aware, in UTC.
    """
    schedule = _schedule(cron)
    is_time = moment.minute in schedule.minutes and moment.hour in schedule.hours
    return is_time and schedule.is_on(moment)


def is_all_day(crons: Iterable[str]) -> bool:
    """Whether schedules together tick in every minute of every day.

    Schedules that leave out a day, a weekday or a month do not count.
    """
    daily = [_schedule(cron) for cron in crons if cron.split()[2:] == ["*", "*", "*"]]
    covered = {(hour, minute) for each in daily for hour in each.hours for minute in each.minutes}
    return len(covered) == _MINUTES_OF_A_DAY


_MINUTES_OF_A_DAY = 24 * 60


class _Schedule(NamedTuple):
    """The values of the fields of a schedule.

    Attributes:
        either: whether a day or a weekday is enough; else both must match.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def is_on(self, day: datetime) -> bool:
        """Whether the schedule has ticks on the day of a time."""
        found = (day.day in self.days, _is_one(day, self.weekdays))
        return day.month in self.months and (any(found) if self.either else all(found))


@cache
def _schedule(cron: str) -> _Schedule:
    fields = cron.split()
    values = [frozenset(_read(field, rule)) for field, rule in zip(fields, _FIELDS, strict=True)]
    return _Schedule(*values, either="*" not in (fields[2], fields[4]))


def _is_one(day: datetime, weekdays: Collection[int]) -> bool:
    weekday = day.isoweekday()
    return weekday in weekdays or (weekday == _SUNDAY and 0 in weekdays)


def _read(field: str, rule: _Field) -> Iterator[int]:
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise CronError(f"a {rule.name} like 5, 1-5, 1,3 or */2")
        yield from _range(match, rule)


def _range(match: re.Match[str], rule: _Field) -> range:
    step = int(match["step"] or 1)
    first, last = rule.least, rule.most
    if not match["all"]:
        first = _number(match["first"], rule)
        last = _number(match["last"], rule) if match["last"] else first
    # Dagster reads 0-0 as all weekdays.
    rises = first < last or not match["last"]
    if not rises or not 1 <= step <= rule.most or (match["step"] and first == last):
        raise CronError(f"an ascending {rule.name} range, with a step of 1 to {rule.most}")
    return range(first, last + 1, step)


def _number(text: str, rule: _Field) -> int:
    value = rule.names.get(text.lower(), int(text) if text.isdigit() else -1)
    if not rule.least <= value <= rule.most:
        raise CronError(f"a {rule.name} from {rule.least} to {rule.most}")
    return value
