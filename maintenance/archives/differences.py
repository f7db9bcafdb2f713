"""How the columns of an archive differ from those of the table it is to return to."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from maintenance.archives.manifest import Column
from maintenance.errors import ArchiveError
from maintenance.names import QualifiedName, quote


class Difference(NamedTuple):
    """A column that keeps archived rows out of a table: a short code, and in words."""

    column: str
    reason: str
    text: str


def added_columns(
    archived: Sequence[Column], present: Sequence[Column], table: QualifiedName
) -> tuple[str, ...]:
    """Return the columns that the table has got since; restored rows get their defaults.

    Raises:
        ArchiveError: anything else differs; the message names every difference.
    """
    found = list(differences(archived, present))
    if found:
        told = "; ".join(each.text for each in found)
        raise ArchiveError(
            f"{table}: its columns differ from those archived: {told}",
            hint="restore it as a table of its own (--as), and copy what you need from there",
            reason="columns_differ",
        )
    known = {column.name for column in archived}
    return tuple(column.name for column in present if column.name not in known)


def differences(archived: Sequence[Column], present: Sequence[Column]) -> Iterator[Difference]:
    """Yield the differences that keep archived rows out of a table, a column each."""
    by_name = {column.name: column for column in present}
    for column in archived:
        now = by_name.pop(column.name, None)
        if now is None:
            text = f"{quote(column.name)} {column.type} is missing"
            yield Difference(column.name, "missing", text)
        elif now.type != column.type:
            text = f"{quote(column.name)} was {column.type} and is {now.type}"
            yield Difference(column.name, "other_type", text)
        elif (now.generated is None) != (column.generated is None):
            text = f"{quote(column.name)} was {_nature(column)} and is {_nature(now)}"
            yield Difference(column.name, "generated", text)
    for column in by_name.values():
        if column.not_null and column.default is None and column.generated is None:
            text = f"{quote(column.name)} {column.type} was added, not null and without a default"
            yield Difference(column.name, "no_default", text)


def _nature(column: Column) -> str:
    return "an ordinary column" if column.generated is None else "generated"
