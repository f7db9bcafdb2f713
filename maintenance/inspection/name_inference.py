"""Infers the name template of partitions from the names that they have."""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import islice, pairwise, product
from typing import NamedTuple

from maintenance.periods import Period
from maintenance.policy.name_templates import (
    default_template,
    faults,
    placeholders,
    render,
)

NEWEST = 6
"""How many of the newest partitions must all have names of the template."""

_MOST_TRIED = 5000


class Name(NamedTuple):
    """The name of a partition, and its period."""

    name: str
    period: Period


class Template(NamedTuple):
    """An inferred template.

    Attributes:
        template: such as `{table}_{yyyy}_{mm}`.
        n_matching: how many partitions have a name of it.
        other: the name of the newest partition that has another name, if any.
    """

    template: str
    n_matching: int
    other: str | None


def infer_template(table: str, names: Sequence[Name]) -> Template | None:
    """Return the template that the newest partitions and most of the others are named by.

    Args:
        table: the table's name.
        names: of its partitions, oldest first; at least one.

    Returns:
        None if no template gives the names of the newest ones.
    """
    newest = names[-1]
    interval = newest.period.interval
    first, *others = islice(reversed(names), NEWEST)
    fitting = (
        template
        for template in islice(_candidates(table, first), _MOST_TRIED)
        if not faults(template, interval)
        and all(_names(template, table, name) for name in (first, *others))
    )
    counted = [(template, _matching(template, table, names)) for template in fitting]
    if not counted:
        return None
    most = max(n for _, n in counted)
    best = [template for template, n in counted if n == most]
    usual = default_template(interval)
    template = usual if usual in best else max(best, key=_preference)
    differing = (n.name for n in reversed(names) if not _names(template, table, n))
    return Template(template, most, next(differing, None))


def _names(template: str, table: str, name: Name) -> bool:
    return render(template, table, name.period.start) == name.name


def _matching(template: str, table: str, names: Sequence[Name]) -> int:
    return sum(_names(template, table, name) for name in names)


def _preference(template: str) -> tuple[bool, int, bool]:
    """Prefer templates with the table's name and with more of the date, from year to day."""
    places = [template.find(each) for each in ("{yyyy}", "{mm}", "{dd}") if each in template]
    return "{table}" in template, len(places), places == sorted(places)


def _candidates(table: str, name: Name) -> Iterator[str]:
    """Yield the templates that give one name, by replacing parts of it with placeholders."""
    for text in _with_table(table, name.name):
        yield from _with_dates(text, name.period.start)


def _with_table(table: str, name: str) -> Iterator[str]:
    """Yield a name with the table's name as placeholder, wherever it is, and as it is."""
    for place in _places(name, table):
        yield f"{name[:place]}{{table}}{name[place + len(table) :]}"
    longest = next((n for n in range(len(table) - 1, 0, -1) if name.startswith(table[:n])), 0)
    if longest and table not in name:  # cut to fit
        yield f"{{table}}{name[longest:]}"
    yield name


def _with_dates(text: str, start: date) -> Iterator[str]:
    """Yield a text with one occurrence of each part of a date replaced, in all ways."""
    fields = placeholders(start)
    found = [[None, *_places(text, value)] for value in fields.values()]
    for places in product(*found):
        taken = sorted(
            (place, place + len(value), field)
            for place, (field, value) in zip(places, fields.items(), strict=True)
            if place is not None
        )
        if all(one[1] <= other[0] for one, other in pairwise(taken)):
            yield _replaced(text, taken)


def _replaced(text: str, taken: Sequence[tuple[int, int, str]]) -> str:
    parts: list[str] = []
    position = 0
    for begin, end, field in taken:
        parts += (text[position:begin], field)
        position = end
    return "".join((*parts, text[position:]))


def _places(text: str, value: str) -> list[int]:
    return [n for n in range(len(text)) if text.startswith(value, n)]
