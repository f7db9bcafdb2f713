"""Models of one drain: its tables and periods, and the columns that identify a row.

The drained partition is the default partition, or one that holds several periods. Copies of its
rows replace it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from maintenance.catalog.models import Partition, Table
from maintenance.catalog.trees import Tree
from maintenance.ddl.trees import Blueprint
from maintenance.names import QualifiedName, quote
from maintenance.subjects.partitions.released_names import as_released

PREFIX = "maintenance_drain"
CAPTURE = "maintenance_capture"
"""The trigger on each changed row of the drained partition."""

TRUNCATION = "maintenance_truncation"
"""The trigger that logs a TRUNCATE."""

DRAINED = "draining"
"""Mark of the log with the drained table; the log exists until all else of a drain is removed."""


@dataclass(frozen=True, slots=True)
class Objects:
    """The names, in the schema of the drained partition."""

    schema: str
    oid: int

    @property
    def prefix(self) -> str:
        """The prefix of all names."""
        return f"{PREFIX}_{self.oid}_"

    @property
    def plain(self) -> QualifiedName:
        """A partitioned table without indexes that routes copied rows to its partitions."""
        return self._named("plain")

    @property
    def root(self) -> QualifiedName:
        """A partitioned table with the parent's indexes, above the finished copies."""
        return self._named("root")

    @property
    def rest(self) -> QualifiedName:
        """The copy of the rows of no period: the next default partition."""
        return self._named("rest")

    @property
    def log(self) -> QualifiedName:
        """Keys of changed rows that must be copied again."""
        return self._named("log")

    @property
    def progress(self) -> QualifiedName:
        """How far the rows are copied, where copies are kept for the next run."""
        return self._named("progress")

    @property
    def old(self) -> QualifiedName:
        """The drained partition, after the exchange."""
        return self._named("old")

    @property
    def function(self) -> QualifiedName:
        """The trigger function."""
        return self._named("capture")

    def copy(self, key: str) -> QualifiedName:
        """The copy of one period, until it gets its own name."""
        return self._named(f"copy_{key.replace('-', '_')}")

    def tree(self, model: Tree, root: QualifiedName) -> Blueprint:
        """Return names for the tables of a tree, after its root with one of the names above."""
        names = {model.root.oid: root}
        for place, branch in enumerate(model.below, start=1):
            names[branch.oid] = QualifiedName(self.schema, f"{root.name}_p{place}")
        return Blueprint(model, names)

    def _named(self, part: str) -> QualifiedName:
        return QualifiedName(self.schema, self.prefix + part)


_WITHOUT_HASH = frozenset({"json", "xml"})
"""Types that have no hash function; their text is the same in every session."""


class DrainTarget(NamedTuple):
    """A table, or a tree of tables, for rows of the drained partition.

    Attributes:
        staged: with the names of its tables while they are filled.
        named: with their names while indexes are built; index names derive from them.
        final: with their names as a partition.
        bound: `FOR VALUES …` or `DEFAULT`.
        checks: conditions that its rows meet, so that ATTACH does not scan them.
    """

    staged: Blueprint
    named: Blueprint
    final: Blueprint
    bound: str
    checks: tuple[str, ...]

    @property
    def copy(self) -> QualifiedName:
        """Its name while it is filled."""
        return self.staged.root


class ForeignKey(NamedTuple):
    """A foreign key of the parent."""

    name: str
    definition: str
    referenced: QualifiedName


@dataclass(frozen=True, slots=True)
class Shape:
    """The parts of the parent's definition that determine how rows are copied.

    Attributes:
        columns: the columns that are written, in order.
        stored: those and the stored generated columns: all that can be compared.
        identity: columns that identify a row; empty without a key.
        partition_key: such as `RANGE (at)`.
    """

    columns: tuple[str, ...]
    stored: tuple[str, ...]
    identity: tuple[str, ...]
    partition_key: str
    n_indexes: int
    foreign_keys: tuple[ForeignKey, ...]


class Storage(NamedTuple):
    """The state that changes when a table is rewritten or altered, which fires no trigger."""

    oid: int
    filenode: int
    n_columns: int


@dataclass(frozen=True)
class Job:
    """One round of a drain.

    Attributes:
        role: our role, to know whether owners must be set.
        search_path: for functions of the owner, such as in a CHECK.
        drained: the partition that the copies replace.
        storage: of its tables, before anything was copied.
        periods: one target for each range of rows that leaves it.
        rest: the target for the other rows, which are the next default partition; None if the
            periods cover all that the drained partition may hold.
        is_released: whether the drained partition has lost its names for the exchange.
        keys: of the periods, where copies of an interrupted run are kept; else empty.
        resumes: whether such copies are continued.
    """

    table: Table
    drained: Partition
    role: str
    search_path: str
    shape: Shape
    storage: tuple[Storage, ...]
    periods: tuple[DrainTarget, ...]
    rest: DrainTarget | None
    is_released: bool = False
    keys: tuple[str, ...] = ()
    resumes: bool = False

    @property
    def owner(self) -> str:
        """The owner of the table, and of all objects of the drain."""
        return self.table.properties.owner

    @cached_property
    def objects(self) -> Objects:
        """The names of the objects of the drain."""
        return Objects(self.drained.relation.schema, self.drained.oid)

    @cached_property
    def standing(self) -> Partition:
        """The drained partition with the names that its tables have at present."""
        return as_released(self.drained) if self.is_released else self.drained

    @property
    def takes_names(self) -> bool:
        """Whether a target gets the name of one of the drained tables."""
        wanted = {name for target in self.targets for name in target.final.names.values()}
        return not wanted.isdisjoint(self.drained.names)

    @property
    def source(self) -> str:
        """The drained partition with all its rows, for a FROM clause."""
        name = self.standing.relation
        return f"ONLY {name}" if self.drained.tree is None else str(name)

    @property
    def sources(self) -> tuple[QualifiedName, ...]:
        """The tables that hold its rows."""
        return tuple(branch.relation for branch in self.standing.whole.leaves)

    @property
    def is_open(self) -> bool:
        """Whether a period's tree may refuse a row that the drained partition accepts."""
        return any(target.final.model.is_open for target in self.periods)

    @property
    def targets(self) -> tuple[DrainTarget, ...]:
        """All targets, with the one for the rest last."""
        return self.periods if self.rest is None else (*self.periods, self.rest)

    def identity(self, row: str) -> list[str]:
        """Return the expressions that identify a row, for an alias such as `NEW`.

        Without a key it is a hash of the whole row: rows with the same hash are copied together.
        """
        if self.shape.identity:
            return [f"{row}.{quote(name)}" for name in self.shape.identity]
        fields = ", ".join(self._hashable(row))
        return [f"pg_catalog.hash_record_extended(ROW({fields}), 0)"]

    def columns(self, row: str = "") -> str:
        """Return the list of columns that are written, qualified with an alias if given."""
        prefix = f"{row}." if row else ""
        return ", ".join(prefix + quote(name) for name in self.shape.columns)

    def _hashable(self, row: str) -> Iterator[str]:
        for name in self.shape.columns:
            column = self.table.column(name)
            assert column is not None, "both come from the same catalog"
            cast = "::text" if column.type in _WITHOUT_HASH else ""
            yield f"{row}.{quote(name)}{cast}"
