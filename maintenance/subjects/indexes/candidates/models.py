"""Models of index candidates: frozen, free of sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from maintenance.names import QualifiedName, quote

INDEX_CANDIDATES = "index_candidates"
"""The name of what was looked at among the facts of a plan."""

LEAST_GAIN = 2.0
"""A candidate must make the plan of a statement cheaper so many times."""


class SlowStatement(NamedTuple):
    """One query.

    Attributes:
        key: of the normalized text, the same as in findings on slow statements.
        text: normalized, to be shown.
        query: to be planned; never shown.
    """

    key: str
    text: str
    query: str
    calls: int
    mean_ms: float
    total_ms: float


class SlowStatements(NamedTuple):
    """The slowest queries, those with most time first.

    Attributes:
        silence: why there are none to see; empty if they were read.
        since: since when the server has counted; None if unknown.
        hidden: entries of other roles whose text this role may not see.
    """

    statements: tuple[SlowStatement, ...] = ()
    silence: str = ""
    since: datetime | None = None
    hidden: int = 0


class NotPlanned(StrEnum):
    """Why a slow statement was not looked at."""

    NOT_PARSED = "not_one_query_that_reads"
    TYPES = "casts_to_a_type_of_a_role"
    REFUSED = "refused_by_the_server"
    RIGHTS = "rights"
    BUDGET = "budget"


class KeyColumn(NamedTuple):
    """One key column of a candidate.

    Attributes:
        suffix: `DESC NULLS LAST` and its like; empty for the usual order, which is read both ways.
    """

    name: str
    suffix: str = ""

    def __str__(self) -> str:
        return f"{quote(self.name)} {self.suffix}".strip()


class Shape(NamedTuple):
    """What makes two candidates the same.

    Attributes:
        columns: those compared with `=`, then at most one by which rows are ordered or compared by
            a range.
        conditions: of a partial index, such as `deleted_at IS NULL`.
    """

    table: QualifiedName
    columns: tuple[KeyColumn, ...]
    conditions: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(each.name for each in self.columns)


class PresentIndex(NamedTuple):
    """An index that there is or that is declared.

    Attributes:
        columns: its keys; None for an expression.
        predicate: of a partial index.
        is_declared: whether it is declared and not built.
    """

    relation: QualifiedName
    columns: tuple[str | None, ...]
    predicate: str | None = None
    is_declared: bool = False


class TableColumn(NamedTuple):
    """A column of a table.

    Attributes:
        n_distinct: distinct values; None if unknown.
        width: average bytes of a value; None if unknown.
    """

    name: str
    n_distinct: float | None = None
    width: int | None = None


class CandidateTable(NamedTuple):
    """A table that slow statements read.

    Attributes:
        pages: 8 kB blocks, of its partitions together.
        rows: the catalog's estimate, of its partitions together.
        is_partitioned: whether it is partitioned.
        columns: by name.
        indexes: that there are or are declared; of a partitioned table, its own.
    """

    relation: QualifiedName
    pages: int
    rows: float
    is_partitioned: bool = False
    columns: Mapping[str, TableColumn] = {}
    indexes: Sequence[PresentIndex] = ()


class Gain(NamedTuple):
    """What HypoPG shows of one statement.

    Attributes:
        cost_before: the planner's estimate now.
        cost_after: with the candidate.
    """

    cost_before: float
    cost_after: float

    @property
    def times(self) -> float:
        """How many times cheaper the plan is."""
        return self.cost_before / max(self.cost_after, 0.01)


class ServedStatement(NamedTuple):
    """A slow statement that a candidate is for.

    Attributes:
        gain: None if it was not proven.
        is_tried: whether HypoPG could pretend the candidate.
        is_selective: whether the planner expects few rows, so that an index is likely to pay.
    """

    statement: SlowStatement
    gain: Gain | None = None
    is_tried: bool = False
    is_selective: bool = False

    def as_json(self) -> dict[str, Any]:
        """The statement for documents; its text is normalized."""
        gain = self.gain
        return {
            "statement": self.statement.key,
            "text": self.statement.text,
            "calls": self.statement.calls,
            "mean_ms": round(self.statement.mean_ms, 3),
            "total_ms": round(self.statement.total_ms, 1),
            "cost_before": round(gain.cost_before, 2) if gain is not None else None,
            "cost_after": round(gain.cost_after, 2) if gain is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index that slow statements would have use of.

    Attributes:
        name: that is free.
        statements: those with most time first.
        instead_of: an index with the same columns in another order, which they can't use.
        size_bytes: as HypoPG estimates it; None if it was not asked.
        is_proven: whether HypoPG showed that a plan takes it and becomes cheaper.
        is_partitioned: whether its table is partitioned.
    """

    shape: Shape
    name: str
    statements: tuple[ServedStatement, ...]
    instead_of: PresentIndex | None = None
    size_bytes: int | None = None
    is_proven: bool = False
    is_partitioned: bool = False

    @property
    def relation(self) -> QualifiedName:
        """Its qualified name."""
        return QualifiedName(self.shape.table.schema, self.name)

    @property
    def gain(self) -> float:
        """How many times cheaper the plan of its best statement becomes; 0 if unknown."""
        return max((each.gain.times for each in self.statements if each.gain), default=0.0)

    @property
    def saved_ms(self) -> float:
        """The time that its statements would have saved, as far as costs tell; else all of it."""
        return sum(
            each.statement.total_ms * (1 - 1 / max(each.gain.times, 1.0) if each.gain else 1)
            for each in self.statements
        )

    def create(self, *, concurrently: bool = True) -> str:
        """Return the statement that creates it.

        Args:
            concurrently: whether without blocking writers, which a partitioned table does not allow
                as a whole.
        """
        how = " CONCURRENTLY" if concurrently and not self.is_partitioned else ""
        return create_index(self.shape, self.name, how)


def create_index(shape: Shape, name: str, how: str = "") -> str:
    """Return the statement that creates an index of a shape."""
    columns = ", ".join(map(str, shape.columns))
    where = f" WHERE {' AND '.join(shape.conditions)}" if shape.conditions else ""
    return f"CREATE INDEX{how} {quote(name)} ON {shape.table} ({columns}){where}"


@dataclass(frozen=True, slots=True)
class CandidatesObservation:
    """What slow statements ask for.

    Attributes:
        n_statements: that were looked at; None if statements could not be read.
        silence: why not.
        failure: the error if reading failed; empty if it did not.
        not_planned: how many statements were not, by the reason.
        hidden: entries of other roles whose text this role may not see.
        hypopg: its version; empty if it is not in this database.
        candidates: those that save most time first.
        n_rejected: candidates with which no plan became cheaper.
    """

    n_statements: int | None = None
    silence: str = ""
    failure: str = ""
    not_planned: Mapping[NotPlanned, int] = field(default_factory=dict[NotPlanned, int])
    hidden: int = 0
    hypopg: str = ""
    candidates: tuple[Candidate, ...] = ()
    n_rejected: int = 0

    def as_json(self) -> dict[str, Any]:
        """What was looked at, for documents."""
        return {
            "statements": self.n_statements,
            "silence": self.silence or self.failure,
            "not_planned": {reason.value: n for reason, n in self.not_planned.items()},
            "hidden": self.hidden,
            "hypopg": self.hypopg,
            "candidates": len(self.candidates),
            "rejected": self.n_rejected,
        }


NO_CANDIDATES = CandidatesObservation()
"""Of a policy that asks for none."""
