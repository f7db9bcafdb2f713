"""Trees: subpartitioned partitions with all tables below them."""

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
        bound: from `pg_get_expr`; None of a detached root, and of a table locked in ACCESS
            EXCLUSIVE mode.
        pages: blocks of 8 kB, estimated by the catalog, as are the rows; -1 if unknown.
        partition_by: such as `HASH (id)`; None for a table that is not partitioned.
        identity: its identity columns.
        options: storage options, such as `fillfactor=70` or `toast.autovacuum_enabled=off`.
        settings: for ANALYZE: column, key (`statistics` or `n_distinct`) and value.
        publications: those that list it as a whole table and that this role may alter.
        policies: of row-level security: the name, and the end of CREATE POLICY after the table.
        comment: on the table, without a mark of ours.
        n_statistics: the number of its extended statistics.
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
    """A fault of a tree, or a difference from other trees: a short code, and text."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A subpartitioned partition.

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
        """Its tables that store rows."""
        return tuple(branch for branch in self.branches if branch.kind != "p")

    @property
    def is_open(self) -> bool:
        """Whether it may refuse a row of its own period, because some values have no table."""
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
        """The total blocks of its leaves."""
        return sum(max(branch.pages, 0) for branch in self.leaves)

    @property
    def rows(self) -> float:
        """The total known rows of its leaves; -1 if unknown for all."""
        known = [branch.rows for branch in self.leaves if branch.rows >= 0]
        return sum(known) if known else -1

    @property
    def unreadable(self) -> QualifiedName | None:
        """A table below the partition whose bound could not be read, if any."""
        return next((b.relation for b in self.below if b.bound is None), None)

    @property
    def obstacle(self) -> str | None:
        """Why it can't be detached or dropped safely, as text; None if it can."""
        fault = self.fault
        return None if fault is None else fault.text

    @property
    def fault(self) -> Fault | None:
        """Why it can't be detached or dropped safely; None if it can.

        From 17 on PostgreSQL removes the identity from every table of a detached tree, and fails
        if one has none; a concurrent detach then can't be completed.
        """
        identity_of = {branch.oid: branch.identity for branch in self.branches}
        for branch in self.below:
            if branch.detach_pending:
                return Fault("detach_pending", f"{branch.relation} has a pending DETACH from it")
            if branch.kind not in ("r", "p"):
                return Fault("foreign", f"{branch.relation} is a foreign table")
            if branch.identity != identity_of.get(branch.parent or 0):
                return Fault(
                    "identity_lacking",
                    f"{branch.relation} lacks the identity columns of its parent, so PostgreSQL"
                    " can't detach the partition; detach it from its parent and attach it again",
                )
        return None

    def children(self, oid: int) -> list[Branch]:
        """Return the tables directly below one of its tables, the oldest first."""
        return [branch for branch in self.below if branch.parent == oid]

    def paths(self) -> dict[tuple[str, ...], Branch]:
        """Return its tables by the bounds on their path; the partition's path is empty."""
        path_of: dict[int, tuple[str, ...]] = {self.root.oid: ()}
        for branch in self.below:
            path_of[branch.oid] = (*path_of[branch.parent or 0], branch.bound or "")
        return {path_of[branch.oid]: branch for branch in self.branches}


def single(relation: QualifiedName, oid: int = 0, kind: str = "r") -> Tree:
    """Return the tree of a table that is not partitioned."""
    return Tree((Branch(parent=None, oid=oid, relation=relation, kind=kind),))
