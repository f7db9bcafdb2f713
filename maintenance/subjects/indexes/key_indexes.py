"""DDL of the indexes that foreign keys lack, with names that are free. Writers are not blocked.

A partitioned table gets its index in steps, because it can't be built concurrently as a whole: an
invalid index of the parent, one of each leaf, built concurrently, and their attachment; with the
last one the parent's becomes valid.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, count, islice
from typing import NamedTuple

from maintenance.names import MAX_NAME_BYTES, QualifiedName, cut, quote
from maintenance.subjects.indexes.foreign_keys import UnservedKey
from maintenance.subjects.indexes.models import Catalog, ForeignKey, Index, Table

_TRIES = 5
"""Names that are tried before those with a hash, which are practically never taken."""


class KeyIndex(NamedTuple):
    """The index to create for a foreign key.

    Attributes:
        relation: its name.
        columns: of the table, in their order.
        statements: in their order; empty if a key before it creates the same index.
        locks_writers: whether one of them takes a SHARE lock on a partitioned table.
    """

    relation: QualifiedName
    columns: tuple[str, ...]
    statements: tuple[str, ...]
    locks_writers: bool = False


def key_indexes(
    keys: Sequence[UnservedKey], catalog: Catalog, taken: Collection[QualifiedName]
) -> list[KeyIndex]:
    """Return the index to create for each of the keys; keys of the same columns share one.

    Args:
        keys: the foreign keys, the first ones first.
        catalog: all tables and indexes.
        taken: those of `candidates` that are taken.
    """
    builder = _Builder(catalog, set(taken))
    return [builder.index_for(each.key, columns) for each, columns in _shared(keys)]


def candidates(keys: Sequence[UnservedKey], catalog: Catalog) -> set[str]:
    """Return the names of indexes that `key_indexes` may choose from, without their schemas."""
    builder = _Builder(catalog, set())
    return {
        name
        for each, columns in _shared(keys)
        for table in builder.tables(each.key.table_oid)
        for name in islice(index_names(table.relation, columns), _TRIES + 1)
    }


def _shared(keys: Sequence[UnservedKey]) -> Iterator[tuple[UnservedKey, tuple[str, ...]]]:
    """Yield each key with the columns of its index, which may begin an index for a longer key."""
    groups: dict[tuple[int, bool], list[ForeignKey]] = defaultdict(list)
    for each in keys:
        groups[each.key.table_oid, each.key.is_period].append(each.key)
    orders = {group: _orders(found) for group, found in groups.items()}
    for each in keys:
        wanted = set(each.key.names)
        known = orders[each.key.table_oid, each.key.is_period]
        yield each, max((o for o in known if set(o[: len(wanted)]) == wanted), key=len)


def _orders(keys: Iterable[ForeignKey]) -> list[tuple[str, ...]]:
    """Return the columns for each key of a table, those of a shorter key first."""
    orders: list[tuple[str, ...]] = []
    for key in sorted(keys, key=lambda key: len(key.names)):
        shorter = (order for order in orders if set(order) < set(key.names))
        first = max(shorter, key=len, default=())
        orders.append((*first, *(name for name in key.names if name not in first)))
    return orders


class _Place(NamedTuple):
    """The table, method and columns of an index."""

    table_oid: int
    method: str
    columns: tuple[str, ...]


class _Builder:
    """Chooses names and writes statements; a name chosen once is taken."""

    def __init__(self, catalog: Catalog, taken: set[QualifiedName]) -> None:
        self._catalog = catalog
        self._taken = taken
        self._made: dict[_Place, KeyIndex] = {}
        self._columns = {
            (key.table_oid, name): (number, collation)
            for key in catalog.foreign_keys
            for name, number, collation in zip(key.names, key.columns, key.collations, strict=False)
        }

    def tables(self, oid: int) -> Iterator[Table]:
        """Yield a table and all its partitions, each behind its parent."""
        yield self._catalog.tables[oid]
        for part in self._catalog.parts_of.get(oid, ()):
            yield from self.tables(part.oid)

    def index_for(self, key: ForeignKey, columns: tuple[str, ...]) -> KeyIndex:
        """Return the index for a key, without statements if it was returned before."""
        place = _Place(key.table_oid, "gist" if key.is_period else "btree", columns)
        if place in self._made:
            return self._made[place]._replace(statements=(), locks_writers=False)
        table = self._catalog.tables[key.table_oid]
        found = self._found(table, place) if table.kind == "p" else None
        name = found.relation if found is not None else self._name(table, columns)
        statements = tuple(self._steps(table, place, name, found))
        is_new = table.kind == "p" and found is None
        self._made[place] = KeyIndex(name, columns, statements, locks_writers=is_new)
        return self._made[place]

    def _steps(
        self, table: Table, place: _Place, name: QualifiedName, found: Index | None
    ) -> Iterator[str]:
        """Yield what makes an index of a table complete, if it is not."""
        if found is None:
            yield _create(table, place, name)
        if table.kind != "p" or (found is not None and found.is_valid):
            return
        for part in self._catalog.parts_of.get(table.oid, ()):
            has = self._found(part, place, found)
            inner = has.relation if has is not None else self._name(part, place.columns)
            yield from self._steps(part, place, inner, has)
            if has is None or has.parent is None:
                yield f"ALTER INDEX {name} ATTACH PARTITION {inner}"

    def _found(self, table: Table, place: _Place, parent: Index | None = None) -> Index | None:
        """Return the index of a table that is, or can be, attached to one of its parent."""
        wanted = [self._columns.get((table.oid, name)) for name in place.columns]
        allowed = {None, parent.oid} if parent is not None else {None}
        for index in self._catalog.indexes_of.get(table.oid, ()):
            if index.parent in allowed and _is_like(index, table, place.method, wanted):
                return index
        return None

    def _name(self, table: Table, columns: Sequence[str]) -> QualifiedName:
        names = (
            QualifiedName(table.relation.schema, name)
            for name in index_names(table.relation, columns)
        )
        name = next(name for name in names if name not in self._taken)
        self._taken.add(name)
        return name


def _is_like(
    index: Index, table: Table, method: str, wanted: Sequence[tuple[int, int] | None]
) -> bool:
    is_partitioned = table.kind == "p"
    return (
        index.method == method
        and index.is_partitioned == is_partitioned
        and (index.is_valid or is_partitioned)
        and not (index.is_unique or index.constraint or index.predicate or index.included)
        and [(part.of, part.collation) for part in index.keys] == wanted
        and not any(part.direction for part in index.keys)
    )


def _create(table: Table, place: _Place, name: QualifiedName) -> str:
    columns = ", ".join(map(quote, place.columns))
    using = "" if place.method == "btree" else f" USING {place.method}"
    how, where = (" CONCURRENTLY", "") if table.kind != "p" else ("", " ONLY")
    return f"CREATE INDEX{how} {quote(name.name)} ON{where} {table.relation}{using} ({columns})"


def index_names(table: QualifiedName, columns: Sequence[str]) -> Iterator[str]:
    """Yield names for an index in the style of the server, without end."""
    stem = "_".join((table.name, *columns))
    digest = hashlib.sha256("\0".join((table.name, *columns)).encode()).hexdigest()[:8]
    ends = (f"_idx{number or ''}" for number in range(_TRIES))
    for end in chain(ends, (f"_{digest}_idx{number or ''}" for number in count())):
        yield cut(stem, MAX_NAME_BYTES - len(end)) + end
