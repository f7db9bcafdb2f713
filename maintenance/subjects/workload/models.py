"""What is seen of a server at work, and what was seen before: frozen, free of sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from maintenance.names import QualifiedName


class Server(NamedTuple):
    """Connections by state, counters and settings.

    Attributes:
        n_reserved: connections that no application can have.
        epoch: counters of one epoch are comparable.
        n_ours: connections to this database.
        connection_limit: the database's own; None without one.
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
        """Connections that applications can have."""
        return max(self.max_connections - self.n_reserved, 1)

    @property
    def is_limited(self) -> bool:
        """Whether the database's own limit is nearer than the server's."""
        limit = self.connection_limit
        return limit is not None and self.n_ours * self.n_usable > self.n_connections * limit


class Session(NamedTuple):
    """A transaction that has been open for a while.

    Attributes:
        pid: None for a prepared transaction, which `what` names.
        idle_s: how long it has been idle within the transaction; None while it works.
        holds_snapshot: whether VACUUM must keep what it could still see.
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
    """Something that VACUUM must keep old row versions for.

    Attributes:
        what: `session`, `prepared transaction`, `slot` or `standby`.
        age: transactions since the oldest that it still needs.
    """

    what: str
    name: str
    pid: int | None
    role: str | None
    application: str | None
    age: int


class Wraparound(NamedTuple):
    """How old the oldest transaction ids of a database are."""

    database: str
    is_ours: bool
    xid_age: int
    multixact_age: int
    freeze_max_age: int


class Replica(NamedTuple):
    """A standby or a slot, and how far behind it is; None where nobody knows."""

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
    """Counters of one statement since `since`, where the server tells (17+), and has one entry.

    Attributes:
        text: without literals.
        squares_ms: sum of the squares of all times, for how far they spread.
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


class Sample(NamedTuple):
    """All statements at one moment, by key.

    Attributes:
        epoch: when their counters were reset; None without the extension.
        n_evicted: how many entries had to make room since.
    """

    taken_at: datetime
    epoch: str | None
    n_evicted: int
    statements: Mapping[str, Counts]


class Statements(NamedTuple):
    """pg_stat_statements, as far as we can use it.

    Attributes:
        remedy: what to run so that we can; empty where we can.
        is_available: whether the server has it at all.
        hidden: how many statements of other roles do not show their text.
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
    """A replica that the policy names, asked for itself.

    Attributes:
        name: how the policy names it.
        load: its own; None where it can't be asked. Only a primary has sizes and wraparound.
        lag_bytes: how far it is behind the primary; None where nobody knows.
        silence: why it can't be asked.
    """

    name: str
    load: "WorkloadSnapshot | None" = None
    lag_bytes: int | None = None
    lag_s: float | None = None
    silence: str = ""


@dataclass(frozen=True, slots=True)
class WorkloadSnapshot:
    """Everything that the subject plans from: one server, and with the primary its replicas.

    Attributes:
        size_bytes: of the database; None where we may not know.
        free_bytes: on the server's disk; None where it can't be seen from here.
        blind: what could not be looked at, with the reason.
        holders: who keeps VACUUM from cleaning, the oldest first.
        standbys: the replicas of the policy, each with a load of its own.
        looks: earlier ones, oldest first.
        samples: earlier ones, oldest first.
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
    blind: Mapping[str, str] = field(default_factory=dict[str, str])
    holders: Sequence[Holder] = ()
    standbys: Sequence[Standby] = ()
    looks: Sequence[WorkloadReading] = ()
    samples: Sequence[Sample] = ()
    sizes_before: Mapping[str, Sequence[tuple[datetime, int]]] = field(
        default_factory=dict[str, Sequence[tuple[datetime, int]]]
    )
