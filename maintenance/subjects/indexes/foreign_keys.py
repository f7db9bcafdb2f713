"""Match foreign keys with the indexes that serve them: without one, a DELETE scans the whole table.

A partitioned table is checked by its leaves, because the rows are there: each leaf needs an index.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from maintenance.names import quote
from maintenance.subjects.indexes.models import Catalog, Column, ForeignKey, Index, Key, Table

Served = Mapping[ForeignKey, list[Index]]
"""The indexes that serve each foreign key; where none does, those that a skip scan can use.

A key of a partitioned table has an entry for each leaf, by the key of that leaf. In place of an
attached index there is the root of its partitioned index, which is what can be dropped.
"""

MAX_ROWS_READ = 1_000
"""Rows that one lookup may read beyond the ones that it wants.

An index on a part of a foreign key leads to all rows of one value of that part. A thousand rows are
at worst a thousand blocks: some milliseconds in memory, and well below a second on a disk.
"""

COMMON_SHARE = 0.01
"""A value with a larger share of the rows is counted by its own rows, not by the average.

The frequencies of rarer values are not used: in a sample, a value seen twice looks common.
"""

MAX_SEARCHES = 100
"""Searches of one skip scan, each of three blocks or so: a hundred cost less than a millisecond."""


@dataclass(frozen=True, slots=True)
class UnservedKey:
    """A foreign key without an index that serves it in all its tables.

    Attributes:
        key: of the table, or of the root of its partitions.
        parts: the key in each table that lacks an index: the table itself, or leaves.
        rows: of the referencing table.
        pages: 8 kB blocks of the referencing table.
        rows_read: rows that one DELETE of a referenced row reads; None if unknown.
        searches: searches of a skip scan that serves it instead; None if none does.
        deletes: rows deleted from the referenced table since the counters began.
        updates: rows updated there; how many of these changed the key is unknown.
    """

    key: ForeignKey
    parts: tuple[ForeignKey, ...]
    rows: float
    pages: int
    rows_read: float | None
    searches: float | None
    deletes: int
    updates: int

    @property
    def pages_read(self) -> float | None:
        """8 kB blocks that one DELETE reads in the referencing table; None if unknown."""
        if self.rows_read is None:
            return None
        return self.pages * min(1.0, self.rows_read / max(1.0, self.rows))


def servants(catalog: Catalog) -> Served:
    """Return the indexes that serve each foreign key; objects not visible are left out."""
    known = _Tables(catalog)
    roots = _roots(catalog.indexes)
    served: dict[ForeignKey, list[Index]] = {}
    for keys in known.groups.values():
        stored = known.stored(keys)
        for key in stored:
            table = catalog.tables.get(key.table_oid)
            if table is None or table.relation in catalog.blind:
                continue
            found = known.servants(key, table, MAX_ROWS_READ / len(stored))
            served[key] = [roots.get(index.oid, index) for index in found or known.skips(key)]
    return served


def serves(
    index: Index, key: ForeignKey, table: Table | None = None, at_most: float = MAX_ROWS_READ
) -> bool:
    """Whether an index finds the rows that reference one row of the other table.

    An index that begins with all columns of the key does, in any order; one that begins with some
    of them does if few rows have the same values there. A partial index `WHERE column IS NOT NULL`
    does too: a null references nothing.

    Args:
        index: of the table of the key.
        key: the foreign key.
        table: its statistics; without them, an index on a part of the key serves nothing.
        at_most: rows that one lookup may read beyond the ones that it wants.
    """
    excess = excess_rows(index, key, table)
    return excess is not None and excess <= at_most


def excess_rows(index: Index, key: ForeignKey, table: Table | None) -> float | None:
    """Estimate the rows that a lookup by an index reads and that do not reference the wanted row.

    Returns:
        0 if the index begins with the whole key, None if it can't be used or if that is unknown.
    """
    if index.keys[0].of not in key.columns or not _can_find(index, key):
        return None
    leading = _run(index.keys, key, index.method)
    if len(leading) == len(key.columns):
        return 0
    return _rows_of(leading, table)


def searches(index: Index, key: ForeignKey, table: Table) -> float | None:
    """Estimate the searches of a skip scan: one for each value of the columns before the key.

    Returns:
        None if a skip scan can't find the rows, takes too many searches, or that is unknown.
    """
    if index.method != "btree" or not _can_find(index, key):
        return None
    skipped = _skipped(index, key)
    leading = _run(index.keys[len(skipped) :], key)
    if not skipped or not leading:
        return None
    if len(leading) < len(key.columns):
        rows = _rows_of(leading, table)
        if rows is None or rows > MAX_ROWS_READ:
            return None
    counts = [_n_groups(part, table) for part in skipped]
    known = [count for count in counts if count is not None]
    n_searches = prod(known) if len(known) == len(counts) else None
    return n_searches if n_searches is not None and n_searches <= MAX_SEARCHES else None


def unindexed(served: Served, catalog: Catalog) -> list[UnservedKey]:
    """Return the foreign keys without an index, most deletes of referenced rows first.

    Tables that had at most one row when they were analyzed are left out.
    """
    known = _Tables(catalog)
    found = (_unserved(keys, served, known) for keys in known.groups.values())
    return sorted((each for each in found if each is not None), key=_rank)


def _rank(unserved: UnservedKey) -> tuple[int, int, float, int, str]:
    key = unserved.key
    return -unserved.deletes, -unserved.pages, -unserved.rows, key.table_oid, key.name


def sole_servants(served: Served) -> Mapping[int, list[ForeignKey]]:
    """Return the foreign keys that only one index serves, by its OID.

    A key of a partitioned table is returned once, also where the index is the only one in several
    leaves.
    """
    keys: dict[int, dict[object, ForeignKey]] = defaultdict(dict)
    for key, indexes in served.items():
        if len({index.oid for index in indexes}) == 1:
            whole = key if key.root is None else key.root
            keys[indexes[0].oid].setdefault(whole, key)
    return {oid: list(found.values()) for oid, found in keys.items()}


def columns_to_weigh(catalog: Catalog) -> set[tuple[int, int]]:
    """Return the columns, as table and number, whose statistics decide whether an index serves."""
    indexes = catalog.indexes_of
    return {
        (key.table_oid, column)
        for key in catalog.foreign_keys
        if not any(serves(index, key) for index in indexes.get(key.table_oid, ()))
        for index in indexes.get(key.table_oid, ())
        for column in _weighed(index, key, catalog)
    }


class _Tables:
    """The objects of a catalog, by what they belong to.

    Attributes:
        groups: the keys of partitions, behind the key that they are inherited from.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.groups: dict[object, list[ForeignKey]] = {}
        for key in catalog.foreign_keys:
            if key.root is None:
                self.groups[key.oid or key] = [key]
        for key in catalog.foreign_keys:
            if key.root in self.groups:
                self.groups[key.root].append(key)

    def stored(self, keys: Iterable[ForeignKey]) -> list[ForeignKey]:
        """Return those of a group whose tables have rows of their own, and those not visible."""
        tables = self.catalog.tables
        return [
            key for key in keys if (table := tables.get(key.table_oid)) is None or table.kind != "p"
        ]

    def leaves(self, oid: int) -> list[Table]:
        """Return a table, or the leaves of a partitioned one; empty if it is not visible."""
        table = self.catalog.tables.get(oid)
        if table is None or table.kind != "p":
            return [table] if table is not None else []
        parts = self.catalog.parts_of.get(oid, ())
        return [leaf for part in parts for leaf in self.leaves(part.oid)]

    def indexes(self, table_oid: int) -> Sequence[Index]:
        """Return the indexes of a table."""
        return self.catalog.indexes_of.get(table_oid, ())

    def servants(self, key: ForeignKey, table: Table, at_most: float) -> list[Index]:
        """Return the indexes that serve a key of a table with rows of its own."""
        return [each for each in self.indexes(table.oid) if serves(each, key, table, at_most)]

    def skips(self, key: ForeignKey) -> dict[Index, float]:
        """Return the indexes that a skip scan can use for a key, with its searches."""
        table = self.catalog.tables[key.table_oid]
        if not self.catalog.has_skip_scan:
            return {}
        counts = ((each, searches(each, key, table)) for each in self.indexes(table.oid))
        return {index: count for index, count in counts if count is not None}


