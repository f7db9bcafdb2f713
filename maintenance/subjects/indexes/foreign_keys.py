"""Match foreign keys with their indexes: without one, a DELETE scans the whole table."""

from collections import defaultdict
from collections.abc import Mapping

from maintenance.names import quote
from maintenance.subjects.indexes.models import Catalog, ForeignKey, Index

Served = Mapping[ForeignKey, list[Index]]


def servants(catalog: Catalog) -> Served:
    """Return the indexes that serve each foreign key; objects not visible are left out."""
    indexes: dict[int, list[Index]] = defaultdict(list)
    for index in catalog.indexes:
        indexes[index.table_oid].append(index)
    return {
        key: [index for index in indexes[key.table_oid] if serves(index, key)]
        for key in catalog.foreign_keys
        if (table := catalog.tables.get(key.table_oid)) and table.relation not in catalog.blind
    }


def serves(index: Index, key: ForeignKey) -> bool:
    """Whether an index finds the rows that reference one row of the other table.

    A partial index `WHERE column IS NOT NULL` does too: a null references nothing.
    """
    wanted = set(key.columns)
    leading = {part.of for part in index.keys[: len(wanted)]}
    if index.method not in {"btree", "hash"} or not index.is_valid or leading != wanted:
        return False
    return index.predicate in {None, *(f"({quote(name)} IS NOT NULL)" for name in key.names)}


def unindexed(served: Served) -> list[ForeignKey]:
    """Return the foreign keys without an index."""
    return [key for key, indexes in served.items() if not indexes]


def sole_servants(served: Served) -> Mapping[int, list[ForeignKey]]:
    """Return the foreign keys that only one index serves, by its OID."""
    keys: dict[int, list[ForeignKey]] = defaultdict(list)
    for key, indexes in served.items():
        if len(indexes) == 1:
            keys[indexes[0].oid].append(key)
    return keys
