"""Finds statements of the application that a conversion would make fail. Pure.

`ON CONFLICT (id)` needs a unique index on exactly these columns, and the partitioned table has none
without the partition key.
"""

import re
from collections.abc import Collection, Iterable, Iterator

from maintenance.names import QualifiedName

_SPACE = re.compile(r"\s+")
_SHOWN = 120


def failing_upserts(
    texts: Iterable[str], table: QualifiedName, unique: Collection[frozenset[str]]
) -> Iterator[str]:
    """Yield the beginnings of statements whose conflict target no unique index will match.

    Args:
        texts: statements, or bodies of functions.
        table: the table to be converted.
        unique: the sets of columns of its unique indexes after the conversion.
    """
    schema, name = re.escape(table.schema.lower()), re.escape(table.name.lower())
    insert = re.compile(
        rf"insert into (?:{schema}\s?\.\s?)?{name}(?![\w.])"
        r"(?:(?!insert into).)*?on conflict \(([^()]*)\)"
    )
    folded = {frozenset(column.lower() for column in columns) for columns in unique}
    for text in texts:
        plain = _SPACE.sub(" ", text.replace('"', "")).lower()
        for match in insert.finditer(plain):
            target = frozenset(column.strip().split(" ")[0] for column in match[1].split(","))
            if target not in folded:
                yield _SPACE.sub(" ", text).strip()[:_SHOWN]
                break
