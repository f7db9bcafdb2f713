"""Trees: partitions that are partitioned themselves, with all that is below them."""

from dataclasses import dataclass
from typing import NamedTuple

from maintenance.names import QualifiedName

DEFAULT_BOUND = "DEFAULT"
"""The bound that `pg_get_expr` shows for a default partition."""


class Branch(NamedTuple):
    """One table of a tree.

    Attributes:
        parent: OID of the table that it is a partition of; None of a detached root.
        kind: pg_class.relkind: `p` partitioned table, `r` table, `f` foreign table.
        bound: as `pg_get_expr` shows it; None of a detached root, and where somebody's ACCESS
            EXCLUSIVE lock kept us from reading it.
        pages: blocks of 8 kB, estimated by the catalog, as are the rows; -1 if unknown.
        partition_by: such as `HASH (id)`; None of a plain table.
        identity: its identity columns.
        options: storage options, such as `fillfactor=70` or `toast.autovacuum_enabled=off`.
        settings: what ANALYZE is told: column, key (`statistics` or `n_distinct`) and value.
        publications: those it is a member of by itself, whole, and that we may alter.
        policies: of row security: the name, and what follows the table's in CREATE POLICY.
        comment: on the table, as far as it is no mark of ours.
        n_statistics: how many extended statistics it has.
    """

    parent: int | None
    oid: int
    relation: QualifiedName
    kind: str
    detach_pending: bool = False
    bound: str | None = None
    pages: int = 0
    rows: float = -1
    partition_by: str | None = None
    identity: tuple[str, ...] = ()
    tablespace: str | None = None
    access_method: str | None = None
    options: tuple[str, ...] = ()
    settings: tuple[tuple[str, str, str], ...] = ()
    publications: tuple[str, ...] = ()
    policies: tuple[tuple[str, str], ...] = ()
    comment: str | None = None
    columns_described: bool = False
    n_statistics: int = 0


class Fault(NamedTuple):
    """What is wrong with a tree, or otherwise than in others: a short code, and in words."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A partition that is partitioned itself.

    Attributes:
        branches: the partition first, each table before those below it.
    """

    branches: tuple[Branch, ...]

    @property
    def root(self) -> Branch:
        """The partition itself."""
        return self.branches[0]

    @property
    def below(self) -> tuple[Branch, ...]:
        """All tables but the partition itself."""
        return self.branches[1:]

    @property
    def leaves(self) -> tuple[Branch, ...]:
        """Its tables that hold rows."""
        return tuple(branch for branch in self.branches if branch.kind != "p")

    @property
    def is_open(self) -> bool:
        """Whether it may refuse a row of its own period: some values have no table in it."""
        return any(
            not (branch.partition_by or "HASH").startswith("HASH")
            and all(child.bound != DEFAULT_BOUND for child in self.children(branch.oid))
            for branch in self.branches
        )

    @property
    def oids(self) -> tuple[int, ...]:
        """The OIDs of all its tables, ascending."""
        return tuple(sorted(branch.oid for branch in self.branches))

    @property
    def pages(self) -> int:
        """The blocks of its leaves together."""
        return sum(max(branch.pages, 0) for branch in self.leaves)

    @property
    def rows(self) -> float:
        """The rows of its leaves together, as far as known; -1 if of none."""
        known = [branch.rows for branch in self.leaves if branch.rows >= 0]
        return sum(known) if known else -1

    @property
    def unreadable(self) -> QualifiedName | None:
        """A table below the partition whose bound could not be read, if any."""
        return next((b.relation for b in self.below if b.bound is None), None)

    @property
    def obstacle(self) -> str | None:
        """In words, why it can't be detached or dropped without loss, if so."""
        fault = self.fault
        return None if fault is None else fault.text

    @property
    def fault(self) -> Fault | None:
        """Why it can't be detached or dropped without loss, if so.

        From 17 on PostgreSQL takes the identity away from every table of a tree that is detached,
        and fails where one has none; a concurrent detach then can't be ended any more.
        """
        identity_of = {branch.oid: branch.identity for branch in self.branches}
        for branch in self.below:
            if branch.detach_pending:
                return Fault("detach_pending", f"{branch.relation} is half detached from it")
            if branch.kind not in ("r", "p"):
                return Fault("foreign", f"{branch.relation} is no table of this database")
            if branch.identity != identity_of.get(branch.parent or 0):
                return Fault(
                    "identity_lacking",
                    f"{branch.relation} lacks the identity columns of its parent, and PostgreSQL"
                    " detaches no such tree: detach it from there and attach it again",
                )
        return None

    def children(self, oid: int) -> list[Branch]:
        """Return the tables right below one of its tables, the oldest first."""
        return [branch for branch in self.below if branch.parent == oid]

    def paths(self) -> dict[tuple[str, ...], Branch]:
        """Return its tables by the bounds that lead to them; the partition's path is empty."""
        path_of: dict[int, tuple[str, ...]] = {self.root.oid: ()}
        for branch in self.below:
            path_of[branch.oid] = (*path_of[branch.parent or 0], branch.bound or "")
        return {path_of[branch.oid]: branch for branch in self.branches}


def single(relation: QualifiedName, oid: int = 0, kind: str = "r") -> Tree:
    """Return a table that has nothing below it as a tree."""
    return Tree((Branch(parent=None, oid=oid, relation=relation, kind=kind),))
