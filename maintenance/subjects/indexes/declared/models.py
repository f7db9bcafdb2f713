"""Models of declarations as they are found in the database: frozen, free of sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from maintenance.names import QualifiedName
from maintenance.policy.declarations import (
    CheckDeclaration,
    ColumnDeclaration,
    DropDeclaration,
    IndexDeclaration,
)
from maintenance.subjects.indexes.ddl import Definition
from maintenance.subjects.indexes.models import Index, Table

_REWRITTEN_PER_SECOND = 50_000_000
"""Bytes of a table that a rewrite is assumed to manage in a second, on a slow disk."""

MAX_COUNTED = 1000
"""How many duplicate keys are counted."""

NOT_TRIED = ""
"""The SQLSTATE of a refusal that is not the server's verdict on the definition."""


class State(StrEnum):
    """What a declaration is, compared with the database."""

    SAME = "same"
    MISSING = "missing"
    INCOMPLETE = "incomplete"
    """A partitioned index that some partitions lack, or a constraint that was not validated."""
    INVALID = "invalid"
    """It has the name and is not usable."""
    BUILDING = "building"
    """Another session builds it now."""
    DIFFERENT = "different"
    """It has the name, on the same table, and another definition."""
    NAME_TAKEN = "name_taken"
    """Something else has the name."""
    COVERED = "covered"
    """Another index can do everything that it could."""
    NO_TABLE = "no_table"
    NO_COLUMN = "no_column"
    REFUSED = "refused"
    """The server refuses the definition."""
    NOT_SUPPORTED = "not_supported"
    """It can't be built without blocking writers."""
    NOT_OURS = "not_ours"
    """Our role has not the rights of the table's owner."""
    UNKNOWN = "unknown"
    """It could not be observed now."""


class Refusal(NamedTuple):
    """The server's own verdict on a statement, or why there is none.

    Attributes:
        is_passing: whether there is none because of a lock or a time cap.
        facts: what it is about, JSON-ready.
    """

    sqlstate: str
    message: str
    hint: str = ""
    is_passing: bool = False
    facts: Mapping[str, Any] = MappingProxyType({})


class PartitionKey(NamedTuple):
    """By what a table is partitioned.

    Attributes:
        columns: without those within expressions.
        has_expression: whether an expression is part of it.
    """

    columns: tuple[str, ...]
    has_expression: bool


class TableColumn(NamedTuple):
    """A column of a table.

    Attributes:
        number: pg_attribute.attnum.
        type: as the server writes it.
        max_length: the most characters of a text with a limit; None without a limit; 0 of types
            whose values are short.
        generated: `s` stored, `v` virtual, empty for others.
        expression: of a generated one, as the server writes it.
    """

    number: int
    name: str
    type: str = ""
    max_length: int | None = 0
    is_not_null: bool = False
    generated: str = ""
    expression: str | None = None


class TableFacts(NamedTuple):
    """What declarations need to know of their table, beyond the catalog of indexes.

    Attributes:
        owner: the role.
        is_ours: whether our role has the owner's rights.
        partition_key: as in PARTITION BY; None for other tables.
        n_foreign: how many of its partitions are foreign tables.
        columns: by name.
        may_create: whether our role may create an index in the schema of the table.
        default_tablespace: of the database.
        tablespaces: all of the server.
        is_superusers: whether the owner is a superuser, whose rights are never to be granted.
        right: the statements that give our role the owner's rights.
    """

    owner: str
    is_ours: bool
    partition_key: str | None
    n_foreign: int
    columns: Mapping[str, TableColumn]
    may_create: bool = True
    default_tablespace: str = "pg_default"
    tablespaces: frozenset[str] = frozenset({"pg_default"})
    is_superusers: bool = False
    right: str = ""


@dataclass(frozen=True, slots=True)
class TrialIndex:
    """The result of building a declared index on an empty copy of its table.

    Attributes:
        tails: the definition as the server writes it, behind the word USING: once built from the
            declaration, and once built from what the server wrote, which is not always written the
            same again. A restored dump has the second one.
        indexes: both indexes, with the columns of the real table.
        refusal: of the server; the others are empty then.
    """

    tails: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    refusal: Refusal | None = None


class RowFacts(NamedTuple):
    """What a table holds that a declared index could fail on.

    Attributes:
        widest: bytes of the longest values of its columns of unlimited length, in one row; None if
            it has none, or if that is unknown.
        n_duplicates: keys that several rows have, of a unique index; None if unknown.
        duplicates: a few of these keys.
        unread: why something is unknown; empty if nothing is.
    """

    widest: int | None = None
    n_duplicates: int | None = None
    duplicates: tuple[str, ...] = ()
    unread: str = ""


NO_ROW_FACTS = RowFacts()


@dataclass(frozen=True, slots=True)
class Part:
    """A partition of a table with a declared index, at any level, and its own index.

    Attributes:
        parent_index: the index that this one is to be attached to.
        index: the index that it has, or the name of the one that it gets.
        is_built: whether the index exists, with the same definition, and is usable or, of a
            partitioned table, complete.
        is_there: whether the index of a partitioned table exists.
        is_attached: whether it is attached to that of the parent.
        leftover: an unusable index with the name that it gets.
        restore: the statements that create an index again that existed and was not attached.
    """

    table: Table
    parent_index: QualifiedName
    index: QualifiedName
    is_built: bool = False
    is_there: bool = False
    is_attached: bool = False
    leftover: Index | None = None
    restore: tuple[str, ...] = ()

    @property
    def is_leaf(self) -> bool:
        """Whether it has no partitions itself."""
        return self.table.kind != "p"


