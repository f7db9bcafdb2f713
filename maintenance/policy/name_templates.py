"""Partition names: templates such as `{table}_{yyyy}_{mm}`, at most 63 bytes."""

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from itertools import product

from maintenance.names import MAX_NAME_BYTES, cut
from maintenance.periods import Interval

_DATE_FIELDS = {
    Interval.YEAR: ("{yyyy}",),
    Interval.QUARTER: ("{yyyy}", "{mm}"),
    Interval.MONTH: ("{yyyy}", "{mm}"),
    Interval.WEEK: ("{yyyy}", "{mm}", "{dd}"),
    Interval.DAY: ("{yyyy}", "{mm}", "{dd}"),
}
"""The placeholders that a name needs so that no two periods share it."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_VALUES: Mapping[str, Callable[[date], str]] = {
    "{yyyy}": lambda start: f"{start.year:04d}",
    "{mm}": lambda start: f"{start.month:02d}",
    "{dd}": lambda start: f"{start.day:02d}",
    "{mon}": lambda start: _MONTHS[start.month - 1],
    "{q}": lambda start: str((start.month + 2) // 3),
    "{iyyy}": lambda start: f"{start.isocalendar().year:04d}",
    "{ww}": lambda start: f"{start.isocalendar().week:02d}",
}
"""The placeholders of a date, with their values for the first day of a period."""

_OF_WEEK = ("{iyyy}", "{ww}")
_INSTEAD = {
    Interval.QUARTER: {"{mm}": ("{mon}", "{q}")},
    Interval.MONTH: {"{mm}": ("{mon}",)},
    Interval.WEEK: {"{mm}": ("{mon}",)},
    Interval.DAY: {"{mm}": ("{mon}",)},
}
"""Placeholders that serve in place of another one."""

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_DATES = tuple(_VALUES)
_KNOWN = ("{table}", *_DATES)

_ANY_DIGIT = "\0"


def default_template(interval: Interval) -> str:
    """Return the default name template of an interval."""
    return "_".join(("{table}", *_DATE_FIELDS[interval]))


@lru_cache(maxsize=2**14)
def render(template: str, table: str, start: date) -> str:
    """Return the name of a table's partition that begins on a date.

    The table's part is cut, at a character, so that the whole fits into 63 bytes and the date
    is always complete.
    """
    return _fill(template, table, placeholders(start))


def placeholders(start: date) -> dict[str, str]:
    """Return the placeholders of a date, with their values for the first day of a period."""
    return {field: value(start) for field, value in _VALUES.items()}


def may_name(template: str, table: str, name: str) -> bool:
    """Whether a name can be the name of a table's partition, for some date."""
    return any(_has_shape(name, shape) for shape in _shapes(template, table))


def _has_shape(name: str, shape: str) -> bool:
    return len(shape) == len(name) and all(
        sign == other or (sign == _ANY_DIGIT and other.isascii() and other.isdigit())
        for sign, other in zip(shape, name, strict=True)
    )


def period_part(template: str, start: date) -> str:
    """Return the part of the name that depends on the period, such as `2026_11`.

    Empty if the table's name stands between year and day.
    """
    first = min(template.find(field) for field in _DATES if field in template)
    last = max(template.rfind(field) + len(field) for field in _DATES if field in template)
    part = template[first:last]
    return "" if "{table}" in part else render(part, "", start)


def faults(template: str, interval: Interval) -> list[str]:
    """Return what a template of an interval needs instead, in plain words."""
    written = {match[0] for match in _PLACEHOLDER.finditer(template)}
    found: list[str] = []
    missing = _missing(written, interval)
    if written - set(_KNOWN) or re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        found.append(f"no placeholders but {', '.join(_KNOWN)}")
    if missing:
        found.append(f"{' and '.join(missing)}; without it two periods share a name")
    if len(render(template, "", date(2000, 1, 1)).encode()) > MAX_NAME_BYTES:
        found.append(f"at most {MAX_NAME_BYTES} bytes without the table's name")
    return found


def _missing(written: Container[str], interval: Interval) -> list[str]:
    """Return the placeholders that a template of an interval lacks."""
    if interval is Interval.WEEK and all(field in written for field in _OF_WEEK):
        return []
    instead = _INSTEAD.get(interval, {})
    return [
        field
        for field in _DATE_FIELDS[interval]
        if not any(each in written for each in (field, *instead.get(field, ())))
    ]


def colliding(tables: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
    """Return the pairs of (template, table) that can give two partitions the same name.

    Compares every digit of a date with any digit, so it reports slightly too much.

    Returns:
        Pairs of indexes, the later one first; of several earlier ones only the first.
    """
    groups: dict[str, list[tuple[int, str]]] = {}
    for index, (template, table) in enumerate(tables):
        for shape in _shapes(template, table):
            groups.setdefault(_ANY_DIGITS.sub(_ANY_DIGIT, shape), []).append((index, shape))
    return sorted({pair for group in groups.values() for pair in _alike(group)})


def _shapes(template: str, table: str) -> list[str]:
    """Return the names of a template with any digit in place of those of a date."""
    months = _MONTHS if "{mon}" in template else ("",)
    return [_fill(template, table, {**_ANY_DATE, "{mon}": month}) for month in months]


_ANY_DATE = {
    field: _ANY_DIGIT * len(value) for field, value in placeholders(date(2000, 1, 1)).items()
}
_ANY_DIGITS = re.compile(rf"[0-9{_ANY_DIGIT}]")


def _alike(group: Sequence[tuple[int, str]]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of a group whose shapes are equal at all places without digits.

    Shapes with a date at the same places are compared by lookup; there are few such places.
    """
    by_places: dict[tuple[int, ...], list[tuple[int, str]]] = {}
    for index, shape in group:
        places = tuple(place for place, sign in enumerate(shape) if sign == _ANY_DIGIT)
        by_places.setdefault(places, []).append((index, shape))
    first: dict[int, int] = {}
    for (ours, later_ones), (theirs, earlier_ones) in product(by_places.items(), repeat=2):
        dates = {*ours, *theirs}
        known = {_without(dates, shape): index for index, shape in reversed(earlier_ones)}
        for later, shape in later_ones:
            earlier = known.get(_without(dates, shape), later)
            if earlier < later:
                first[later] = min(earlier, first.get(later, earlier))
    yield from first.items()


def _without(places: Container[int], shape: str) -> str:
    return "".join(sign for place, sign in enumerate(shape) if place not in places)


def _fill(template: str, table: str, values: Mapping[str, str]) -> str:
    dated = template
    for field, value in values.items():
        dated = dated.replace(field, value)
    n_tables = dated.count("{table}")
    fixed = dated.replace("{table}", "")
    room = max(0, MAX_NAME_BYTES - len(fixed.encode())) // max(1, n_tables)
    return dated.replace("{table}", cut(table, room))
