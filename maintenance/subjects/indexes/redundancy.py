"""Find redundant indexes, by comparing every property that affects what an index can do."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from maintenance.subjects.indexes.models import Catalog, Definition, Index, Key


def replacements(catalog: Catalog) -> dict[int, list[Index]]:
    """Return the indexes that could replace each index, by its OID; only those with any."""
    found: dict[int, list[Index]] = {}
    for indexes in catalog.indexes_of.values():
        for alike in _alike(indexes) if len(indexes) > 1 else ():
            for b in alike:
                if others := [a for a in alike if could_replace(a, b)]:
                    found[b.oid] = others
    return found


def with_equals(catalog: Catalog, replaceable: Mapping[int, Sequence[Index]]) -> list[int]:
    """Return the OIDs of the indexes that could be dropped for an equal one, sorted.

    Args:
        catalog: all indexes.
        replaceable: the `replacements` of them.
    """
    found = (index for index in catalog.indexes if index.oid in replaceable)
    return sorted(b.oid for b in found if any(is_same(a, b) for a in replaceable[b.oid]))


def could_replace(a: Index, b: Index) -> bool:
    """Whether A can do everything that B of the same table does."""
    return (
        a.oid != b.oid
        and a.is_valid
        and b.is_valid
        and b.parent is None
        and not b.is_pinned
        and _finds_as_much(a, b)
        and _promises_as_much(a, b)
    )


def rank(index: Index) -> tuple[bool, bool, int, int]:
    """Return the sort key of indexes that could replace each other; the greatest is kept."""
    return index.constraint is not None, index.is_unique, len(index.included), -index.oid


def _alike(indexes: Iterable[Index]) -> Iterator[list[Index]]:
    """Yield the indexes of one table that could replace each other: their first keys are equal."""
    groups: dict[tuple[Any, ...], list[Index]] = defaultdict(list)
    for index in indexes:
        groups[index.method, index.predicate, index.parameters, index.keys[0]].append(index)
    return (group for group in groups.values() if len(group) > 1)


def _kind(index: Index) -> tuple[str, str | None, str | None]:
    return index.method, index.predicate, index.parameters


def _finds_as_much(a: Index, b: Index) -> bool:
    n = len(b.keys)
    return (
        _kind(a) == _kind(b)
        and a.keys[:n] == b.keys
        and (n == len(a.keys) or a.method == "btree")
        and (not b.included or b.included <= a.holds)
    )


def _promises_as_much(a: Index, b: Index) -> bool:
    """Whether A enforces the same uniqueness as B, if B is unique."""
    if not b.is_unique and b.constraint is None:
        return True
    return (
        len(a.keys) == len(b.keys)
        and a.is_unique
        and (a.constraint is not None or b.constraint is None)
        and (a.nulls_not_distinct, a.is_immediate) == (b.nulls_not_distinct, b.is_immediate)
    )


def is_same(a: Index, b: Index) -> bool:
    """Whether both have the same columns in the same order."""
    return _columns(a) == _columns(b)


def _columns(index: Index) -> tuple[tuple[Key, ...], frozenset[Definition]]:
    return index.keys, index.included