@dataclass(frozen=True, slots=True)
class OldPart:
    """The index of a partition that is dropped together with that of its table.

    Attributes:
        table: the partition.
        definition: as the server writes it, without the parts.
        restore: the statements that create it again.
    """

    index: Index
    table: Table
    definition: str
    restore: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OldIndex:
    """An index that a declaration replaces or drops.

    Attributes:
        table: its table.
        definition: as the server writes it, without the parts; empty if it is unknown.
        restore: the statements that create it again.
        parts: of a partitioned one, those of lower levels first.
        obstacle: why it must not be dropped, as a code; empty if it may be.
        message: the same in words.
    """

    index: Index
    table: Table
    definition: str = ""
    restore: tuple[str, ...] = ()
    parts: tuple[OldPart, ...] = ()
    obstacle: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class DeclaredIndex:
    """A declared index, compared with the database.

    Attributes:
        table: None if there is none.
        facts: of the table; None if there is none.
        existing: the index that has its name, on its table.
        definition: its definition as the server writes it, behind the word USING; None if unknown.
        alike: all ways in which the server writes it; see `TrialIndex`.
        predicate: of the definition, as the server writes it.
        found: the definition of the existing index, behind the word USING.
        built: the index of each of these definitions, with the columns of the real table.
        missing: names of columns that the table lacks.
        near: names that are much like the missing ones, by the missing name.
        covered_by: the index that makes it superfluous, or the name of a declared one.
        is_equal: whether that one has the same keys.
        refusal: why the server refuses the definition, or why it could not be tried.
        taken_by: what has its name.
        successor: the index built to take the place of the existing one, whose name it will get.
        is_succeeded: whether that one is usable and has the declared definition.
        parts: of a partitioned table, those of lower levels first.
        replaced: the indexes that it replaces and that exist.
        unknown: the indexes that it replaces, do not exist, and were not dropped by a run, with the
            names of existing ones that are much like them.
        waits_for: declared columns that it needs and that do not exist yet.
        rows: what its table holds, as far as it was read.
        upserts: of a unique index that is to be built: how often INSERT … ON CONFLICT was called on
            its table, where that can fail during the build; None if it is unknown.
    """

    declaration: IndexDeclaration
    state: State
    table: Table | None = None
    facts: TableFacts | None = None
    existing: Index | None = None
    definition: str | None = None
    alike: tuple[str, ...] = ()
    predicate: str | None = None
    found: str | None = None
    built: tuple[Index, ...] = ()
    missing: tuple[str, ...] = ()
    near: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    covered_by: QualifiedName | None = None
    is_equal: bool = False
    refusal: Refusal | None = None
    taken_by: str = ""
    successor: Index | None = None
    is_succeeded: bool = False
    parts: tuple[Part, ...] = ()
    replaced: tuple[OldIndex, ...] = ()
    unknown: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    waits_for: tuple[str, ...] = ()
    rows: RowFacts = NO_ROW_FACTS
    upserts: int | None = 0


@dataclass(frozen=True, slots=True)
class DeclaredDrop:
    """A declared drop.

    Attributes:
        old: the index; None if it does not exist.
        taken_by: what else has the name.
        near: existing indexes whose names are much like it, if it does not exist and no run dropped
            it.
    """

    declaration: DropDeclaration
    old: OldIndex | None = None
    taken_by: str = ""
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeclaredCheck:
    """A declared CHECK constraint, compared with the database.

    Attributes:
        definition: as the server writes it, from the word CHECK on; None if unknown.
        found: of the constraint that has its name.
        n_violators: rows that violate it; None if unknown.
        violators: primary keys of a few of them.
        unread: why their number is unknown; empty if it is not.
        waits_for: declared columns that it needs and that do not exist yet.
    """

    declaration: CheckDeclaration
    state: State
    table: Table | None = None
    facts: TableFacts | None = None
    definition: str | None = None
    found: str | None = None
    missing: tuple[str, ...] = ()
    near: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    refusal: Refusal | None = None
    n_violators: int | None = None
    violators: tuple[str, ...] = ()
    unread: str = ""
    waits_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeclaredColumn:
    """A declared generated column, compared with the database.

    Attributes:
        expression: as the server writes it; None if unknown.
        type: as the server writes it.
        found: what the column with its name is.
        bytes: of the table with its partitions.
    """

    declaration: ColumnDeclaration
    state: State
    table: Table | None = None
    facts: TableFacts | None = None
    expression: str | None = None
    type: str = ""
    found: str | None = None
    bytes: int = 0
    missing: tuple[str, ...] = ()
    near: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    refusal: Refusal | None = None

    @property
    def locked(self) -> timedelta:
        """About how long a rewrite of the table blocks readers and writers."""
        return timedelta(seconds=round(self.bytes / _REWRITTEN_PER_SECOND, 1))


class Constraint(NamedTuple):
    """A constraint that has the name of a declared one."""

    kind: str
    is_validated: bool
    definition: str


@dataclass(frozen=True, slots=True)
class DeclaredObservation:
    """The declarations of a policy, compared with the database."""

    indexes: tuple[DeclaredIndex, ...] = ()
    drops: tuple[DeclaredDrop, ...] = ()
    checks: tuple[DeclaredCheck, ...] = ()
    columns: tuple[DeclaredColumn, ...] = ()


NOTHING = DeclaredObservation()
"""The observation of a policy without declarations."""

Texts = Mapping[int, Definition]
"""The definitions of indexes, by OID."""
