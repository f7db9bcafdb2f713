"""How the columns of an archive differ from those of the table it is to return to."""

from collections.abc import Iterator, Sequence

from maintenance.archives.manifest import Column
from maintenance.errors import ArchiveError
from maintenance.names import QualifiedName, quote


def added_columns(
    archived: Sequence[Column], present: Sequence[Column], table: QualifiedName
) -> tuple[str, ...]:
    """Return the columns that the table has got since; restored rows get their defaults.

    Raises:
        ArchiveError: anything else differs; the message names every difference.
    """
    problems = list(_problems(archived, present))
    if problems:
        raise ArchiveError(
            f"{table}: its columns differ from those archived: {'; '.join(problems)}",
            hint="restore it as a table of its own (--as), and copy what you need from there",
            reason="columns_differ",
        )
    known = {column.name for column in archived}
    return tuple(column.name for column in present if column.name not in known)


def _problems(archived: Sequence[Column], present: Sequence[Column]) -> Iterator[str]:
    by_name = {column.name: column for column in present}
    for column in archived:
        now = by_name.pop(column.name, None)
        if now is None:
            yield f"{quote(column.name)} {column.type} is missing"
        elif now.type != column.type:
            yield f"{quote(column.name)} was {column.type} and is {now.type}"
        elif (now.generated is None) != (column.generated is None):
            yield f"{quote(column.name)} was {_nature(column)} and is {_nature(now)}"
    for column in by_name.values():
        if column.not_null and column.default is None and column.generated is None:
            yield f"{quote(column.name)} {column.type} was added, not null and without a default"


def _nature(column: Column) -> str:
    return "an ordinary column" if column.generated is None else "generated"
