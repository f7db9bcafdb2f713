"""Observe the workload of a server with a few short, independent queries.

A query that the server refuses or that exceeds the time cap is reported; the others still run.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from maintenance.engine.findings import Reading
from maintenance.engine.observations import Observations
from maintenance.engine.target import Target
from maintenance.names import QualifiedName, is_helper
from maintenance.policy import Policy
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.server.disk import free_disk
from maintenance.server.replicas import ask_replicas
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.subjects.workload.models import (
    ConnectionGroup,
    Holder,
    LockTree,
    Replica,
    Running,
    Server,
    Session,
    Standby,
    Statements,
    TableSize,
    WorkloadSnapshot,
    Wraparound,
)
from maintenance.subjects.workload.pg_stat_statements import read_statements
from maintenance.subjects.workload.watch_rows import (
    as_lock_tree,
    as_replicas,
    as_running,
    as_sessions,
    as_wraparound,
)

LEAST_BYTES = 2**20
"""Growth of smaller tables is not recorded."""
MOST_TABLES = 1000


def observe(
    connection: Connection, section: WorkloadPolicy, now: datetime, time_cap: timedelta
) -> WorkloadSnapshot:
    """Observe the primary.

    Raises:
        MaintenanceError: the server's counters could not be read.
    """
    glances = Observations(connection, time_cap)
    load = _at_work(glances, section, now)
    return replace(
        load,
        wraparound=glances.see(Reading.WRAPAROUND, _wraparound, ()),
        holders=glances.see(Reading.SNAPSHOTS, _holders, ()),
        replicas=glances.see(Reading.REPLICATION, _replicas, ()),
        sizes=glances.see(Reading.SIZES, _sizes, ()),
        size_bytes=glances.see(Reading.DATABASE_SIZE, _database_size, None),
    )


def observe_standbys(
    primary: Connection, target: Target, section: WorkloadPolicy, now: datetime
) -> tuple[Standby, ...]:
    """Observe every replica of the policy; one that does not answer is reported, not raised.

    Raises:
        UsageError: the variable of a required replica is not set.
        MaintenanceError: the primary's WAL position could not be read.
    """
    policy = target.policy
    time_cap = policy.observe.time_cap

    def look(replica: Connection) -> Standby:
        glances = Observations(replica, time_cap)
        lag = glances.see(Reading.REPLICATION, lambda c: _lag(c, position), (None, None))
        return Standby("", _at_work(glances, section, now), *lag)

    position = _position(primary, policy)
    answers = ask_replicas(primary, policy, target.resolve, "workload", look)
    return tuple(
        replace(
            answer.result or Standby(""),
            name=answer.name,
            silence=answer.silence,
            reason=answer.reason,
        )
        for answer in answers
    )


def _at_work(glances: Observations, section: WorkloadPolicy, now: datetime) -> WorkloadSnapshot:
    """Observe the part that primaries and replicas have in common."""
    with read_transaction(glances.connection, glances.time_cap, "observing the server"):
        (server,) = fetch(glances.connection, "workload", "read_server")
    longest = min(section.idle_in_transaction, section.long_transaction).total_seconds()
    slow_s = section.slow_query.total_seconds()
    return WorkloadSnapshot(
        server=Server(*server),
        sessions=glances.see(Reading.SESSIONS, lambda c: _sessions(c, longest), ()),
        connections=glances.see(Reading.CONNECTIONS, _connections, ()),
        locks=glances.see(Reading.LOCKS, _locks, LockTree()),
        running=glances.see(Reading.RUNNING, lambda c: _running(c, slow_s), ()),
        wraparound=(),
        replicas=(),
        sizes=(),
        statements=glances.see(
            Reading.STATEMENTS, lambda c: read_statements(c, now), Statements(None)
        ),
        free_bytes=free_disk(glances.connection),
        blind=glances.blind,
    )


def _position(primary: Connection, policy: Policy) -> str | None:
    if not policy.database.replicas:
        return None
    with read_transaction(primary, policy.observe.time_cap, "observing replication"):
        rows = fetch(primary, "workload", "find_position")
    return rows[0].position if rows else None


def _lag(replica: Connection, position: str | None) -> tuple[int | None, float | None]:
    (row,) = fetch(replica, "workload", "read_lag", {"position": position})
    return row.lag_bytes, row.lag_s


def _sessions(connection: Connection, longest: float) -> tuple[Session, ...]:
    return as_sessions(fetch(connection, "workload", "list_sessions", {"least_s": longest}))


def _connections(connection: Connection) -> tuple[ConnectionGroup, ...]:
    rows = fetch(connection, "workload", "list_connections")
    return tuple(ConnectionGroup(*row[:-1]) for row in rows)


def _locks(connection: Connection) -> LockTree:
    return as_lock_tree(fetch(connection, "workload", "list_blocked"))


def _running(connection: Connection, slow_s: float) -> tuple[Running, ...]:
    return as_running(fetch(connection, "workload", "list_running", {"least_s": slow_s}))


def _wraparound(connection: Connection) -> tuple[Wraparound, ...]:
    return as_wraparound(fetch(connection, "workload", "list_wraparound"))


def _holders(connection: Connection) -> tuple[Holder, ...]:
    return tuple(Holder(*row) for row in fetch(connection, "workload", "list_holders"))


def _replicas(connection: Connection) -> tuple[Replica, ...]:
    return as_replicas(fetch(connection, "workload", "list_replication"))


def _sizes(connection: Connection) -> tuple[TableSize, ...]:
    parameters = {"min_bytes": LEAST_BYTES, "most": MOST_TABLES}
    rows = fetch(connection, "workload", "list_sizes", parameters)
    return tuple(
        TableSize(QualifiedName(row.schema, row.name), *row[2:])
        for row in rows
        if not is_helper(row.name)
    )


def _database_size(connection: Connection) -> int | None:
    row = connection.execute(
        "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())"
    ).fetchone()
    return int(row[0]) if row else None