def _unserved(keys: Sequence[ForeignKey], served: Served, known: _Tables) -> UnservedKey | None:
    """Return a foreign key if an index is missing; None as well if one of its tables is unknown."""
    stored = known.stored(keys)
    if not all(key in served for key in stored):
        return None
    tables = {key: known.catalog.tables[key.table_oid] for key in stored}
    rows = sum(max(0.0, table.known_rows) for table in tables.values())
    at_most = MAX_ROWS_READ / max(1, len(tables))
    # Where a skip scan is the best there is, the servants are those that it uses.
    lacking = [
        key
        for key in stored
        if not served[key]
        or (known.catalog.has_skip_scan and not known.servants(key, tables[key], at_most))
    ]
    is_analyzed = all(table.rows >= 0 for table in tables.values())
    if not lacking or (rows <= 1 and is_analyzed):
        return None
    n_searches = _sum([min(known.skips(key).values(), default=None) for key in lacking])
    reads = [_rows_read(known.indexes(key.table_oid), key, tables[key]) for key in lacking]
    referenced = known.leaves(keys[0].referenced_oid)
    return UnservedKey(
        key=keys[0],
        parts=tuple(lacking),
        rows=rows,
        pages=sum(max(0, table.pages) for table in tables.values()),
        rows_read=_sum(reads) if n_searches is None else None,
        searches=n_searches,
        deletes=sum(table.n_deleted for table in referenced),
        updates=sum(table.n_updated for table in referenced),
    )


