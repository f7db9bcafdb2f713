"""What one drain is about: the tables, the periods, and how a row is told from others."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from maintenance.catalog.models import Partition, Table
from maintenance.catalog.trees import Tree
from maintenance.ddl.trees import Blueprint
from maintenance.names import QualifiedName, quote

PREFIX = "maintenance_drain"
CAPTURE = "maintenance_capture"
"""The trigger on each changed row of the default partition."""

TRUNCATION = "maintenance_truncation"
"""The trigger that tells of a TRUNCATE."""

DRAINED = "draining"
"""Mark of the log, which stands as long as anything of a drain does: whose rows are copied."""


@dataclass(frozen=True, slots=True)
class Objects:
    """The names, in the schema of the default partition."""

    schema: str
    oid: int

    @property
    def prefix(self) -> str:
        """What all names begin with."""
        return f"{PREFIX}_{self.oid}_"

    @property
    def plain(self) -> QualifiedName:
        """A partitioned table without indexes that sorts what is copied into its partitions."""
        return self._named("plain")

    @property
    def root(self) -> QualifiedName:
        """A partitioned table that has the parent's indexes, over the finished copies."""
        return self._named("root")

    @property
    def rest(self) -> QualifiedName:
        """The copy of what belongs to no period, to be the next default partition."""
        return self._named("rest")

    @property
    def log(self) -> QualifiedName:
        """Keys of rows that changed and are to be copied again."""
        return self._named("log")

    @property
    def old(self) -> QualifiedName:
        """The default partition, once the copies have taken its place."""
        return self._named("old")

    @property
    def function(self) -> QualifiedName:
        """What the triggers call."""
        return self._named("capture")

    def copy(self, key: str) -> QualifiedName:
        """The copy of one period, until it gets its own name."""
        return self._named(f"copy_{key.replace('-', '_')}")

    def tree(self, model: Tree, root: QualifiedName) -> Blueprint:
        """Name the tables of a tree after its root, which has one of the names above."""
        names = {model.root.oid: root}
        for place, branch in enumerate(model.below, start=1):
            names[branch.oid] = QualifiedName(self.schema, f"{root.name}_p{place}")
        return Blueprint(model, names)

    def _named(self, part: str) -> QualifiedName:
        return QualifiedName(self.schema, self.prefix + part)


_WITHOUT_HASH = frozenset({"json", "xml"})
"""Types that have no hash function; their text is the same in every session."""


class Target(NamedTuple):
    """A table, or a tree of them, that takes rows of the default partition.

    Attributes:
        staged: with the names of its tables while they are filled.
        named: with those that they bear while indexes are built, which get theirs from them.
        final: with those that they have as a partition.
        bound: `FOR VALUES …` or `DEFAULT`.
        checks: conditions that its rows meet, by which ATTACH need not look at them.
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
    """What of the parent's definition decides how rows are copied.

    Attributes:
        columns: those that are written, in order.
        stored: those and the generated ones that are stored: all that can be compared.
        identity: columns that tell a row from every other; none where no key does.
        partition_key: such as `RANGE (at)`.
    """

    columns: tuple[str, ...]
    stored: tuple[str, ...]
    identity: tuple[str, ...]
    partition_key: str
    n_indexes: int
    foreign_keys: tuple[ForeignKey, ...]


class Storage(NamedTuple):
    """What changes when a table is rewritten, or columns come and go: no trigger tells of that."""

    oid: int
    filenode: int
    n_columns: int


@dataclass(frozen=True)
class Job:
    """One round of a drain.

    Attributes:
        role: who we are, to know whether owners must be set.
        search_path: where functions of the owner's, such as in a CHECK, look for names.
        storage: of the default partition's tables, before anything was copied.
        periods: one for each period that leaves the default partition.
        rest: for all that stays.
    """

    table: Table
    default: Partition
    role: str
    search_path: str
    shape: Shape
    storage: tuple[Storage, ...]
    periods: tuple[Target, ...]
    rest: Target

    @property
    def owner(self) -> str:
        """Of the table, and of all that the drain makes."""
        return self.table.properties.owner

    @cached_property
    def objects(self) -> Objects:
        """The names of what it makes."""
        return Objects(self.default.relation.schema, self.default.oid)

    @property
    def source(self) -> str:
        """The default partition with all its rows, for a FROM clause."""
        name = self.default.relation
        return f"ONLY {name}" if self.default.tree is None else str(name)

    @property
    def sources(self) -> tuple[QualifiedName, ...]:
        """The tables that hold its rows."""
        return tuple(branch.relation for branch in self.default.whole.leaves)

    @property
    def is_open(self) -> bool:
        """Whether a period's tree may refuse a row that the default partition takes."""
        return any(target.final.model.is_open for target in self.periods)

    @property
    def targets(self) -> tuple[Target, ...]:
        """All of them, that for the rest last."""
        return (*self.periods, self.rest)

    def identity(self, row: str) -> list[str]:
        """Return the expressions by which a row is found again, for an alias such as `NEW`.

        Without a key it is a hash of the whole row: rows that share one are copied again together.
        """
        if self.shape.identity:
            return [f"{row}.{quote(name)}" for name in self.shape.identity]
        fields = ", ".join(self._hashable(row))
        return [f"pg_catalog.hash_record_extended(ROW({fields}), 0)"]

    def columns(self, row: str = "") -> str:
        """Return the list of columns that are written, each of an alias if one is given."""
        prefix = f"{row}." if row else ""
        return ", ".join(prefix + quote(name) for name in self.shape.columns)

    def _hashable(self, row: str) -> Iterator[str]:
        for name in self.shape.columns:
            column = self.table.column(name)
            assert column is not None, "both come from the same catalog"
            cast = "::text" if column.type in _WITHOUT_HASH else ""
            yield f"{row}.{quote(name)}{cast}"
