"""Foreign keys and the indexes that serve them: without one, a delete reads the whole table."""

from collections import defaultdict
from collections.abc import Mapping

from maintenance.names import quote
from maintenance.subjects.indexes.models import Catalog, ForeignKey, Index

Served = Mapping[ForeignKey, list[Index]]


def servants(catalog: Catalog) -> Served:
    """Return for every foreign key the indexes that serve it; what we can't see is left out."""
    indexes: dict[int, list[Index]] = defaultdict(list)
    for index in catalog.indexes:
        indexes[index.table_oid].append(index)
    return {
        key: [index for index in indexes[key.table_oid] if serves(index, key)]
        for key in catalog.foreign_keys
        if (table := catalog.tables.get(key.table_oid)) and table.relation not in catalog.blind
    }


def serves(index: Index, key: ForeignKey) -> bool:
    """Tell whether an index finds the rows that refer to one row of the other table.

    One `WHERE column IS NOT NULL` does too: a null refers to nothing.
    """
    wanted = set(key.columns)
    leading = {part.of for part in index.keys[: len(wanted)]}
    if index.method not in {"btree", "hash"} or not index.is_valid or leading != wanted:
        return False
    return index.predicate in {None, *(f"({quote(name)} IS NOT NULL)" for name in key.names)}


def unindexed(served: Served) -> list[ForeignKey]:
    """Return the foreign keys that no index serves."""
    return [key for key, indexes in served.items() if not indexes]


def sole_servants(served: Served) -> Mapping[int, list[ForeignKey]]:
    """Return the foreign keys that only one index serves, by its oid."""
    keys: dict[int, list[ForeignKey]] = defaultdict(list)
    for key, indexes in served.items():
        if len(indexes) == 1:
            keys[indexes[0].oid].append(key)
    return keys
