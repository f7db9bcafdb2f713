"""What is known of tables and their statistics. Frozen, free of the database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from maintenance.names import QualifiedName


class Counted(NamedTuple):
    """A leaf's counters.

    Attributes:
        total: rows inserted, updated and deleted since the server counts.
        n_rows: rows it holds, estimated.
    """

    total: int
    n_rows: float


class Baseline(NamedTuple):
    """What was known of a partitioned parent when somebody last looked.

    Attributes:
        analyzed_at: its last ANALYZE by then.
        carried: rows changed below it since then, up to that look.
        leaves: the counters at that look, by OID.
    """

    analyzed_at: datetime | None
    carried: float
    leaves: Mapping[int, Counted]


class TableFacts(NamedTuple):
    """One relation that has statistics, or should.

    Attributes:
        kind: pg_class.relkind: `r` table or partition, `p` partitioned parent, `m` view.
        parent: OID of the partitioned table it is a direct partition of.
        pages: blocks of 8 kB as of the last VACUUM or ANALYZE.
        rows: as of then; -1 if there was none.
        changed: rows changed since the last ANALYZE; for a parent always 0.
        total: rows inserted, updated and deleted since the server counts.
        live: rows it holds, as counted; 0 after a reset.
        frozen_age: transactions since everything in it was frozen; None for a parent.
        multixact_age: the same in multixacts.
        analyzed_at: by whomever; None if never since the server counts.
        autovacuum_pid: the worker of autovacuum that is at work on it.
        permitted: whether we may analyze and vacuum it.
        secured: whether row security hides its rows, and so its statistics, from us.
        described: whether it has statistics at all; None if that can't be seen.
        filled: whether it holds anything.
    """

    oid: int
    relation: QualifiedName
    kind: str
    parent: int | None
    owner: str
    pages: int
    rows: float
    changed: int
    total: int
    live: int
    dead: int
    frozen_age: int | None
    multixact_age: int | None
    analyzed_at: datetime | None
    autovacuum_pid: int | None = None
    permitted: bool = True
    described: bool | None = True
    filled: bool = True
    secured: bool = False

    @property
    def is_parent(self) -> bool:
        """Whether it is a partitioned parent, which holds no rows of its own."""
        return self.kind == "p"

    @property
    def n_rows(self) -> float:
        """Rows it holds, by the best estimate there is."""
        return max(self.rows, self.live, 0)

    @property
    def counted(self) -> Counted:
        """What a parent's debt is reckoned from."""
        return Counted(self.total, self.n_rows)


class ForeignPartition(NamedTuple):
    """A partition that lies on another server; ANALYZE of a parent reads it there."""

    relation: QualifiedName
    server: str


@dataclass(frozen=True, slots=True)
class StatisticsObservation:
    """One look at all statistics of a database.

    Attributes:
        major: the server's major version.
        role: who we are there.
        counts: whether the server counts changes at all (`track_counts`).
        freeze_max_age: the age at which autovacuum must freeze a table.
        multixact_freeze_max_age: the same in multixacts.
        baselines: what the store knows of partitioned parents, by OID.
        foreign: partitions on other servers, at any depth, by the OID of the partitioned parent.
        failed: tables of which the files could not be looked at, with the error.
        superusers: the roles that are one.
    """

    major: int
    role: str
    counts: bool
    freeze_max_age: int
    multixact_freeze_max_age: int
    tables: tuple[TableFacts, ...]
    baselines: Mapping[int, Baseline] = field(default_factory=dict[int, Baseline])
    foreign: Mapping[int, tuple[ForeignPartition, ...]] = field(
        default_factory=dict[int, tuple[ForeignPartition, ...]]
    )
    failed: Mapping[QualifiedName, str] = field(default_factory=dict[QualifiedName, str])
    superusers: frozenset[str] = frozenset()

    def leaves(self) -> dict[int, list[TableFacts]]:
        """Return the tables below each partitioned parent, at any depth."""
        by_oid = {table.oid: table for table in self.tables}
        below: dict[int, list[TableFacts]] = {t.oid: [] for t in self.tables if t.is_parent}
        for table in self.tables:
            if not table.is_parent:
                for parent in ancestors(table, by_oid):
                    below[parent.oid].append(table)
        return below


def ancestors(table: TableFacts, by_oid: Mapping[int, TableFacts]) -> Iterator[TableFacts]:
    """Yield the partitioned tables above a table, nearest first."""
    above = by_oid.get(table.parent) if table.parent is not None else None
    while above is not None:
        yield above
        above = by_oid.get(above.parent) if above.parent is not None else None
