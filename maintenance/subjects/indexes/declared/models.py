"""Models of declared indexes as they are found in the database: frozen, free of sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from maintenance.names import QualifiedName
from maintenance.policy.declarations import (
    CheckDeclaration,
    ColumnDeclaration,
    DropDeclaration,
    IndexDeclaration,
)
from maintenance.subjects.indexes.models import Index, Table


class State(StrEnum):
    """What a declaration is, compared with the database."""

    SAME = "same"
    MISSING = "missing"
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
    NOT_OURS = "not_ours"
    """Our role has not the rights of the table's owner."""
    UNKNOWN = "unknown"
    """It could not be observed now."""


class Refusal(NamedTuple):
    """The server's own verdict on a statement."""

    sqlstate: str
    message: str
    hint: str = ""


class TableColumn(NamedTuple):
    """A column of a table.

    Attributes:
        number: pg_attribute.attnum.
        type: as the server writes it.
        max_length: the most characters of a text with a limit; None without a limit; 0 of types
            whose values are short.
        generated: `s` stored, `v` virtual, empty for others.
    """

    number: int
    name: str
    type: str
    max_length: int | None
    is_not_null: bool
    generated: str


class TableFacts(NamedTuple):
    """What declarations need to know of their table, beyond the catalog of indexes.

    Attributes:
        owner: the role.
        is_ours: whether our role has the owner's rights.
        partition_key: as in PARTITION BY; None for other tables.
        columns: by name.
    """

    owner: str
    is_ours: bool
    partition_key: str | None
    columns: Mapping[str, TableColumn]


@dataclass(frozen=True, slots=True)
class TrialIndex:
    """The result of building a declared index on an empty copy of its table.

    Attributes:
        tail: the definition as the server writes it, behind the word USING.
        index: the index, with the columns of the real table.
        refusal: of the server; the others are None then.
    """

    tail: str | None = None
    index: Index | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class DeclaredIndex:
    """A declared index, compared with the database.

    Attributes:
        table: None if there is none.
        facts: of the table; None if there is none.
        existing: the index that has its name, on its table.
        definition: its definition as the server writes it, behind the word USING; None if unknown.
        predicate: of the definition, as the server writes it.
        found: the definition of the existing index, behind the word USING.
        missing: names of columns that the table lacks.
        near: names that are much like the missing ones, by the missing name.
        covered_by: the index that makes it superfluous, or the name of a declared one.
        refusal: why the server refuses the definition, or why it could not be tried.
        taken_by: what has its name.
    """

    declaration: IndexDeclaration
    state: State
    table: Table | None = None
    facts: TableFacts | None = None
    existing: Index | None = None
    definition: str | None = None
    predicate: str | None = None
    found: str | None = None
    missing: tuple[str, ...] = ()
    near: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    covered_by: QualifiedName | None = None
    is_equal: bool = False
    refusal: Refusal | None = None
    taken_by: str = ""


@dataclass(frozen=True, slots=True)
class DeclaredObservation:
    """The declarations of a policy, compared with the database."""

    indexes: tuple[DeclaredIndex, ...] = ()
    drops: tuple[DropDeclaration, ...] = ()
    checks: tuple[CheckDeclaration, ...] = ()
    columns: tuple[ColumnDeclaration, ...] = ()


NOTHING = DeclaredObservation()
"""The observation of a policy without declarations."""
