"""The repair of an invalid partitioned index: a pure function of its attached indexes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from maintenance.subjects.indexes.models import Catalog, Index
from maintenance.subjects.indexes.trees import Tree, parents_of_locked

_Parts = Mapping[int, Sequence[Index]]


class Repair(NamedTuple):
    """What is wrong with a partitioned index, and the statements that repair it, if any can.

    Attributes:
        code: `parts_lacking`, `parts_invalid`, `parts_complete`, or `parts_unknown` while a
            partition is locked.
    """

    code: str
    statements: tuple[str, ...] = ()


def repair(tree: Tree, catalog: Catalog) -> Repair:
    """Return the repair of an invalid partitioned index.

    The server marks it valid when the last partition gets a valid index attached. Parts that become
    valid later leave it invalid, until one of them is attached again; so does a REINDEX of a part.
    """
    if tree.root.table_oid in parents_of_locked(catalog):
        return Repair("parts_unknown")
    parts: dict[int, list[Index]] = defaultdict(list)
    for index in tree.members:
        if index.parent is not None:
            parts[index.parent].append(index)
    broken = list(_broken(tree.root, parts))
    if any(index.n_parts is None or len(parts[index.oid]) < index.n_parts for index in broken):
        return Repair("parts_lacking")
    leaves = [part for index in broken for part in parts[index.oid] if _is_invalid_leaf(part)]
    rebuilt = [f"REINDEX INDEX CONCURRENTLY {part.relation}" for part in leaves]
    attached = [_attach(index, parts) for index in broken if _is_lowest(index, parts)]
    if any(part.is_building for part in leaves) or not attached:
        return Repair("parts_invalid")
    return Repair("parts_invalid" if leaves else "parts_complete", (*rebuilt, *attached))


def _broken(index: Index, parts: _Parts) -> Iterator[Index]:
    """Yield an invalid partitioned index and those below it."""
    if index.is_partitioned and not index.is_valid:
        yield index
        for part in parts.get(index.oid, ()):
            yield from _broken(part, parts)


def _is_invalid_leaf(part: Index) -> bool:
    return not part.is_partitioned and not part.is_valid


def _is_lowest(index: Index, parts: _Parts) -> bool:
    """Whether no partitioned index below is invalid; a valid one makes those above valid too."""
    return not any(part.is_partitioned and not part.is_valid for part in parts.get(index.oid, ()))


def _attach(index: Index, parts: _Parts) -> str:
    part = min(parts[index.oid], key=lambda each: each.relation)
    return f"ALTER INDEX {index.relation} ATTACH PARTITION {part.relation}"
