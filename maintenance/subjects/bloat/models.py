"""Models of tables, indexes and their bloat: frozen, free of sessions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from maintenance.names import QualifiedName


class Column(NamedTuple):
    """A column with its catalog data and statistics.

    Attributes:
        length: in bytes; -1 if it varies.
        alignment: pg_attribute.attalign: `c` 1, `s` 2, `i` 4, `d` 8 bytes.
        width: average bytes of non-null values; None without statistics.
        n_distinct: as in pg_stats: negative is a fraction of the rows.
        n_common, common_fraction: the number of most common values, and the fraction of rows
            with one of them; zero unless it is the only key of an index.
        is_virtual: generated when it is read: every row holds a null in its place.
        is_defaulted: added with a default, and the table was not rewritten since: older rows do
            not hold it.
        is_readable: whether this role may read it; if not, its statistics are not visible.
        is_analyzed: whether ANALYZE collects statistics on it; not with SET STATISTICS 0.
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
    is_virtual: bool = False
    is_defaulted: bool = False
    is_readable: bool = True
    is_analyzed: bool = True


class Freshness(NamedTuple):
    """The facts that show how reliable a table's statistics are.

    Attributes:
        n_rows: pg_class.reltuples of the table; negative if never counted.
        pages: pg_class.relpages, of the same moment.
        size_bytes: of the table now; None if it is locked in ACCESS EXCLUSIVE mode.
        n_changed: rows changed since the last ANALYZE.
        n_dead: dead rows.
        analyzed_at: None if the counters have no ANALYZE.
        readable: whether this role may read it; if not, its statistics are not visible.
        secured: whether row-level security hides its statistics from this role.
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
        owner: the table it belongs to, if it is a TOAST table.
        fill_factor: in percent.
        is_view: whether it is a materialized view, or the TOAST table of one.
        is_logged: whether its changes are in the WAL.
        has_identity: whether logical decoding knows its rows by an index: that of its replica
            identity, or a primary key that is not deferrable.
        has_key: whether a unique index on NOT NULL columns identifies its rows.
    """

    oid: int
    relation: QualifiedName
    owner: QualifiedName | None
    fill_factor: int
    freshness: Freshness
    columns: tuple[Column, ...] = ()
    is_view: bool = False
    is_logged: bool = True
    has_identity: bool = False
    has_key: bool = False

    @property
    def size_bytes(self) -> int:
        """Size of its main fork; from relpages if it is locked."""
        size = self.freshness.size_bytes
        return size if size is not None else self.freshness.pages * 8192

    @property
    def table(self) -> QualifiedName:
        """The user's table: itself, or the table of a TOAST table."""
        return self.owner or self.relation


