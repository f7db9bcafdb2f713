"""Models of a server's workload and its history: frozen, free of sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from maintenance.engine.findings import Reading
from maintenance.names import QualifiedName


class Server(NamedTuple):
    """Connections by state, counters and settings.

    Attributes:
        n_reserved: connections reserved for superusers.
        epoch: counters of one epoch are comparable.
        n_ours: connections to this database.
        connection_limit: CONNECTION LIMIT of the database; None without one.
    """

    max_connections: int
    n_reserved: int
    n_connections: int
    n_active: int
    n_idle: int
    n_idle_in_transaction: int
    n_other: int
    blocks_hit: int
    blocks_read: int
    commits: int
    rollbacks: int
    epoch: str
    track_counts: bool
    track_io: bool
    n_ours: int = 0
    connection_limit: int | None = None

    @property
    def n_usable(self) -> int:
        """Connections that applications can use."""
        return max(self.max_connections - self.n_reserved, 1)

    @property
    def is_limited(self) -> bool:
        """Whether the database's CONNECTION LIMIT is reached before the server's."""
        limit = self.connection_limit
        return limit is not None and self.n_ours * self.n_usable > self.n_connections * limit


class Session(NamedTuple):
    """A long-open transaction.

    Attributes:
        pid: None for a prepared transaction, which `what` names.
        idle_s: seconds idle in transaction; None while a statement runs.
        holds_snapshot: whether VACUUM must keep row versions for it.
    """

    pid: int | None
    what: str
    role: str | None
    database: str | None
    application: str | None
    client: str | None
    state: str | None
    transaction_s: float
    idle_s: float | None
    holds_snapshot: bool


class Holder(NamedTuple):
    """An object for which VACUUM must keep old row versions.

    Attributes:
        what: `session`, `prepared transaction`, `slot` or `standby`.
        age: transactions since the oldest one it still needs.
    """

    what: str
    name: str
    pid: int | None
    role: str | None
    application: str | None
    age: int


class Wraparound(NamedTuple):
    """The ages of the oldest transaction and multixact ids of a database."""

    database: str
    is_ours: bool
    xid_age: int
    multixact_age: int
    freeze_max_age: int


class Replica(NamedTuple):
    """A standby or a replication slot and its lag; None if unknown."""

    what: str
    name: str
    state: str | None
    lag_bytes: int | None
    lag_s: float | None


class TableSize(NamedTuple):
    """A table with its indexes and TOAST; a partitioned one is the sum of its partitions."""

    relation: QualifiedName
    n_partitions: int
    size_bytes: int
    n_rows: float | None


class Counts(NamedTuple):
    """Counters of one statement; `since` is known on 17 and later if it has one entry.

    Attributes:
        text: without literals.
        squares_ms: sum of the squares of all times, for the standard deviation.
        temp_blocks: blocks written to temporary files.
        wal_bytes: volume of WAL that it wrote.
        n_entries: how many entries of pg_stat_statements were merged.
        is_nested: whether it only ran inside functions.

    The last four are None in observations of older versions of this software.
    """

    text: str
    since: datetime | None
    calls: int
    total_ms: float
    squares_ms: float
    max_ms: float
    n_rows: int
    blocks_hit: int
    blocks_read: int
    read_ms: float
    temp_blocks: int | None = None
    wal_bytes: int | None = None
    n_entries: int | None = None
    is_nested: bool | None = None


class Sample(NamedTuple):
    """The heaviest statements at one moment, by key.

    Attributes:
        epoch: when their counters were reset; None without the extension.
        n_evicted: how many entries were evicted since.
        unseen_ms: the longest call that a statement outside the sample can have had, in
            milliseconds; 0 if the sample has all statements, None if unknown.
    """

    taken_at: datetime
    epoch: str | None
    n_evicted: int
    statements: Mapping[str, Counts]
    unseen_ms: float | None = None


class Statements(NamedTuple):
    """The state of pg_stat_statements.

    Attributes:
        remedy: how to make it usable; empty if it is usable.
        is_available: whether it is installed on the server.
        hidden: how many statements of other roles have no visible text.
    """

    sample: Sample | None
    remedy: str = ""
    is_available: bool = True
    hidden: int = 0


class WorkloadReading(NamedTuple):
    """Counters and gauges of an earlier run."""

    taken_at: datetime
    epoch: str
    blocks_hit: int
    blocks_read: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Standby:
    """A replica named in the policy, observed by a session of its own.

    Attributes:
        name: its name in the policy.
        load: its snapshot; None if not reachable. Only a primary has sizes and wraparound.
        lag_bytes: how far it is behind the primary; None if unknown.
        silence: why it is not reachable.
    """

    name: str
    load: "WorkloadSnapshot | None" = None
    lag_bytes: int | None = None
    lag_s: float | None = None
    silence: str = ""


@dataclass(frozen=True, slots=True)
class WorkloadSnapshot:
    """The observation of one server; that of the primary includes its replicas.

    Attributes:
        size_bytes: of the database; None if not permitted.
        free_bytes: on the server's disk; None if not visible from here.
        blind: failed observations, with the reason.
        holders: objects that hold back VACUUM, the oldest first.
        standbys: the replicas of the policy, each with its own snapshot.
        looks: earlier observations, oldest first.
        samples: earlier samples, oldest first.
        sizes_before: sizes of tables at earlier moments, oldest first, by quoted name.
    """

    server: Server
    sessions: tuple[Session, ...]
    wraparound: tuple[Wraparound, ...]
    replicas: tuple[Replica, ...]
    sizes: tuple[TableSize, ...]
    statements: Statements
    size_bytes: int | None = None
    free_bytes: int | None = None
    blind: Mapping[Reading, str] = field(default_factory=dict[Reading, str])
    holders: Sequence[Holder] = ()
    standbys: Sequence[Standby] = ()
    looks: Sequence[WorkloadReading] = ()
    samples: Sequence[Sample] = ()
    sizes_before: Mapping[str, Sequence[tuple[datetime, int]]] = field(
        default_factory=dict[str, Sequence[tuple[datetime, int]]]
    )
