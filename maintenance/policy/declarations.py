"""Declared indexes, constraints and generated columns, as read from a SQL file. Pure."""

from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import NamedTuple

from maintenance.names import QualifiedName, quote

DESCENDING, NULLS_FIRST = 1, 2
"""Bits of a key's direction, as in pg_index.indoption."""


class Place(NamedTuple):
    """Where a statement begins: its file, line and column, counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """The file's name without its folder, and the line."""
        return f"{PurePath(self.file).name}:{self.line}"


class Annotations(NamedTuple):
    """The annotations of a statement.

    Attributes:
        wave: number of the rollout's step; None if the file gives none.
        replaces: indexes that it replaces.
        serves: names of queries that it is for.
        expect: how many times faster they are expected to be.
    """

    wave: int | None = None
    replaces: tuple[QualifiedName, ...] = ()
    serves: tuple[str, ...] = ()
    expect: float | None = None


class DeclaredKey(NamedTuple):
    """One key of an index.

    Attributes:
        text: as written, without comments.
        column: the column's name; None for an expression.
        direction: bits as in pg_index.indoption.
        has_class: whether it names an operator class or a collation.
    """

    text: str
    column: str | None
    direction: int = 0
    has_class: bool = False


@dataclass(frozen=True, slots=True)
class IndexDeclaration:
    """A declared index.

    Attributes:
        included: INCLUDE columns.
        predicate: of a partial index, as written, without comments.
        options: storage parameters, by name as written.
        columns: every column that it names, in order, each once.
        joined: columns that an expression joins with `||` as they are, so that one null makes all
            of it null.
        has_whole_row: whether an expression names the table itself, which no copy of it can have.
        tail: the definition as written, from the key list on, without the tablespace.
        length_before_where: characters of the tail before the predicate.
        text: the statement as written, without comments.
    """

    name: str
    table: QualifiedName
    is_unique: bool
    method: str
    keys: tuple[DeclaredKey, ...]
    included: tuple[str, ...]
    predicate: str | None
    options: tuple[tuple[str, str], ...]
    tablespace: str | None
    nulls_not_distinct: bool
    columns: tuple[str, ...]
    joined: tuple[str, ...]
    has_whole_row: bool
    tail: str
    length_before_where: int
    annotations: Annotations
    place: Place
    text: str

    @property
    def relation(self) -> QualifiedName:
        """The index's name: it is in the schema of its table."""
        return QualifiedName(self.table.schema, self.name)

    @property
    def wave(self) -> int:
        """The rollout's step."""
        return self.annotations.wave or 1

    @property
    def has_expression(self) -> bool:
        """Whether a key is an expression, whose statistics come with an ANALYZE."""
        return any(key.column is None for key in self.keys)

    def create(
        self,
        *,
        name: str | None = None,
        table: QualifiedName | None = None,
        only: bool = False,
        concurrently: bool = True,
        tablespace: bool = True,
        definition: str | None = None,
    ) -> str:
        """Return the statement that creates it.

        Args:
            name: another name.
            table: another table, such as a partition of its table.
            only: without the partitions of the table.
            concurrently: without blocking writers.
            tablespace: whether in the declared tablespace; not with `definition`.
            definition: the definition as the server writes it, from USING on, without the word;
                else as declared, which depends on the search_path.
        """
        words = ("CREATE", "UNIQUE" if self.is_unique else "", "INDEX")
        how = ("CONCURRENTLY" if concurrently else "", quote(name or self.name))
        on = ("ON", "ONLY" if only else "", str(table or self.table))
        space = self.tablespace if tablespace else None
        where = self.tail[self.length_before_where :]
        place = f" TABLESPACE {quote(space)}" if space is not None else ""
        tail = f"{self.tail[: self.length_before_where]}{place}{where}"
        using = ("USING", definition or f"{quote(self.method)} {tail}")
        return " ".join(word for word in (*words, *how, *on, *using) if word)


@dataclass(frozen=True, slots=True)
class DropDeclaration:
    """A declared drop of an index."""

    relation: QualifiedName
    annotations: Annotations
    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class CheckDeclaration:
    """A declared CHECK constraint.

    Attributes:
        expression: as written, without comments and outer parentheses.
        columns: every column that it names, in order, each once.
    """

    table: QualifiedName
    name: str
    expression: str
    is_no_inherit: bool
    columns: tuple[str, ...]
    annotations: Annotations
    place: Place
    text: str

    @property
    def object(self) -> str:
        """The constraint with its table, quoted."""
        return f"{self.table}.{quote(self.name)}"

    @property
    def add(self) -> str:
        """The clause of ALTER TABLE that adds it, as declared."""
        inherit = " NO INHERIT" if self.is_no_inherit else ""
        return f"ADD CONSTRAINT {quote(self.name)} CHECK ({self.expression}){inherit}"


@dataclass(frozen=True, slots=True)
class ColumnDeclaration:
    """A declared generated column.

    Attributes:
        definition: type, collation and expression as written, without comments.
        expression: as written, without comments and outer parentheses.
        is_virtual: whether it is computed when read; such a column does not rewrite its table.
        has_collation: whether it names a collation.
        columns: every column that its expression names, in order, each once.
        joined: columns that it joins with `||` as they are.
    """

    table: QualifiedName
    name: str
    definition: str
    expression: str
    is_virtual: bool
    has_collation: bool
    columns: tuple[str, ...]
    joined: tuple[str, ...]
    annotations: Annotations
    place: Place
    text: str

    @property
    def object(self) -> str:
        """The column with its table, quoted."""
        return f"{self.table}.{quote(self.name)}"

    @property
    def add(self) -> str:
        """The clause of ALTER TABLE that adds it, as declared."""
        return f"ADD COLUMN {quote(self.name)} {self.definition}"


Declaration = IndexDeclaration | DropDeclaration | CheckDeclaration | ColumnDeclaration


def meaning(declaration: Declaration) -> Declaration:
    """Return a declaration without its place and its wording, for comparisons of files."""
    return replace(declaration, place=Place("", 0, 0), text="")
