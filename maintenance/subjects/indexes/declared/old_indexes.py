"""The indexes that declarations replace or drop, and what stands against it. Pure."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from maintenance.names import QualifiedName, near
from maintenance.policy.declarations import DropDeclaration
from maintenance.subjects.indexes.ddl import restore
from maintenance.subjects.indexes.declared.models import (
    DeclaredDrop,
    DeclaredIndex,
    OldIndex,
    OldPart,
    State,
    Texts,
)
from maintenance.subjects.indexes.declared.seen import Seen
from maintenance.subjects.indexes.models import Index, Table

_LIKE = 0.75
"""How similar names are of which one may be meant by the other; names of a table's indexes often
have the first half in common."""

_TYPO = 0.9
"""How similar they are if one is the other, mistyped."""


def with_replaced(
    found: DeclaredIndex, seen: Seen, texts: Texts, known: Collection[QualifiedName]
) -> DeclaredIndex:
    """Return a declared index with the indexes that it replaces and that exist.

    Args:
        found: the declared index.
        seen: what was read.
        texts: definitions of existing indexes.
        known: indexes that are declared, or that a run dropped.
    """
    if found.table is None:
        return found
    own = found.declaration.relation
    names = [
        name
        for name in found.declaration.annotations.replaces
        if name != own or found.state is State.DIFFERENT
    ]
    indexes = [index for name in names if (index := seen.indexes.get(name)) is not None]
    old = tuple(_old(index, found, seen, texts) for index in indexes)
    return replace(found, replaced=old, unknown=_unknown(found, found.table, seen, known))


def _unknown(
    found: DeclaredIndex, table: Table, seen: Seen, known: Collection[QualifiedName]
) -> dict[str, list[str]]:
    """Return the indexes that a declared one replaces and that may be mistyped.

    Once it is built, one that does not exist has probably been dropped since.
    """
    own = found.declaration.relation
    is_there = found.state is State.SAME
    others = [
        str(i.relation) for i in seen.indexes_of.get(table.oid, ()) if i.relation not in known
    ]
    lost = {
        str(name): near(str(name), others, least=_TYPO if is_there else _LIKE)
        for name in found.declaration.annotations.replaces
        if name != own and name not in known and name not in seen.indexes and name not in seen.taken
    }
    return {name: likely for name, likely in lost.items() if likely or not is_there}


def drops_of(
    declared: Iterable[DropDeclaration], seen: Seen, texts: Texts, known: Collection[QualifiedName]
) -> tuple[DeclaredDrop, ...]:
    """Return the declared drops, with the indexes that exist; `known` as of `with_replaced`."""
    return tuple(_drop(each, seen, texts, known) for each in declared)


def _drop(
    declaration: DropDeclaration, seen: Seen, texts: Texts, known: Collection[QualifiedName]
) -> DeclaredDrop:
    name = declaration.relation
    index = seen.indexes.get(name)
    if index is not None:
        return DeclaredDrop(declaration, _old(index, None, seen, texts))
    if name in seen.taken:
        return DeclaredDrop(declaration, taken_by="a relation that is no index")
    if name in known:
        return DeclaredDrop(declaration)
    others = [
        str(each) for each in seen.indexes if each not in known and each.schema == name.schema
    ]
    return DeclaredDrop(declaration, near=tuple(near(str(name), others, least=_TYPO)))


def _old(index: Index, by: DeclaredIndex | None, seen: Seen, texts: Texts) -> OldIndex:
    table = seen.catalog.tables[index.table_oid]
    below = list(seen.parts_of(index))
    parts = tuple(
        OldPart(part, leaf, texts[part.oid].text, tuple(restore(part, leaf, texts[part.oid])))
        for part, leaf in below
        if part.oid in texts
    )
    text = texts.get(index.oid)
    old = OldIndex(index, table, parts=parts)
    if text is not None:
        old = replace(old, definition=text.text, restore=tuple(restore(index, table, text)))
    obstacle, message = _obstacle(index, table, by, seen)
    if not obstacle and (not old.restore or len(parts) < len(below)):
        return replace(old, obstacle="locked", message="its definition can't be read now")
    return replace(old, obstacle=obstacle, message=message)


def _obstacle(index: Index, table: Table, by: DeclaredIndex | None, seen: Seen) -> tuple[str, str]:
    """Return why an index must not be dropped, as a code and in words; empty if it may be."""
    return next(_obstacles(index, table, by, seen), ("", ""))


def _obstacles(
    index: Index, table: Table, by: DeclaredIndex | None, seen: Seen
) -> Iterator[tuple[str, str]]:
    facts = seen.facts.get(table.oid)
    if by is not None and by.table is not None and by.table.oid != table.oid:
        yield "other_table", f"it is an index of {table.relation}, not of {by.table.relation}"
    if index.constraint is not None:
        yield "constraint", f"the constraint {index.constraint} of {table.relation} requires it"
    yield from _obstacles_of_parts(index, seen)
    if index.parent is not None:
        yield "partition", f"it is the part of a partitioned index, which {table.relation} needs"
    if index.is_referenced:
        yield "referenced", "a foreign key requires it"
    if index.is_replica_identity:
        yield "replica_identity", f"it is the replica identity of {table.relation}"
    if index.is_building:
        yield "building", "another session builds it, or vacuums its table"
    if index.is_unique and not _stays_unique(index, by, seen):
        yield "unique", "it is unique, and no other index would refuse the same duplicates"
    if facts is not None and not facts.is_ours:
        yield "not_ours", f"our role has not the rights of {facts.owner}"


def _obstacles_of_parts(index: Index, seen: Seen) -> Iterator[tuple[str, str]]:
    for part, table in seen.parts_of(index):
        if part.constraint is not None:
            yield "constraint", f"the constraint {part.constraint} of {table.relation} requires it"
        if part.is_replica_identity:
            yield "replica_identity", f"its part is the replica identity of {table.relation}"


def _stays_unique(index: Index, by: DeclaredIndex | None, seen: Seen) -> bool:
    """Whether another unique index has the same keys, or fewer of them, over the same rows."""
    others = [
        other
        for other in seen.indexes_of.get(index.table_oid, ())
        if other is not index and other.is_valid
    ]
    if by is not None:
        others += by.built
    return any(_is_as_strict(other, index) for other in others)


def _is_as_strict(other: Index, index: Index) -> bool:
    keys = {(key.of, key.collation) for key in index.keys}
    return (
        other.is_unique
        and other.is_immediate
        and other.method == index.method
        and {(key.of, key.collation) for key in other.keys} <= keys
        and other.predicate in (None, index.predicate)
        and (other.nulls_not_distinct or not index.nulls_not_distinct)
    )
