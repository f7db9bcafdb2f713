"""Read and record the workload history of servers in the store."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from maintenance.server.session import Connection, fetch, run_statement
from maintenance.subjects.workload.models import Counts, Sample, WorkloadReading, WorkloadSnapshot

LOOKED_BACK = timedelta(days=35)
MOST_SAMPLES = 40
PRIMARY = "primary"
"""The name of the primary in the store."""


def with_history(
    store: Connection, database: str, now: datetime, load: WorkloadSnapshot
) -> WorkloadSnapshot:
    """Return a snapshot and those of its replicas, with the history of earlier runs."""
    about = {"database": database, "since": now - LOOKED_BACK, "until": now}
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
    return replace(
        load,
        looks=_looks(store, about),
        samples=stored_samples(store, about["database"], about["server"], about["until"]),
    )


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
    parameters = {"taken_at": now, "database": database, "sizes": Jsonb(rows)}
    run_statement(store, "store", "add_table_sizes", parameters)


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
        "statements_unseen_ms": sample.unseen_ms if sample else None,
    }
    run_statement(store, "store", "add_workload", row)
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
    parameters = {
        "taken_at": sample.taken_at,
        "database": place[0],
        "server": place[1],
        "statements": Jsonb(rows),
    }
    run_statement(store, "store", "add_statements", parameters)


def _looks(store: Connection, about: dict[str, Any]) -> Sequence[WorkloadReading]:
    return [WorkloadReading(*row) for row in fetch(store, "store", "list_workload", about)]


def stored_samples(
    store: Connection, database: str, server: str, until: datetime, most: int = MOST_SAMPLES
) -> Sequence[Sample]:
    """Return a server's newest samples before a moment, oldest first."""
    about = {"database": database, "server": server, "until": until, "since": until - LOOKED_BACK}
    heads = fetch(store, "store", "list_statement_looks", {**about, "most": most})
    if not heads:
        return []
    found: dict[datetime, dict[str, Counts]] = defaultdict(dict)
    rows = fetch(store, "store", "list_statements", {**about, "since": heads[-1].taken_at})
    for taken_at, key, *counts in rows:
        found[taken_at][key] = Counts(*counts)
    return [
        Sample(at, epoch, evicted, found[at], unseen) for at, epoch, evicted, unseen in heads[::-1]
    ]


def _sizes(store: Connection, about: dict[str, Any]) -> dict[str, Sequence[tuple[datetime, int]]]:
    found: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    rows = fetch(store, "store", "list_table_sizes", about)
    for name, at, size in rows:
        found[name].append((at, size))
    return dict(found)


class Moment(NamedTuple):
    """The server at one observation; rates are None if unknown.

    Attributes:
        connections: those in use, as a share of those available.
        rollback_rate: share of the transactions since the observation before that were rolled back.
        n_connections: those in use, of which `n_active` execute a statement.
    """

    taken_at: datetime
    connections: float
    hit_rate: float | None
    wraparound: float
    size_bytes: int | None
    replication_lag_bytes: int | None
    rollback_rate: float | None = None
    n_connections: int = 0
    n_active: int = 0
    n_idle_in_transaction: int = 0


class Table(NamedTuple):
    """A table at the newest observation."""

    object: str
    n_partitions: int
    size_bytes: int
    grown_in_a_week: int | None


def moments(store: Connection, database: str) -> list[Moment]:
    """Return the observations of the last three months, oldest first."""
    rows = fetch(store, "store", "list_server_moments", {"database": database})
    return [Moment(*row) for row in rows]


def months(store: Connection, database: str) -> dict[str, int]:
    """Return the database's last known size in each month, `2026-11`, oldest first."""
    return dict(fetch(store, "store", "list_monthly_sizes", {"database": database}))


def largest(store: Connection, database: str, most: int) -> list[Table]:
    """Return the largest tables at the newest observation."""
    about = {"database": database, "most": most}
    return [Table(*row) for row in fetch(store, "store", "list_largest_tables", about)]
