"""The indexes of partitions that make up a declared index of a partitioned table. Pure."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count

from maintenance.names import MAX_NAME_BYTES, QualifiedName, cut
from maintenance.subjects.indexes.ddl import restore
from maintenance.subjects.indexes.declared.comparison import definition_of, is_alike
from maintenance.subjects.indexes.declared.models import (
    DeclaredIndex,
    Part,
    PartitionKey,
    Refusal,
    State,
    Texts,
)
from maintenance.subjects.indexes.declared.seen import Seen
from maintenance.subjects.indexes.models import Index, Table

_HASH_CHARACTERS = 8
_FEATURE_NOT_SUPPORTED = "0A000"


def part_name(table: Table, index: str, number: int = 0) -> QualifiedName:
    """Return the name of a partition's index: that of the partition and that of the index.

    Too long a name is cut, and ends with a hash of the whole.

    Args:
        table: the partition.
        index: the declared index.
        number: of the try; names of earlier ones are taken.
    """
    name = f"{table.relation.name}_{index}{number or ''}"
    if len(name.encode()) > MAX_NAME_BYTES:
        digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_CHARACTERS]
        name = f"{cut(name, MAX_NAME_BYTES - 1 - _HASH_CHARACTERS)}_{digest}"
    return QualifiedName(table.relation.schema, name)


def refuse_lacking_key(
    found: DeclaredIndex, seen: Seen, keys: Mapping[int, PartitionKey]
) -> DeclaredIndex:
    """Return a declared index; refused if it is unique and lacks the key of a partition.

    The server demands this at every level that is partitioned itself, and would say so only when
    the partitions above are built already.

    Args:
        found: an index of a partitioned table.
        seen: what was read.
        keys: by the OID of the partition.
    """
    assert found.table is not None, "its table exists"
    columns = {key.column for key in found.declaration.keys}
    for table in seen.below(found.table):
        key = keys.get(table.oid)
        if key is None:
            continue
        lacking = [name for name in key.columns if name not in columns]
        if lacking or key.has_expression:
            return replace(found, state=State.REFUSED, refusal=_refusal(table, lacking))
    return found


def _refusal(table: Table, lacking: Sequence[str]) -> Refusal:
    name = table.relation
    if lacking:
        text = (
            f"a unique index of a partitioned table must have all columns of the partition key, at"
            f" every level: the partition {name} is partitioned itself by {', '.join(lacking)}"
        )
        hint = "add the column to the index, or declare a unique index for each partition"
    else:
        text = (
            f"the partition {name} is partitioned itself by an expression, and no unique index of"
            " it is possible"
        )
        hint = "declare a unique index for each of its partitions"
    facts = {"partition": str(name), "lacks": list(lacking)}
    return Refusal(_FEATURE_NOT_SUPPORTED, text, hint, facts=facts)


def to_compare(found: DeclaredIndex, seen: Seen) -> Iterator[int]:
    """Yield the OIDs of the indexes of partitions that could be parts of a declared index."""
    assert found.table is not None, "its table exists"
    for table in seen.below(found.table):
        yield from (each.oid for each in seen.indexes_of.get(table.oid, ()) if _may_be(each, found))


def parts_of(found: DeclaredIndex, seen: Seen, texts: Texts) -> tuple[Part, ...]:
    """Return the parts of a declared index, those of lower levels first.

    Args:
        found: on a partitioned table, with its definition.
        seen: what was read.
        texts: definitions of the indexes in `to_compare`.
    """
    assert found.table is not None, "its table exists"
    root = found.existing
    return tuple(
        _parts(
            found, found.table, found.declaration.relation, root.oid if root else None, seen, texts
        )
    )


def _parts(
    found: DeclaredIndex,
    table: Table,
    index: QualifiedName,
    oid: int | None,
    seen: Seen,
    texts: Texts,
) -> Iterator[Part]:
    """Yield the parts below a partitioned table, whose index has this name, and this OID if any."""
    for child in seen.partitions_of.get(table.oid, ()):
        part, its_oid = _part(found, child, index, oid, seen, texts)
        if not part.is_leaf:
            yield from _parts(found, child, part.index, its_oid, seen, texts)
        yield part


def _part(
    found: DeclaredIndex,
    table: Table,
    parent_index: QualifiedName,
    parent_oid: int | None,
    seen: Seen,
    texts: Texts,
) -> tuple[Part, int | None]:
    alike = [
        each
        for each in seen.indexes_of.get(table.oid, ())
        if _may_be(each, found) and _is_same(each, found, table, texts)
    ]
    attached = [each for each in alike if parent_oid is not None and each.parent == parent_oid]
    free = [
        each for each in alike if each.parent is None and (each.is_valid or each.is_partitioned)
    ]
    name = _free_name(table, found.declaration.name, seen)
    chosen = next(iter(attached or sorted(free, key=lambda e: (e.relation != name, e.oid))), None)
    if chosen is not None and (chosen.is_valid or chosen.is_partitioned):
        part = Part(
            table,
            parent_index,
            chosen.relation,
            is_built=chosen.is_valid,
            is_there=True,
            is_attached=bool(attached),
            restore=() if attached else tuple(restore(chosen, table, texts[chosen.oid])),
        )
        return part, chosen.oid
    namesake = seen.indexes.get(name)
    leftover = namesake if namesake is not None and _is_leftover(namesake, table) else None
    return Part(table, parent_index, name, leftover=leftover), None


def _free_name(table: Table, index: str, seen: Seen) -> QualifiedName:
    """Return the first name that no other index has, except an unusable one of this partition."""
    for number in count():
        name = part_name(table, index, number)
        namesake = seen.indexes.get(name)
        if namesake is None or _is_leftover(namesake, table):
            return name
    raise AssertionError("counting never ends")


def _is_leftover(index: Index, table: Table) -> bool:
    return (
        index.table_oid == table.oid
        and not index.is_valid
        and not index.is_building
        and index.parent is None
    )


def _may_be(index: Index, found: DeclaredIndex) -> bool:
    """Whether an index of a partition could have the declared definition."""
    declared = found.declaration
    return (
        index.method == declared.method
        and index.is_unique == declared.is_unique
        and len(index.keys) == len(declared.keys)
        and (index.predicate is None) == (found.predicate is None)
        and index.constraint is None
        and not index.is_exclusion
    )


def _is_same(index: Index, found: DeclaredIndex, table: Table, texts: Texts) -> bool:
    return is_alike(definition_of(index, texts, str(table.relation)), found.alike)
