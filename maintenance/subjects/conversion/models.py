"""Models of conversion: a table with its properties, its key's range, and earlier work on it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from maintenance.catalog.models import Server, Table
from maintenance.names import QualifiedName, quote
from maintenance.partition_key import KeyCodec
from maintenance.policy import PartitionPolicy

PREFIX = "maintenance_convert_"
"""The prefix of the names of helpers; sql/conversion/list_facts.sql leaves them out."""

UNTIL = f"{PREFIX}until_"
"""The prefix of the CHECK that lets ATTACH and SET NOT NULL scan nothing.

Behind it is the period that ends it.
"""


def twin_name(name: QualifiedName, purpose: str) -> QualifiedName:
    """Return a reserved name in the schema of an object, for something that replaces it."""
    digest = hashlib.sha256(str(name).encode()).hexdigest()[:12]
    return QualifiedName(name.schema, f"{PREFIX}{purpose}_{digest}")


class Fact(NamedTuple):
    """A property of a table, an object on it, or an object that depends on it.

    Attributes:
        kind: such as `column`, `constraint`, `index`, `trigger`, `view`, `dependent`.
        name: of the object; empty for the table itself.
        definition: JSON-ready, without anything that differs from one server to the next.
    """

    kind: str
    name: str
    definition: Mapping[str, Any]


class Obstacle(NamedTuple):
    """One reason.

    Attributes:
        code: stays the same whatever the text.
        text: the fact and what to change.
        objects: the names concerned.
    """

    code: str
    text: str
    objects: tuple[str, ...] = ()


class Helper(NamedTuple):
    """A CHECK, an index or a foreign key to the table that an earlier run has made.

    Attributes:
        kind: `check`, `index` or `reference`.
        table: of a foreign key; its owner and comment follow.
    """

    kind: str
    name: str
    is_valid: bool
    columns: tuple[str, ...] = ()
    table: QualifiedName | None = None
    owner: str = ""
    comment: str | None = None


class Sizes(NamedTuple):
    """Sizes in bytes, and the estimated number of rows; -1 before the first ANALYZE.

    Attributes:
        total_bytes: of the table with its indexes and TOAST.
        key_bytes: estimated, of an index on the extended primary key.
        tablespace: its directory; None for the data directory.
    """

    table_bytes: int
    total_bytes: int
    n_rows: float
    key_bytes: int
    tablespace: str | None = None


class KeyRange(NamedTuple):
    """The smallest and the greatest key as text, and whether some are null.

    Attributes:
        error: why they could not be read, if so.
    """

    first: str | None = None
    last: str | None = None
    has_nulls: bool = False
    error: str | None = None


@dataclass(frozen=True)
class DependentMatview:
    """A materialized view that reads the table directly.

    Attributes:
        query: with the names that its twin is to read.
        facts: its own properties.
        size_bytes: with indexes and TOAST.
        search_path: as SQL text, in which functions of its owner look up names before 17.
    """

    name: QualifiedName
    query: str
    facts: tuple[Fact, ...]
    size_bytes: int = 0
    search_path: str = ""

    def of(self, kind: str) -> tuple[Fact, ...]:
        """Return its facts of one kind."""
        return tuple(fact for fact in self.facts if fact.kind == kind)

    @cached_property
    def table(self) -> Mapping[str, Any]:
        """Its owner, tablespace, comment and grants."""
        return self.of("table")[0].definition

    @cached_property
    def storage(self) -> Mapping[str, Any]:
        """Its access method and options."""
        return self.of("storage")[0].definition

    @cached_property
    def columns(self) -> tuple[Fact, ...]:
        """Its columns in their order."""
        return tuple(sorted(self.of("column"), key=lambda each: each.definition["place"]))


@dataclass(frozen=True)
class Definition:
    """The properties of a table, and the column that becomes its partition key.

    Attributes:
        referenced_by: columns of other tables with the value of the partition key, by the name of
            the fact of the foreign key that gets them.
    """

    name: QualifiedName
    column: str
    facts: tuple[Fact, ...] = ()
    referenced_by: Mapping[str, str] = field(default_factory=dict[str, str])

    def of(self, kind: str) -> tuple[Fact, ...]:
        """Return its facts of one kind."""
        return tuple(fact for fact in self.facts if fact.kind == kind)

    @cached_property
    def key(self) -> Fact | None:
        """The future partition key's column."""
        return next((c for c in self.of("column") if c.name == self.column), None)

    @cached_property
    def primary_key(self) -> Fact | None:
        """The primary key, a constraint."""
        keys = (each for each in self.of("constraint") if each.definition["type"] == "p")
        return next(keys, None)

    @cached_property
    def extended_key(self) -> tuple[str, ...]:
        """The columns of the future primary key; empty without one."""
        if self.primary_key is None:
            return ()
        columns = tuple(self.primary_key.definition["columns"])
        return columns if self.column in columns else (*columns, self.column)

    @property
    def extends_key(self) -> bool:
        """Whether the primary key lacks the partition key."""
        key = self.primary_key
        return key is not None and self.column not in key.definition["columns"]