def _rows_read(indexes: Iterable[Index], key: ForeignKey, table: Table) -> float | None:
    """Estimate the rows that one lookup reads: the whole table, or those of a part of the key."""
    usable = [
        each for each in indexes if _can_find(each, key) and _run(each.keys, key, each.method)
    ]
    if not usable:
        return max(0.0, table.known_rows)
    known = [rows for each in usable if (rows := excess_rows(each, key, table)) is not None]
    return min(known, default=None)


def _can_find(index: Index, key: ForeignKey) -> bool:
    """Whether a lookup may use an index, as far as its method and predicate decide."""
    if index.method not in {"btree", "hash", "gist"} or not index.is_valid:
        return False
    if index.predicate is None:
        return True
    wanted = {f"({quote(name)} IS NOT NULL)" for name in key.names}
    return index.predicate in wanted or set(index.predicate[1:-1].split(" AND ")) <= wanted


def _run(parts: Sequence[Key], key: ForeignKey, method: str = "btree") -> list[int]:
    """Return the columns of a key that index keys begin with.

    Rows are compared by equality; a period by overlap, which only GiST finds.
    """
    left = list(key.columns[:-1] if key.is_period and method != "gist" else key.columns)
    run: list[int] = []
    for part in parts:
        of = part.of
        if not isinstance(of, int) or of not in left or not _is_compared_by(part, key):
            break
        left.remove(of)
        run.append(of)
    return run


def _is_compared_by(part: Key, key: ForeignKey) -> bool:
    """Whether a column of a foreign key has the collation of an index key."""
    if not key.collations or not isinstance(part.of, int):
        return True
    return key.collations[key.columns.index(part.of)] == part.collation


def _skipped(index: Index, key: ForeignKey) -> list[Key]:
    """Return the index keys before the first one of the foreign key."""
    at = next((at for at, part in enumerate(index.keys) if part.of in key.columns), 0)
    return list(index.keys[:at])


def _weighed(index: Index, key: ForeignKey, catalog: Catalog) -> Iterator[int]:
    skipped = _skipped(index, key)
    if (skipped and not catalog.has_skip_scan) or not _can_find(index, key):
        return
    yield from _run(index.keys[len(skipped) :], key, index.method)
    yield from (part.of for part in skipped if isinstance(part.of, int))


def _rows_of(columns: Iterable[int], table: Table | None) -> float | None:
    """Estimate the rows with the same values in some columns; None if unknown.

    The values of several columns together are at least as rare as those of the rarest.
    """
    if table is None:
        return None
    counts = (_rows_of_value(table.columns.get(column), table) for column in columns)
    return min((count for count in counts if count is not None), default=None)


def _rows_of_value(column: Column | None, table: Table) -> float | None:
    if column is None or table.known_rows < 0:
        return None
    if column.null_fraction == 1:
        return 0
    n_values = _n_values(column, table)
    if n_values is None:
        return None
    average = table.known_rows * (1 - column.null_fraction) / max(1.0, n_values)
    common = column.top_frequency
    return max(average, common * table.known_rows if common > COMMON_SHARE else 0)


def _n_values(column: Column | None, table: Table) -> float | None:
    """Estimate the distinct values of a column besides null; None if unknown."""
    if column is None or not column.n_distinct:
        return None
    if column.n_distinct > 0:
        return column.n_distinct
    return -column.n_distinct * table.known_rows if table.known_rows >= 0 else None


def _n_groups(part: Key, table: Table) -> float | None:
    """Estimate the values of an index key that a skip scan tries, a null included."""
    column = table.columns.get(part.of) if isinstance(part.of, int) else None
    count = _n_values(column, table)
    return count + (column.null_fraction > 0) if column and count is not None else None


def _sum(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _roots(indexes: Iterable[Index]) -> Mapping[int, Index]:
    """Return the root of each attached index, by the OID of the attached one."""
    by_oid = {index.oid: index for index in indexes}
    roots: dict[int, Index] = {}
    for index in by_oid.values():
        root = index
        while root.parent is not None and root.parent in by_oid:
            root = by_oid[root.parent]
        if root is not index:
            roots[index.oid] = root
    return roots
