"""Models of indexes, tables and foreign keys: frozen, free of sessions.

Those of which there are as many as relations are named tuples, which are made twice as fast.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from maintenance.names import QualifiedName

Definition = int | str
"""A column by its number, or an expression by its text."""


_MOST_ROWS_OF_A_BLOCK = 291
"""MaxHeapTuplesPerPage of blocks of 8 kB."""


class Key(NamedTuple):
    """One key of an index: its column or expression, and its sort order.

    Attributes:
        direction: pg_index.indoption: bit 0 DESC, bit 1 NULLS FIRST.
    """

    of: Definition
    opclass: int
    collation: int
    direction: int


class Index(NamedTuple):
    """One index.

    Attributes:
        parent: the index of the partitioned table that it is attached to.
        is_referenced: whether a foreign key depends on it.
        is_valid: valid, ready and live.
        is_building: whether a session holds the lock of a concurrent build on its table.
        n_parts: of an invalid partitioned index: the partitions of its table; None of others.
        pages: 8 kB blocks, as of the last VACUUM or ANALYZE; 0 for a partitioned index.
        keys: in their order.
        included: INCLUDE columns.
        predicate: of a partial index, as deparsed by the server.
        parameters: options that affect which rows it can find; None for btree and hash.
        constraint: the name of its constraint.
    """

    oid: int
    relation: QualifiedName
    table_oid: int
    method: str
    keys: tuple[Key, ...]
    included: frozenset[Definition] = frozenset()
    predicate: str | None = None
    parent: int | None = None
    is_partitioned: bool = False
    is_unique: bool = False
    is_primary: bool = False
    is_exclusion: bool = False
    is_immediate: bool = True
    nulls_not_distinct: bool = False
    is_clustered: bool = False
    is_replica_identity: bool = False
    is_referenced: bool = False
    is_valid: bool = True
    is_building: bool = False
    n_parts: int | None = None
    pages: int = 0
    parameters: str | None = None
    tablespace: str | None = None
    constraint: str | None = None

    @property
    def holds(self) -> frozenset[Definition]:
        """Its keys and INCLUDE columns."""
        return self.included | {key.of for key in self.keys}

    @property
    def expressions(self) -> tuple[str, ...]:
        """The texts of its keys that are expressions."""
        return tuple(key.of for key in self.keys if isinstance(key.of, str))

    @property
    def is_pinned(self) -> bool:
        """Whether another object depends on it, so that it must not be dropped."""
        return (
            self.is_primary
            or self.is_exclusion
            or self.is_clustered
            or self.is_replica_identity
            or self.is_referenced
        )


class Column(NamedTuple):
    """A column with its statistics; None if there are none or they are not visible.

    Attributes:
        width: average bytes of a value.
        n_distinct: as in pg_stats: negative is a fraction of the rows.
        null_fraction: share of the rows with a null.
        top_frequency: share of the rows with the most common value; 0 if no value is common.
        n_common: number of the most common values; 0 if they are unknown.
        common_fraction: share of the rows with one of the most common values.
        least_common: share of the rows with the rarest of the most common values.
    """

    name: str
    width: int | None = None
    n_distinct: float | None = None
    null_fraction: float = 0
    top_frequency: float = 0
    n_common: int = 0
    common_fraction: float = 0
    least_common: float = 0


class Table(NamedTuple):
    """A table or materialized view.

    Attributes:
        kind: `r` table, `p` partitioned table, `m` materialized view.
        pages: 8 kB blocks.
        rows: the catalog's estimate, -1 if there is none.
        n_writes: row versions written to its indexes since the counters began.
        n_live: rows by the server's counters, which a crash sets to 0.
        n_deleted: rows deleted since the counters began.
        n_updated: rows updated since the counters began.
        parent: the partitioned table that it is a partition of.
        is_readable: whether this role may read it; else its statistics are not visible.
        is_secured: whether row-level security hides its statistics.
        columns: by number; only those that are checked.
    """

    oid: int
    relation: QualifiedName
    kind: str = "r"
    pages: int = 0
    rows: float = -1
    n_writes: int = 0
    n_live: int = 0
    n_deleted: int = 0
    n_updated: int = 0
    parent: int | None = None
    is_readable: bool = True
    is_secured: bool = False
    columns: Mapping[int, Column] = MappingProxyType({})

    @property
    def is_tiny(self) -> bool:
        """Whether it has at most one row or one block, so that no index of it matters."""
        if self.rows <= 1 and self.n_live <= 1:
            return True
        return self.rows >= 0 and self.pages <= 1 and self.n_live <= _MOST_ROWS_OF_A_BLOCK

    @property
    def known_rows(self) -> float:
        """The estimate of the catalog, or of the counters if the table was never seen filled."""
        return self.rows if self.rows > 0 or not self.n_live else self.n_live


class ForeignKey(NamedTuple):
    """A foreign key, by its referencing columns.

    Attributes:
        columns: numbers in the table, in the order of the key.
        is_period: whether the last column is a range, compared by overlap (PERIOD).
        collations: of the columns; empty if they are not compared.
        root: the OID of the key of the partitioned table from which it is inherited.
    """

    name: str
    table_oid: int
    columns: tuple[int, ...]
    names: tuple[str, ...]
    referenced: QualifiedName
    referenced_oid: int = 0
    is_period: bool = False
    collations: tuple[int, ...] = ()
    oid: int = 0
    root: int | None = None


@dataclass(frozen=True)
class Catalog:
    """One observation of all indexes of a database.

    Attributes:
        tables: by OID.
        blind: tables locked in ACCESS EXCLUSIVE mode, with their indexes, which are left out
            elsewhere.
        has_skip_scan: whether the server can search an index by a later column.
    """

    indexes: tuple[Index, ...]
    tables: Mapping[int, Table]
    foreign_keys: tuple[ForeignKey, ...] = ()
    blind: Mapping[QualifiedName, Sequence[QualifiedName]] = field(
        default_factory=dict[QualifiedName, Sequence[QualifiedName]]
    )
    has_skip_scan: bool = False

    @cached_property
    def indexes_of(self) -> Mapping[int, Sequence[Index]]:
        """The indexes of each table that has any, by its OID."""
        found: dict[int, list[Index]] = defaultdict(list)
        for index in self.indexes:
            found[index.table_oid].append(index)
        return dict(found)

    @cached_property
    def parts_of(self) -> Mapping[int, Sequence[Table]]:
        """The partitions of each table that has any, by its OID."""
        found: dict[int, list[Table]] = defaultdict(list)
        for table in self.tables.values():
            if table.parent is not None:
                found[table.parent].append(table)
        return dict(found)