class Wait(NamedTuple):
    """Runs, one after the other, that waited for a lock until they gave up.

    Attributes:
        since: when the first of them gave up.
        at: when the newest one did.
        blocked_by: facts about the session that the newest one waited for; empty if unknown.
        error: of the newest one.
    """

    since: datetime
    at: datetime
    n_runs: int
    blocked_by: Mapping[str, Any]
    error: str


UNMEASURED = Sizes(0, 0, -1, 0)
NO_KEYS = KeyRange()


@dataclass(frozen=True)
class ConvertibleTable:
    """An unpartitioned table that the policy wants partitioned.

    Attributes:
        table: from the common snapshot.
        facts: its properties.
        helpers: made by earlier runs.
        upserts: texts of statements and functions that may upsert into it.
        taken: names of its future objects that other relations have.
        matviews: materialized views that read it directly, or that read its first partition while
            their twins read it.
        orphans: twins that replace nothing any more.
    """

    section: PartitionPolicy
    table: Table
    facts: tuple[Fact, ...] = ()
    helpers: tuple[Helper, ...] = ()
    sizes: Sizes = UNMEASURED
    key_range: KeyRange = NO_KEYS
    upserts: tuple[str, ...] = ()
    taken: frozenset[QualifiedName] = frozenset()
    matviews: tuple[DependentMatview, ...] = ()
    orphans: tuple[QualifiedName, ...] = ()

    @property
    def name(self) -> QualifiedName:
        """The table's name."""
        return self.table.relation

    @cached_property
    def definition(self) -> Definition:
        """Its properties with the future partition key."""
        section = self.section
        longer = {f"{k.table} {quote(k.constraint)}": k.column for k in section.referenced_by}
        return Definition(self.name, section.column, self.facts, longer)

    def of(self, kind: str) -> tuple[Fact, ...]:
        """Return its facts of one kind."""
        return self.definition.of(kind)

    @property
    def key(self) -> Fact | None:
        """The future partition key's column."""
        return self.definition.key

    @property
    def primary_key(self) -> Fact | None:
        """The primary key, a constraint."""
        return self.definition.primary_key

    @property
    def extended_key(self) -> tuple[str, ...]:
        """The columns of the future primary key; empty without one."""
        return self.definition.extended_key

    @property
    def extends_key(self) -> bool:
        """Whether the primary key lacks the partition key."""
        return self.definition.extends_key

    @cached_property
    def codec(self) -> KeyCodec:
        """The codec for bounds of its key."""
        column = self.table.column(self.section.column)
        assert column is not None, "a table without the key is refused"
        return KeyCodec(self.section.encoding, column.type, self.section.time_zone)

    @property
    def key_index(self) -> QualifiedName:
        """The name of the unique index that is built for the future primary key."""
        return QualifiedName(self.name.schema, f"{PREFIX}{self.table.oid}_key")


@dataclass(frozen=True, slots=True)
class ConversionObservation:
    """The tables to convert, and those that have helpers of an earlier conversion.

    Attributes:
        abandoned: plain tables that are not to be converted.
        unfinished: partitioned tables, by an interrupted conversion.
        failed: why the properties of a table could not be read.
        unread: why it is unknown whether the conversion of a partitioned table is finished.
        waits: by table, the conversions that other sessions have blocked.
        undone: the runs that undid a conversion, by the goal of its action.
        facts_sql: the query that reads the properties of a table on this server.
    """

    server: Server
    tables: tuple[ConvertibleTable, ...] = ()
    abandoned: tuple[ConvertibleTable, ...] = ()
    unfinished: tuple[ConvertibleTable, ...] = ()
    failed: Mapping[QualifiedName, str] = field(default_factory=dict[QualifiedName, str])
    unread: Mapping[QualifiedName, str] = field(default_factory=dict[QualifiedName, str])
    waits: Mapping[str, Wait] = field(default_factory=dict[str, Wait])
    undone: Mapping[str, str] = field(default_factory=dict[str, str])
    facts_sql: str = ""
