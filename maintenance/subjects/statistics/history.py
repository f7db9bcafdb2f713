"""Read and record baselines of partitioned parents in the store, see `statistics.debt`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from maintenance.server.session import Connection
from maintenance.subjects.statistics.debt import rebased
from maintenance.subjects.statistics.models import Baseline, Counted, StatisticsObservation

_UPSERT = (
    "INSERT INTO maintenance.parent_debt (database, parent, name, analyzed_at, carried, leaves)"
    " SELECT %(database)s, d.parent, d.name, d.analyzed_at, d.carried, d.leaves"
    " FROM pg_catalog.jsonb_to_recordset(%(debts)s) AS d"
    " (parent oid, name text, analyzed_at timestamptz, carried float8, leaves jsonb)"
    " ON CONFLICT (database, parent) DO UPDATE SET name = excluded.name,"
    " analyzed_at = excluded.analyzed_at, carried = excluded.carried, leaves = excluded.leaves,"
    " seen_at = pg_catalog.clock_timestamp()"
)


def read_baselines(store: Connection, database: str) -> dict[int, Baseline]:
    """Return the baselines of a database's partitioned parents, by OID."""
    rows = store.execute(
        "SELECT parent, analyzed_at, carried, leaves FROM maintenance.parent_debt"
        " WHERE database = %s",
        (database,),
    ).fetchall()
    return {oid: Baseline(at, carried, _read(leaves)) for oid, at, carried, leaves in rows}


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
    store.execute(_UPSERT, {"database": database, "debts": Jsonb(debts)})
    store.execute(
        "DELETE FROM maintenance.parent_debt WHERE database = %s AND parent <> ALL (%s::oid[])",
        (database, [table.oid for table in seen.tables if table.is_parent]),
    )


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
    store.execute(_UPSERT, {"database": database, "debts": Jsonb([debt])})


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
