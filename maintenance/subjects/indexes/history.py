"""Read and record usage counters of indexes in the store."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from maintenance.names import QualifiedName
from maintenance.server.session import Connection, fetch, int_array, run_statement
from maintenance.subjects.indexes.usage import Baseline, Epoch, Gap, ServerUsage, Usage

RECORD_EVERY = timedelta(hours=1)
"""Counters are not recorded if there are some of the same epoch that are newer than this."""

LONGEST_RUN = timedelta(days=1)


def recall(
    store: Connection, database: str, witnesses: Sequence[ServerUsage], since: datetime
) -> tuple[ServerUsage, ...]:
    """Add to each server its recorded counters.

    Args:
        store: a session on it.
        database: the policy's name.
        witnesses: the servers as observed now.
        since: the beginning of the window; baselines are older.

    Raises:
        psycopg.Error: the store failed.
    """
    baselines = _baselines(store, database, since)
    watched = _watched(store, database)
    return tuple(
        replace(
            witness,
            baseline=baselines.get(witness.name),
            watched_since=watched.get((witness.name, witness.usage.epoch)),
        )
        if witness.usage is not None
        else witness
        for witness in witnesses
    )


def recall_successors(
    store: Connection,
    database: str,
    witnesses: Sequence[ServerUsage],
    present: Iterable[QualifiedName],
) -> Mapping[str, Gap]:
    """Read which indexes stayed for one that was dropped since the baseline, and for which one.

    The dropped one had their readers, so their own counters prove no disuse.

    Args:
        store: a session on it.
        database: the policy's name.
        witnesses: the servers, with their baselines.
        present: the names of all indexes that there are.

    Raises:
        psycopg.Error: the store failed.
    """
    gone = [
        (witness.baseline, oids)
        for witness in witnesses
        if witness.usage is not None
        and witness.baseline is not None
        and (oids := witness.baseline.scans.keys() - witness.usage.counts.keys())
    ]
    if not gone:
        return {}
    about = {
        "database": database,
        # The run that took the baseline began before.
        "since": min(baseline.taken_at for baseline, _ in gone) - LONGEST_RUN,
        "oids": sorted({oid for _, oids in gone for oid in oids}),
    }
    rows = fetch(store, "store", "list_covered_indexes", about)
    names = set(map(str, present)) if rows else set[str]()
    dropped = [row for row in rows if row.object not in names]
    dropped.sort(key=lambda row: row.reported_at)
    return {row.covered_by: _stayed(row.object, row.reported_at) for row in dropped}


def recall_promises(
    store: Connection, database: str, oids: Sequence[int], now: datetime
) -> frozenset[str]:
    """Read which indexes were reported to stay for an equal one that is there, too.

    Args:
        store: a session on it.
        database: the policy's name.
        oids: of the indexes that have an equal one.
        now: the time of this run.

    Raises:
        psycopg.Error: the store failed.
    """
    # Only what was reported on these indexes is asked for: no run began after now.
    about = {"database": database, "since": now + LONGEST_RUN, "oids": list(oids)}
    rows = fetch(store, "store", "list_covered_indexes", about) if oids else []
    promised: set[str] = set()
    for row in sorted(rows, key=lambda row: row.reported_at):
        promised.add(row.covered_by)
        promised.discard(row.object)
    return frozenset(promised)


def _stayed(name: str, reported_at: datetime) -> Gap:
    text = f"stayed for {name}, which was dropped after {reported_at:%Y-%m-%d %H:%M}"
    return Gap("stayed_for_dropped", text)


def remember(
    store: Connection, database: str, witnesses: Sequence[ServerUsage], now: datetime
) -> None:
    """Record the counters of every server that answered.

    Raises:
        psycopg.Error: the store failed.
    """
    for witness in witnesses:
        if witness.usage is not None and witness.usage.is_counting:
            _remember(store, database, witness.name, witness.usage, now)


def _baselines(store: Connection, database: str, since: datetime) -> Mapping[str, Baseline]:
    about = {"database": database, "until": since}
    rows = fetch(store, "store", "list_usage_baselines", about, binary=True)
    return {
        server: Baseline(Epoch(*epoch), taken_at, dict(zip(oids, scans, strict=True)))
        for server, taken_at, oids, scans, *epoch in rows
    }


def _watched(store: Connection, database: str) -> Mapping[tuple[str, Epoch], datetime]:
    rows = fetch(store, "store", "list_usage_epochs", {"database": database})
    return {(server, Epoch(*epoch)): first_at for server, first_at, *epoch in rows}


def _remember(store: Connection, database: str, server: str, usage: Usage, now: datetime) -> None:
    parameters = {
        "taken_at": now,
        "after": now - RECORD_EVERY,
        "database": database,
        "server": server,
        **usage.epoch._asdict(),
        "oids": int_array(usage.counts),
        "scans": int_array(count.scans for count in usage.counts.values()),
    }
    run_statement(store, "store", "add_index_usage", parameters)
