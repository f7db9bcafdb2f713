"""Models of indexes, tables and foreign keys: frozen, free of sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from maintenance.names import QualifiedName

Definition = int | str
"""A column by its number, or an expression by its text."""


class Key(NamedTuple):
    """One key of an index: its column or expression, and its sort order.

    Attributes:
        direction: pg_index.indoption: bit 0 DESC, bit 1 NULLS FIRST.
    """

    of: Definition
    opclass: int
    collation: int
    direction: int


@dataclass(frozen=True, slots=True)
class Index:
    """One index.

    Attributes:
        parent: the index of the partitioned table that it is attached to.
        is_referenced: whether a foreign key depends on it.
        is_valid: valid, ready and live.
        is_building: whether a session holds the lock of a concurrent build on its table.
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
    pages: int = 0
    parameters: str | None = None
    tablespace: str | None = None
    constraint: str | None = None

    @property
    def holds(self) -> frozenset[Definition]:
        """Its keys and INCLUDE columns."""
        return self.included | {key.of for key in self.keys}

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
    """

    name: str
    width: int | None = None
    n_distinct: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table or materialized view.

    Attributes:
        kind: `r` table, `p` partitioned table, `m` materialized view.
        pages: 8 kB blocks.
        rows: the catalog's estimate, -1 if there is none.
        n_writes: row versions written to its indexes since the counters began.
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
    is_readable: bool = True
    is_secured: bool = False
    columns: Mapping[int, Column] = field(default_factory=dict[int, Column])


class ForeignKey(NamedTuple):
    """A foreign key, by its referencing columns."""

    name: str
    table_oid: int
    columns: tuple[int, ...]
    names: tuple[str, ...]
    referenced: QualifiedName


@dataclass(frozen=True, slots=True)
class Catalog:
    """One observation of all indexes of a database.

    Attributes:
        tables: by OID.
        blind: tables locked in ACCESS EXCLUSIVE mode, with their indexes, which are left out
            elsewhere.
    """

    indexes: tuple[Index, ...]
    tables: Mapping[int, Table]
    foreign_keys: tuple[ForeignKey, ...] = ()
    blind: Mapping[QualifiedName, Sequence[QualifiedName]] = field(
        default_factory=dict[QualifiedName, Sequence[QualifiedName]]
    )