@dataclass(frozen=True, slots=True)
class ObservedIndex:
    """A btree index.

    Attributes:
        freshness: of its table.
        columns: those of its table.
        keys: numbers of its columns, included ones too; zero is an expression.
        is_plain: without predicate and expressions.
        is_rebuildable: whether it can be rebuilt concurrently: not that of an exclusion
            constraint.
        deduplicates: whether equal keys may share an entry (13 and later).
        is_padded: whether a key is of type char(n); not every server deduplicates those.
        manageable: whether this role has the rights of its owner.
        tablespace: its folder, if it is not in the default tablespace.
        of_view: whether its table is a materialized view, which has no upserts.
        ancestors: the partitioned indexes that it is a part of, quoted and qualified.
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
    is_padded: bool = False
    manageable: bool = True
    tablespace: str | None = None
    of_view: bool = False
    ancestors: tuple[str, ...] = ()


MOST_BYTES = 4 * 2**30
"""Bytes that all measurements of one observation may read."""

Observed = ObservedTable | ObservedIndex


SET_STATISTICS = "ALTER TABLE … ALTER COLUMN … SET STATISTICS -1, then ANALYZE"
"""The remedy where ANALYZE leaves out a column."""


class Method(StrEnum):
    """How a bloat value was determined."""

    EXACT = "exact"
    MEASURED_BEFORE = "measured before"
    ESTIMATE = "estimate"
    AT_LEAST = "at least"
    UNKNOWN = "unknown"


class Bloat(NamedTuple):
    """The fraction by which a relation would shrink if it were rewritten.

    Attributes:
        fraction: 0 to 1; None if unknown.
        text: why it is unknown, as text.
        remedy: how to make it known; empty if it must be measured.
        reason: why it is unknown, as a short code.
    """

    method: Method
    fraction: float | None = None
    text: str = ""
    remedy: str = ""
    reason: str = ""


class Note(StrEnum):
    """What the store keeps beside the method of a bloat value."""

    NOT_MEASURED = "not measured"
    SUPERFLUOUS = "superfluous"


class Past(NamedTuple):
    """One recorded bloat value of a relation.

    Attributes:
        method: as recorded: a `Method`, followed by notes.
    """

    taken_at: datetime
    size_bytes: int
    fraction: float | None
    method: str = Method.ESTIMATE.value

    @property
    def is_exact(self) -> bool:
        """Whether it was measured."""
        return self.method.split(", ")[0] == Method.EXACT.value

    @property
    def was_tried(self) -> bool:
        """Whether it was measured, or a measurement failed."""
        return self.is_exact or has_note(self.method, Note.NOT_MEASURED)


def with_notes(method: Method, notes: Iterable[Note]) -> str:
    """Return a method with its notes, as the store keeps it."""
    return ", ".join((method.value, *notes))


def has_note(method: str, note: Note) -> bool:
    """Whether a method as the store keeps it has a note."""
    return note.value in method.split(", ")


class Leftover(NamedTuple):
    """An invalid index, such as the leftover of an interrupted rebuild.

    Attributes:
        twins: OIDs of valid indexes of that table with the same definition.
        table_oid: of its table.
        is_copy: whether it has a name that only REINDEX CONCURRENTLY gives.
        is_building: whether a session is building an index of that table.
    """

    oid: int
    relation: QualifiedName
    table: QualifiedName
    twins: tuple[int, ...]
    is_building: bool
    table_oid: int = 0
    is_copy: bool = True


class Rebuild(NamedTuple):
    """One recorded REINDEX of ours.

    Attributes:
        id: its id in the store.
        name: of the index, quoted and qualified.
        old_oid, new_oid: of the index before and after; the new one is None until it is observed.
        ended_at: None if the run was killed, or leftovers still exist.
        table_oid: of its table; None in records of earlier versions.
        indexes_before: OIDs of all indexes of that table at the start; None as above.
        error: why it failed; None if it was killed or has not ended.
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
    """The state of the extension pgstattuple.

    Attributes:
        schema: its schema; None if it is not installed.
        remedy: the statement that makes it usable; empty if it is usable, or the server does not
            have it.
    """

    schema: str | None
    remedy: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether this role can measure with it."""
        return self.schema is not None and not self.remedy


@dataclass(frozen=True, slots=True)
class BloatSnapshot:
    """The observation from which bloat is planned.

    Attributes:
        bloat: of every relation, by OID.
        past: recorded bloat values, oldest first, by quoted name.
        rebuilds: ours of the last weeks.
        failed: the errors of relations that could not be read, by OID.
        tried: OIDs of relations whose measurement took too long, or was refused.
        superfluous: kinds of the findings of this run that advise to drop an index, by its
            quoted name.
        major: the server's major version; zero if unknown.
        asked_for: OIDs of the unique indexes that the policy names for rebuild, with partitions.
        not_unique: names in that list that are not unique indexes.
    """

    tables: tuple[ObservedTable, ...]
    indexes: tuple[ObservedIndex, ...]
    bloat: Mapping[int, Bloat]
    extension: Extension
    leftovers: tuple[Leftover, ...] = ()
    past: Mapping[str, Sequence[Past]] = field(default_factory=dict[str, Sequence[Past]])
    rebuilds: tuple[Rebuild, ...] = ()
    failed: Mapping[int, str] = field(default_factory=dict[int, str])
    tried: frozenset[int] = frozenset()
    superfluous: Mapping[str, str] = field(default_factory=dict[str, str])
    duplicated: frozenset[str] = frozenset()
    major: int = 0
    asked_for: frozenset[int] = frozenset()
    not_unique: tuple[QualifiedName, ...] = ()
