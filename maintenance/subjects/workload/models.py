"""Models of a server's workload and its history: frozen, free of sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from maintenance.engine.findings import Reading
from maintenance.names import QualifiedName

OUR_SESSIONS = "maintenance "
"""The application names of this software's own sessions begin with it."""


class Server(NamedTuple):
    """Connections by state, counters and settings.

    Attributes:
        n_reserved: connections reserved for superusers.
        epoch: counters of one epoch are comparable.
        n_ours: connections to this database.
        connection_limit: CONNECTION LIMIT of the database; None without one.
        n_hidden: sessions of other roles whose state this role may not see.
        in_recovery: whether the server is a standby.
        monitors: whether this role has the rights of pg_monitor.
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
    n_hidden: int = 0
    in_recovery: bool = False
    monitors: bool = True

    @property
    def n_usable(self) -> int:
        """Connections that applications can use."""
        return max(self.max_connections - self.n_reserved, 1)

    @property
    def is_limited(self) -> bool:
        """Whether the database's CONNECTION LIMIT is reached before the server's."""
        limit = self.connection_limit
        return limit is not None and self.n_ours * self.n_usable > self.n_connections * limit

    @property
    def pool(self) -> tuple[int, int]:
        """Connections in use and usable ones: of the server, or of the database's lower limit."""
        if self.is_limited and self.connection_limit is not None:
            return self.n_ours, max(self.connection_limit, 1)
        return self.n_connections, self.n_usable


class ConnectionGroup(NamedTuple):
    """Connections of clients that have all of this in common; None is not shown to our role.

    Attributes:
        client: the address, or `local`.
        is_encrypted: whether they use TLS; None also for local ones.
        n: how many they are.
        longest_s: the longest time that one of them has been in this state.
    """

    database: str | None
    role: str | None
    application: str | None
    client: str | None
    state: str | None
    is_encrypted: bool | None
    n: int
    longest_s: float | None


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


class LockNode(NamedTuple):
    """A session in a lock tree: one that waits, or one that others wait for.

    Attributes:
        pid: 0 for a prepared transaction.
        blockers: the pids that it waits for; empty at the root of a tree.
        wait_s: seconds it has waited; None if it does not wait.
        lock: what it waits for, such as `AccessExclusiveLock on public.events`.
    """

    pid: int
    role: str | None
    database: str | None
    application: str | None
    client: str | None
    state: str | None
    transaction_s: float | None
    blockers: tuple[int, ...]
    wait_s: float | None
    lock: str | None

    @property
    def is_ours(self) -> bool:
        """Whether it is a session of this software, which gives up by itself."""
        return (self.application or "").startswith(OUR_SESSIONS)


class LockTree(NamedTuple):
    """The sessions that wait for a lock, and those that they wait for.

    Attributes:
        nodes: those with the longest waits, the roots first.
        n_waiting: how many sessions wait.
    """

    nodes: tuple[LockNode, ...] = ()
    n_waiting: int = 0


class Running(NamedTuple):
    """A statement at work for longer than the policy's `slow_query`.

    Attributes:
        command: its first word; the text is not read, because it may contain secrets.
        wait: the type of event that it waits for, such as `Lock` or `IO`.
    """

    pid: int
    role: str | None
    database: str | None
    application: str | None
    client: str | None
    command: str | None
    wait: str | None
    statement_s: float


class WatchSample(NamedTuple):
    """The volatile numbers of one moment, a row of the store; None is unknown.

    Attributes:
        n_connections: in use, of the server or of the database's lower CONNECTION LIMIT.
        n_usable: those that applications can use of them.
        n_waiting: sessions that wait for a lock.
        longest_idle_s: the longest time idle in transaction.
        n_slow: statements at work for longer than `slow_query`.
        slot_bytes: the most WAL that a replication slot holds.
        wraparound: the largest share of used transaction ids.
        redis_run: identifies the Redis server that the counters are of.
    """

    taken_at: datetime
    n_connections: int
    n_usable: int
    n_active: int | None = None
    n_idle: int | None = None
    n_idle_in_transaction: int | None = None
    n_waiting: int | None = None
    longest_wait_s: float | None = None
    oldest_transaction_s: float | None = None
    longest_idle_s: float | None = None
    n_slow: int | None = None
    longest_statement_s: float | None = None
    slot_bytes: int | None = None
    standby_lag_bytes: int | None = None
    wraparound: float | None = None
    redis_run: str | None = None
    redis_hits: int | None = None
    redis_misses: int | None = None
    redis_memory_bytes: int | None = None

    @property
    def pool(self) -> float:
        """The share of the usable connections in use."""
        return self.n_connections / self.n_usable


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
    """A table with its indexes and TOAST; a partitioned one is the sum of its partitions.

    Attributes:
        heap_bytes: of its rows, without TOAST.
        index_bytes: of its indexes, without that of TOAST.
    """

    relation: QualifiedName
    n_partitions: int
    size_bytes: int
    n_rows: float | None
    heap_bytes: int | None = None
    index_bytes: int | None = None


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
        reason: the code of that error, if it has one.
    """

    name: str
    load: "WorkloadSnapshot | None" = None
    lag_bytes: int | None = None
    lag_s: float | None = None
    silence: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WorkloadSnapshot:
    """The observation of one server; that of the primary includes its replicas.

    Attributes:
        size_bytes: of the database; None if not permitted.
        free_bytes: on the server's disk; None if not visible from here.
        blind: failed observations, with the reason.
        holders: objects that hold back VACUUM, the oldest first.
        locks: sessions that wait for locks, and their blockers.
        connections: of clients, those without TLS first, a hundred groups at most.
        running: statements at work for longer than `slow_query`, the longest first.
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
    locks: LockTree = field(default_factory=LockTree)
    connections: Sequence[ConnectionGroup] = ()
    running: Sequence[Running] = ()
    standbys: Sequence[Standby] = ()
    looks: Sequence[WorkloadReading] = ()
    samples: Sequence[Sample] = ()
    sizes_before: Mapping[str, Sequence[tuple[datetime, int]]] = field(
        default_factory=dict[str, Sequence[tuple[datetime, int]]]
    )
