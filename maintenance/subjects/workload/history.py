"""Read and record the workload history of servers in the store."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from maintenance.server.session import Connection
from maintenance.subjects.workload.models import Counts, Sample, WorkloadReading, WorkloadSnapshot

LOOKED_BACK = timedelta(days=35)
MOST_SAMPLES = 40
PRIMARY = "primary"
"""The name of the primary in the store."""


def with_history(
    store: Connection, database: str, now: datetime, load: WorkloadSnapshot
) -> WorkloadSnapshot:
    """Return a snapshot and those of its replicas, with the history of earlier runs."""
    about = {"database": database, "since": now - LOOKED_BACK, "now": now}
    return replace(
        _looked_back(store, {**about, "server": PRIMARY}, load),
        sizes_before=_sizes(store, about),
        standbys=[
            replace(each, load=_looked_back(store, {**about, "server": each.name}, each.load))
            if each.load is not None
            else each
            for each in load.standbys
        ],
    )


def _looked_back(
    store: Connection, about: dict[str, Any], load: WorkloadSnapshot
) -> WorkloadSnapshot:
    return replace(load, looks=_looks(store, about), samples=_samples(store, about))


def record(store: Connection, database: str, now: datetime, load: WorkloadSnapshot) -> None:
    """Record counters, gauges and statements of each server, and sizes of tables."""
    lags = [replica.lag_bytes for replica in load.replicas if replica.lag_bytes is not None]
    _record_server(store, (database, PRIMARY), now, load, max(lags, default=None))
    for standby in load.standbys:
        if standby.load is not None:
            place = (database, standby.name)
            _record_server(store, place, now, standby.load, standby.lag_bytes)
    _record_sizes(store, database, now, load)


def _record_sizes(store: Connection, database: str, now: datetime, load: WorkloadSnapshot) -> None:
    rows = [
        {
            "object": str(size.relation),
            "n_partitions": size.n_partitions,
            "size_bytes": size.size_bytes,
            "n_rows": size.n_rows,
        }
        for size in load.sizes
    ]
    store.execute(
        "INSERT INTO maintenance.table_size"
        " (taken_at, database, object, n_partitions, size_bytes, n_rows)"
        " SELECT %s, %s, r.object, r.n_partitions, r.size_bytes, r.n_rows"
        " FROM pg_catalog.jsonb_to_recordset(%s) AS r (object text, n_partitions int4,"
        " size_bytes int8, n_rows float8)",
        (now, database, Jsonb(rows)),
    )


def _record_server(
    store: Connection,
    place: tuple[str, str],
    now: datetime,
    load: WorkloadSnapshot,
    lag_bytes: int | None,
) -> None:
    """Record one server's snapshot; its place is the database and the server's name."""
    server, sample = load.server, load.statements.sample
    row: dict[str, Any] = {
        "taken_at": now,
        "database": place[0],
        "server": place[1],
        "epoch": server.epoch,
        "n_connections": server.n_connections,
        "n_usable": server.n_usable,
        "n_active": server.n_active,
        "n_idle_in_transaction": server.n_idle_in_transaction,
        "blocks_hit": server.blocks_hit,
        "blocks_read": server.blocks_read,
        "commits": server.commits,
        "rollbacks": server.rollbacks,
        "size_bytes": load.size_bytes,
        "oldest_transaction_s": max((s.transaction_s for s in load.sessions), default=None),
        "wraparound": max((used_ids(w.xid_age) for w in load.wraparound), default=0.0),
        "replication_lag_bytes": lag_bytes,
        "statements_epoch": sample.epoch if sample else None,
        "statements_evicted": sample.n_evicted if sample else None,
    }
    names, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    store.execute(f"INSERT INTO maintenance.workload ({names}) VALUES ({places})".encode(), row)
    if sample is not None:
        _record_statements(store, place, sample)


def used_ids(age: int) -> float:
    """Return the fraction of the transaction ids used, for this age."""
    return age / 2**31


def _record_statements(store: Connection, place: tuple[str, str], sample: Sample) -> None:
    rows = [
        {
            **counts._asdict(),
            "since": counts.since.isoformat() if counts.since else None,
            "statement": key,
        }
        for key, counts in sample.statements.items()
    ]
    columns = (
        "statement text, text text, since timestamptz, calls int8, total_ms float8,"
        " squares_ms float8, max_ms float8, n_rows int8, blocks_hit int8, blocks_read int8,"
        " read_ms float8"
    )
    names = ", ".join(column.split()[0] for column in columns.split(", "))
    store.execute(
        f"INSERT INTO maintenance.statement (taken_at, database, server, {names})"
        f" SELECT %s, %s, %s, {names}"
        f" FROM pg_catalog.jsonb_to_recordset(%s) AS r ({columns})".encode(),
        (sample.taken_at, *place, Jsonb(rows)),
    )


def _looks(store: Connection, about: dict[str, Any]) -> Sequence[WorkloadReading]:
    rows = store.execute(
        "SELECT taken_at, epoch, blocks_hit, blocks_read, size_bytes FROM maintenance.workload"
        " WHERE database = %(database)s AND server = %(server)s"
        " AND taken_at >= %(since)s AND taken_at < %(now)s"
        " ORDER BY taken_at",
        about,
    )
    return [WorkloadReading(*row) for row in rows]


def _samples(store: Connection, about: dict[str, Any]) -> Sequence[Sample]:
    """Return the newest earlier samples, at most `MOST_SAMPLES`, oldest first."""
    heads = store.execute(
        "SELECT taken_at, statements_epoch, statements_evicted FROM maintenance.workload"
        " WHERE database = %(database)s AND server = %(server)s"
        " AND taken_at >= %(since)s AND taken_at < %(now)s"
        f" AND statements_epoch IS NOT NULL ORDER BY taken_at DESC LIMIT {MOST_SAMPLES}".encode(),
        about,
    ).fetchall()
    if not heads:
        return []
    found: dict[datetime, dict[str, Counts]] = defaultdict(dict)
    rows = store.execute(
        "SELECT taken_at, statement, text, since, calls, total_ms, squares_ms, max_ms, n_rows,"
        " blocks_hit, blocks_read, read_ms FROM maintenance.statement"
        " WHERE database = %(database)s AND server = %(server)s"
        " AND taken_at >= %(first)s AND taken_at < %(now)s",
        {**about, "first": heads[-1][0]},
    )
    for taken_at, key, *counts in rows:
        found[taken_at][key] = Counts(*counts)
    return [Sample(at, epoch, evicted, found[at]) for at, epoch, evicted in reversed(heads)]


def _sizes(store: Connection, about: dict[str, Any]) -> dict[str, Sequence[tuple[datetime, int]]]:
    found: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    rows = store.execute(
        "SELECT object, taken_at, size_bytes FROM maintenance.table_size"
        " WHERE database = %(database)s AND taken_at >= %(since)s AND taken_at < %(now)s"
        " ORDER BY taken_at",
        about,
    )
    for name, at, size in rows:
        found[name].append((at, size))
    return dict(found)


class Moment(NamedTuple):
    """The server at one observation; rates are None if unknown."""

    taken_at: datetime
    connections: float
    hit_rate: float | None
    wraparound: float
    size_bytes: int | None
    replication_lag_bytes: int | None


class Statement(NamedTuple):
    """The activity of one statement on one server between the two newest observations."""

    server: str
    statement: str
    text: str
    calls: int
    total_ms: float
    mean_ms: float
    blocks_read: int


class Table(NamedTuple):
    """A table at the newest observation."""

    object: str
    n_partitions: int
    size_bytes: int
    grown_in_a_week: int | None


def moments(store: Connection, database: str) -> list[Moment]:
    """Return the observations of the last three months, oldest first."""
    with store.cursor(row_factory=class_row(Moment)) as cursor:
        return cursor.execute(
            "SELECT taken_at, n_connections::float8 / n_usable AS connections,"
            " CASE WHEN epoch = before_epoch AND blocks_hit >= before_hit"
            " AND blocks_read >= before_read THEN (blocks_hit - before_hit)::float8"
            " / nullif(blocks_hit - before_hit + blocks_read - before_read, 0) END AS hit_rate,"
            " wraparound, size_bytes, replication_lag_bytes FROM ("
            "SELECT w.*, pg_catalog.lag(epoch) OVER t AS before_epoch,"
            " pg_catalog.lag(blocks_hit) OVER t AS before_hit,"
            " pg_catalog.lag(blocks_read) OVER t AS before_read FROM maintenance.workload w"
            " WHERE database = %s AND server = 'primary'"
            " AND taken_at > pg_catalog.now() - interval '3 months'"
            " WINDOW t AS (ORDER BY taken_at)) s ORDER BY taken_at",
            (database,),
        ).fetchall()


def months(store: Connection, database: str) -> dict[str, int]:
    """Return the database's last known size in each month, `2026-11`, oldest first."""
    rows = store.execute(
        "SELECT DISTINCT ON (1) pg_catalog.to_char(taken_at AT TIME ZONE 'UTC', 'YYYY-MM'),"
        " size_bytes FROM maintenance.workload WHERE database = %s AND size_bytes IS NOT NULL"
        " ORDER BY 1, taken_at DESC",
        (database,),
    )
    return dict(rows.fetchall())


def heaviest(store: Connection, database: str, most: int) -> list[Statement]:
    """Return the statements with the most time in the newest window."""
    with store.cursor(row_factory=class_row(Statement)) as cursor:
        return cursor.execute(
            "SELECT server, statement, text, calls, total_ms, mean_ms, blocks_read"
            " FROM maintenance.query_performance_monitor WHERE database = %(database)s"
            " AND calls > 0 AND taken_at = (SELECT pg_catalog.max(taken_at)"
            " FROM maintenance.statement WHERE database = %(database)s)"
            " ORDER BY total_ms DESC, server, statement LIMIT %(most)s",
            {"database": database, "most": most},
        ).fetchall()


def largest(store: Connection, database: str, most: int) -> list[Table]:
    """Return the largest tables at the newest observation."""
    with store.cursor(row_factory=class_row(Table)) as cursor:
        return cursor.execute(
            "SELECT object, n_partitions, size_bytes, grown_in_a_week"
            " FROM maintenance.table_size_monitor WHERE database = %s"
            " ORDER BY size_bytes DESC, object LIMIT %s",
            (database, most),
        ).fetchall()
