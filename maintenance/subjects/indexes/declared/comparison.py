"""Compare declared indexes with existing ones. Pure.

A definition that the server wrote is compared with another one that it wrote, character by
character. A declaration is compared directly only if it is certain how the server writes it.
"""

import re
from collections.abc import Iterable

from maintenance.names import QualifiedName, quote
from maintenance.policy.declarations import DESCENDING, NULLS_FIRST, DeclaredKey, IndexDeclaration
from maintenance.subjects.indexes.declared.models import Texts
from maintenance.subjects.indexes.models import Index

_BOOLEANS = {"on": "true", "yes": "true", "1": "true", "off": "false", "no": "false", "0": "false"}
_OPTIONS = re.compile(
    r"(?P<before>.*?) WITH \((?P<options>[a-z_]+='[^']+'(?:, [a-z_]+='[^']+')*)\)"
)


def tail_of(definition: str, index: QualifiedName, table: str, *, is_unique: bool) -> str | None:
    """Return a definition as the server writes it, behind the word USING; None if it is another's.

    Args:
        definition: by pg_get_indexdef, under an empty search_path.
        index: the index; its schema is not used.
        table: its table, with the schema, as the server writes it.
        is_unique: whether it is unique.
    """
    head = f"CREATE {'UNIQUE ' if is_unique else ''}INDEX {quote(index.name)} ON "
    for only in ("", "ONLY "):
        start = f"{head}{only}{table} USING "
        if definition.startswith(start):
            return definition.removeprefix(start)
    return None


def certain_tail(declaration: IndexDeclaration) -> str | None:
    """Return how the server writes a declared index, if it has only plain columns; else None."""
    if declaration.predicate is not None or declaration.options or declaration.has_expression:
        return None
    if any(key.has_class for key in declaration.keys):
        return None
    keys = ", ".join(map(_plain_key, declaration.keys))
    included = ", ".join(map(quote, declaration.included))
    return (
        f"{quote(declaration.method)} ({keys})"
        + (f" INCLUDE ({included})" if included else "")
        + (" NULLS NOT DISTINCT" if declaration.nulls_not_distinct else "")
    )


def _plain_key(key: DeclaredKey) -> str:
    assert key.column is not None, "asked only of plain columns"
    order = {
        0: "",
        NULLS_FIRST: " NULLS FIRST",
        DESCENDING: " DESC NULLS LAST",
        DESCENDING | NULLS_FIRST: " DESC",
    }
    return f"{quote(key.column)}{order[key.direction]}"


def is_same_tail(one: str, other: str) -> bool:
    """Whether two definitions mean the same; the order of storage parameters does not count."""
    return one == other or _with_ordered_options(one) == _with_ordered_options(other)


def is_alike(tail: str | None, alike: Iterable[str]) -> bool:
    """Whether a definition is one of those in which the server writes a declaration."""
    return tail is not None and any(is_same_tail(tail, each) for each in alike)


def _with_ordered_options(tail: str) -> str:
    match = _OPTIONS.match(tail)
    if match is None:
        return tail
    pairs = [pair.replace("'", "").split("=", 1) for pair in match["options"].split(", ")]
    ordered = sorted((name, _BOOLEANS.get(value, value)) for name, value in pairs)
    shown = ", ".join(f"{name}={value}" for name, value in ordered)
    return f"{match['before']} WITH ({shown}){tail[match.end() :]}"


def definition_of(index: Index, texts: Texts, table: str) -> str | None:
    """Return the definition of an existing index behind the word USING; None if it is unknown."""
    text = texts.get(index.oid)
    if text is None:
        return None
    return tail_of(text.text, index.relation, table, is_unique=index.is_unique)
