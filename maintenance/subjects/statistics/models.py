"""Models of tables and their statistics: frozen, free of sessions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from maintenance.names import QualifiedName
from maintenance.server.grants import Grants

PARENT = "p"
"""`pg_class.relkind` of a partitioned parent."""


class Counted(NamedTuple):
    """A leaf's counters.

    Attributes:
        total: rows inserted, updated and deleted since the counters began.
        n_rows: estimated number of rows.
    """

    total: int
    n_rows: float


class Baseline(NamedTuple):
    """The recorded state of a partitioned parent at the last observation.

    Attributes:
        analyzed_at: its last ANALYZE by then.
        carried: rows changed below it between that ANALYZE and the observation.
        leaves: the counters at the observation, by OID.
    """

    analyzed_at: datetime | None
    carried: float
    leaves: Mapping[int, Counted]


class TableFacts(NamedTuple):
    """One relation that has statistics, or should have.

    Attributes:
        kind: pg_class.relkind: `r` table or partition, `p` partitioned parent, `m` view.
        parent: OID of the partitioned table it is a direct partition of.
        pages: blocks of 8 kB as of the last VACUUM or ANALYZE.
        rows: as of then; -1 if there was none.
        changed: rows changed since the last ANALYZE; for a parent always 0.
        total: rows inserted, updated and deleted since the counters began.
        live: live rows by the counters; 0 after a reset.
        frozen_age: age(relfrozenxid); None for a parent.
        multixact_age: the same in multixacts.
        analyzed_at: the last ANALYZE, manual or automatic; None if none since the counters began.
        autovacuum_pid: the autovacuum worker on this table.
        permitted: whether this role may analyze and vacuum it.
        secured: whether row-level security hides its statistics from this role.
        described: whether it has any statistics; None if that is not visible.
        filled: whether it has any rows.
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
        """Whether it is a partitioned parent, which has no rows itself."""
        return self.kind == PARENT

    @property
    def n_rows(self) -> float:
        """The best estimate of its number of rows."""
        return max(self.rows, self.live, 0)

    @property
    def counted(self) -> Counted:
        """The counters from which a parent's debt is computed."""
        return Counted(self.total, self.n_rows)


class ForeignPartition(NamedTuple):
    """A foreign partition; ANALYZE of its parent reads it from the foreign server."""

    relation: QualifiedName
    server: str


@dataclass(frozen=True, slots=True)
class StatisticsObservation:
    """One observation of all statistics of a database.

    Attributes:
        major: the server's major version.
        rights: our role on the server, and what may be granted to it.
        counts: whether `track_counts` is on.
        freeze_max_age: the age at which autovacuum must freeze a table.
        multixact_freeze_max_age: the same in multixacts.
        baselines: recorded states of partitioned parents, by OID.
        foreign: partitions on other servers, at any depth, by the OID of the partitioned parent.
        failed: tables whose files could not be read, with the error.
        made: relations that runs made or filled, and their tables, where the nightly run that
            analyzes them was not due since.
    """

    major: int
    rights: Grants
    counts: bool
    freeze_max_age: int
    multixact_freeze_max_age: int
    tables: tuple[TableFacts, ...]
    baselines: Mapping[int, Baseline] = field(default_factory=dict[int, Baseline])
    foreign: Mapping[int, tuple[ForeignPartition, ...]] = field(
        default_factory=dict[int, tuple[ForeignPartition, ...]]
    )
    failed: Mapping[QualifiedName, str] = field(default_factory=dict[QualifiedName, str])
    made: frozenset[str] = frozenset()

    @property
    def role(self) -> str:
        """Our role on the server."""
        return self.rights.role

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
