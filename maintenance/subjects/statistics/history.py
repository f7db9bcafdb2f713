"""Read and record baselines of partitioned parents in the store, see `statistics.debt`."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from maintenance.engine.actions import ActionKind
from maintenance.policy.cron import next_tick
from maintenance.server.session import Connection, fetch, run_statement
from maintenance.subjects.statistics.debt import rebased
from maintenance.subjects.statistics.models import Baseline, Counted, StatisticsObservation

_MAKING = (
    ActionKind.CREATE_MATVIEW,
    ActionKind.REBUILD_MATVIEW,
    ActionKind.REFRESH_MATVIEW,
    ActionKind.CREATE_PARTITION,
    ActionKind.ATTACH_PARTITION,
    ActionKind.DRAIN_DEFAULT,
    ActionKind.SWAP_DEFAULT,
    ActionKind.SPLIT_PARTITION,
    ActionKind.RESTORE_PARTITION,
)
LOOK_BACK = timedelta(days=8)
"""What was made earlier had its nightly run, unless that is rarer than weekly."""
ANALYZE_TAKES = timedelta(hours=1)
"""How long after its tick the nightly run may not have analyzed a table yet."""


def read_baselines(store: Connection, database: str) -> dict[int, Baseline]:
    """Return the baselines of a database's partitioned parents, by OID."""
    rows = fetch(store, "store", "list_parent_debts", {"database": database})
    return {oid: Baseline(at, carried, _read(leaves)) for oid, at, carried, leaves in rows}


def read_made(store: Connection, database: str, nightly: str, now: datetime) -> frozenset[str]:
    """Return what runs made or filled, with its tables, since the last nightly run was due.

    Args:
        store: the store.
        database: the policy's name of the database.
        nightly: the schedule of the run that analyzes.
        now: the current time.
    """
    about = {"database": database, "since": now - LOOK_BACK, "kinds": list(_MAKING)}
    return frozenset(
        name
        for row in fetch(store, "store", "list_made", about)
        if next_tick(nightly, row.made_at) + ANALYZE_TAKES > now
        for name in (row.object, row.table_name)
        if name is not None
    )


def write_baselines(store: Connection, database: str, seen: StatisticsObservation) -> None:
    """Record the baselines of all parents, and delete those of dropped ones."""
    leaves = seen.leaves()
    debts = [
        _record(
            table.oid,
            str(table.relation),
            rebased(table, leaves[table.oid], seen.baselines.get(table.oid)),
        )
        for table in seen.tables
        if table.is_parent and table.described
    ]
    _replace(store, database, debts)
    parents = [table.oid for table in seen.tables if table.is_parent]
    which = {"database": database, "parents": parents}
    run_statement(store, "store", "forget_parent_debts", which)


def settle(
    store: Connection,
    database: str,
    parent: int,
    name: str,
    analyzed_at: datetime | None,
    leaves: Mapping[int, Counted],
) -> None:
    """Record that a parent was analyzed, with its leaves' counters from right before."""
    debt = _record(parent, name, Baseline(analyzed_at, 0.0, leaves))
    _replace(store, database, [debt])


def _replace(store: Connection, database: str, debts: Sequence[Mapping[str, Any]]) -> None:
    parameters = {"database": database, "debts": Jsonb(list(debts))}
    run_statement(store, "store", "replace_parent_debts", parameters)


def _record(oid: int, name: str, baseline: Baseline) -> dict[str, Any]:
    at = baseline.analyzed_at
    return {
        "parent": oid,
        "name": name,
        "analyzed_at": at.isoformat() if at else None,
        "carried": baseline.carried,
        "leaves": {str(oid): list(leaf) for oid, leaf in baseline.leaves.items()},
    }


def _read(leaves: Mapping[str, list[float]]) -> dict[int, Counted]:
    return {int(oid): Counted(int(total), n_rows) for oid, (total, n_rows) in leaves.items()}
