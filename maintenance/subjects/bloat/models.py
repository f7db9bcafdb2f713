"""What is seen of tables and indexes, and what is made of it: frozen, free of sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from maintenance.names import QualifiedName


class Column(NamedTuple):
    """A column as the catalog and the statistics of its table have it.

    Attributes:
        length: in bytes; -1 where it varies.
        alignment: pg_attribute.attalign: `c` 1, `s` 2, `i` 4, `d` 8 bytes.
        width: average in bytes of those that are not null; None without statistics.
        n_distinct: as pg_stats has it: negative is a share of the rows.
        n_common, common_fraction: how many values repeat the most, and what share of the rows
            has one of them; zero unless it is an index of its own.
    """

    number: int
    length: int
    alignment: str
    is_dropped: bool
    width: int | None
    null_fraction: float | None
    n_distinct: float | None
    n_common: int
    common_fraction: float


class Freshness(NamedTuple):
    """How far the statistics of a table can be believed.

    Attributes:
        n_rows: pg_class.reltuples of the table; negative where nobody ever counted.
        pages: pg_class.relpages, of the same moment.
        size_bytes: of the table now; None behind somebody's ACCESS EXCLUSIVE lock.
        n_changed: rows changed since the last ANALYZE.
        n_dead: rows that wait for VACUUM.
        analyzed_at: None where the counters do not know.
        readable: whether we may read it; if not, its statistics are hidden from us.
        secured: whether row security hides its rows, and so its statistics, from us.
    """

    n_rows: float
    pages: int
    size_bytes: int | None
    n_changed: int
    n_dead: int
    analyzed_at: datetime | None
    readable: bool
    secured: bool = False


@dataclass(frozen=True, slots=True)
class ObservedTable:
    """A table, materialized view or TOAST table.

    Attributes:
        owner: the table whose wide values it holds, where it is a TOAST table.
        fill_factor: in percent.
    """

    oid: int
    relation: QualifiedName
    owner: QualifiedName | None
    fill_factor: int
    freshness: Freshness
    columns: tuple[Column, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Of its main fork; by the catalog where it is locked."""
        size = self.freshness.size_bytes
        return size if size is not None else self.freshness.pages * 8192

    @property
    def table(self) -> QualifiedName:
        """The table that an owner knows it by."""
        return self.owner or self.relation


@dataclass(frozen=True, slots=True)
class ObservedIndex:
    """A btree index.

    Attributes:
        freshness: of its table.
        columns: those of its table.
        keys: numbers of its columns, included ones too; zero is an expression.
        is_plain: without a predicate and expressions.
        is_rebuildable: valid, and not behind an exclusion constraint.
        deduplicates: whether equal keys may share an entry (13 and later).
        manageable: whether we have the rights of its owner.
        tablespace: its folder, where it is not in the default tablespace.
        of_view: whether its table is a materialized view, which no session upserts.
    """

    oid: int
    relation: QualifiedName
    table: QualifiedName
    size_bytes: int
    fill_factor: int
    freshness: Freshness
    keys: tuple[int, ...] = ()
    columns: tuple[Column, ...] = ()
    is_plain: bool = True
    is_unique: bool = False
    is_rebuildable: bool = True
    deduplicates: bool = False
    manageable: bool = True
    tablespace: str | None = None
    of_view: bool = False


Observed = ObservedTable | ObservedIndex


class Method(StrEnum):
    """How a share was found."""

    EXACT = "exact"
    ESTIMATE = "estimate"
    AT_LEAST = "at least"
    UNKNOWN = "unknown"


class Bloat(NamedTuple):
    """How much smaller a relation would be if it were written anew.

    Attributes:
        fraction: 0 to 1; None where it is unknown.
        text: why it is unknown, in words.
        remedy: what to do so that it becomes known.
        reason: why it is unknown, as a short code.
    """

    method: Method
    fraction: float | None = None
    text: str = ""
    remedy: str = ""
    reason: str = ""


class Past(NamedTuple):
    """One earlier look at a relation."""

    taken_at: datetime
    size_bytes: int
    fraction: float | None


class Leftover(NamedTuple):
    """An invalid index, such as an interrupted rebuild leaves behind.

    Attributes:
        twins: OIDs of valid indexes of that table with the same definition.
        table_oid: of the table it belongs to.
        is_copy: whether it bears a name that only REINDEX CONCURRENTLY gives.
        is_building: whether somebody is at work on that table's indexes.
    """

    oid: int
    relation: QualifiedName
    table: QualifiedName
    twins: tuple[int, ...]
    is_building: bool
    table_oid: int = 0
    is_copy: bool = True


class Rebuild(NamedTuple):
    """One REINDEX of ours as the store remembers it.

    Attributes:
        id: its number in the store.
        name: of the index, quoted and qualified.
        old_oid, new_oid: of the index before and after; the new one is None until it was seen.
        ended_at: None where the run was killed, or its leftovers are still there.
        table_oid: of its table; None in records of earlier versions.
        indexes_before: OIDs of all indexes of that table when it began; None as above.
        error: why it failed; None where it was killed, or is not over.
    """

    id: int
    name: str
    old_oid: int
    new_oid: int | None
    started_at: datetime
    ended_at: datetime | None
    size_before: int
    size_after: int | None
    table_oid: int | None = None
    indexes_before: Sequence[int] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Extension:
    """pgstattuple, as far as we can use it.

    Attributes:
        schema: where it lives; None where it is not made.
        remedy: the statement that would let us use it; empty where we can.
    """

    schema: str | None
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class BloatSnapshot:
    """Everything that the subject plans from.

    Attributes:
        bloat: of every relation, by OID.
        past: earlier looks, oldest first, by quoted name.
        rebuilds: ours of the last weeks.
        failed: the errors of relations that could not be measured, by OID.
        major: the server's major version; zero where it is not known.
        asked_for: OIDs of the unique indexes that the policy wants rebuilt, and of those below.
        not_unique: names in that list which are no unique index.
    """

    tables: tuple[ObservedTable, ...]
    indexes: tuple[ObservedIndex, ...]
    bloat: Mapping[int, Bloat]
    extension: Extension
    leftovers: tuple[Leftover, ...] = ()
    past: Mapping[str, Sequence[Past]] = field(default_factory=dict[str, Sequence[Past]])
    rebuilds: tuple[Rebuild, ...] = ()
    failed: Mapping[int, str] = field(default_factory=dict[int, str])
    major: int = 0
    asked_for: frozenset[int] = frozenset()
    not_unique: tuple[QualifiedName, ...] = ()
