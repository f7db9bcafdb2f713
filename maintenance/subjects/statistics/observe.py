"""Observe statistics with a few set-based queries that wait for no table lock."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg

from maintenance.engine.observe_context import ObserveContext
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName, is_helper
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.subjects.statistics.history import read_baselines, read_made
from maintenance.subjects.statistics.models import (
    PARENT,
    ForeignPartition,
    StatisticsObservation,
    TableFacts,
)


def observe(context: ObserveContext) -> StatisticsObservation:
    """Read the counters of every table, and the recorded states of partitioned parents.

    Raises:
        MaintenanceError: the server refused a query, or a query exceeded the time cap.
    """
    connection, policy = context.connection, context.policy
    with read_transaction(connection, policy.observe.time_cap, "observing statistics"):
        (settings,) = fetch(connection, "statistics", "read_settings")
        rows = _rows(connection)
        local = [row for row in rows if row.kind != "f"]
        silent = [row for row in local if _silent(row)]
        unsure = [row for row in local if _unsure(row) and row.readable and not row.secured]
        described = dict.fromkeys((row.oid for row in unsure), False)
        described |= dict.fromkeys(_among(connection, "list_described", unsure), True)
        parameters = {"relations": None}
        forbidden = {
            row.oid for row in fetch(connection, "statistics", "list_forbidden", parameters)
        }
        filled = None
        # The last statement of its transaction: if it fails, nothing else is lost.
        with suppress(psycopg.Error):
            filled = _among(connection, "list_filled", silent, "catalog")
    failed: dict[int, str] = {}
    if filled is None:
        filled, failed = _filled_one_by_one(connection, silent, policy.observe.time_cap)
    tables = [
        _facts(
            row,
            permitted=row.oid not in forbidden,
            described=_described(row, described),
            filled=_is_filled(row, filled),
        )
        for row in local
    ]
    seen = StatisticsObservation(
        major=context.snapshot.server.major,
        rights=context.snapshot.server.grants,
        counts=settings.counts,
        freeze_max_age=settings.freeze_max_age,
        multixact_freeze_max_age=settings.multixact_freeze_max_age,
        tables=tuple(tables),
        foreign=_foreign(rows, tables),
        failed={table.relation: failed[table.oid] for table in tables if table.oid in failed},
    )
    if context.store is None:
        return seen
    name = policy.database.name
    made = read_made(context.store, name, policy.schedules.nightly, context.now)
    return replace(seen, baselines=read_baselines(context.store, name), made=made)


def _rows(connection: Connection) -> list[Any]:
    rows = fetch(connection, "statistics", "list_tables")
    return [row for row in rows if not is_helper(row.name)]


def _facts(row: Any, *, permitted: bool, described: bool | None, filled: bool) -> TableFacts:
    return TableFacts(
        oid=row.oid,
        relation=QualifiedName(row.schema, row.name),
        kind=row.kind,
        parent=row.parent,
        owner=row.owner,
        pages=row.pages,
        rows=row.rows,
        changed=row.changed,
        total=row.total,
        live=row.live,
        dead=row.dead,
        frozen_age=row.frozen_age,
        multixact_age=row.multixact_age,
        analyzed_at=row.analyzed_at,
        autovacuum_pid=row.autovacuum_pid,
        permitted=permitted,
        described=described,
        filled=filled,
        secured=row.secured,
    )


def _filled_one_by_one(
    connection: Connection, silent: Iterable[Any], time_cap: timedelta
) -> tuple[set[int], dict[int, str]]:
    """Check each table separately for blocks, so that an error affects only its table."""
    filled: set[int] = set()
    failed: dict[int, str] = {}
    for row in silent:
        try:
            with read_transaction(connection, time_cap, "reading its size"):
                filled |= _among(connection, "list_filled", [row], "catalog")
        except psycopg.errors.LockNotAvailable:
            continue  # left out, as the query leaves out tables that are locked at its start
        except UnreachableError:
            raise
        except MaintenanceError as exc:
            failed[row.oid] = str(exc)
    return filled, failed


def _foreign(
    rows: Iterable[Any], tables: Iterable[TableFacts]
) -> dict[int, tuple[ForeignPartition, ...]]:
    """Return the foreign partitions below each partitioned parent, at any depth."""
    parent_of = {table.oid: table.parent for table in tables}
    found: dict[int, tuple[ForeignPartition, ...]] = defaultdict(tuple)
    for row in rows:
        parent = row.parent if row.kind == "f" else None
        while parent is not None:
            each = ForeignPartition(QualifiedName(row.schema, row.name), row.foreign_server)
            found[parent] += (each,)
            parent = parent_of.get(parent)
    return {parent: tuple(sorted(foreign)) for parent, foreign in found.items()}


def _is_filled(row: Any, filled: Collection[int]) -> bool:
    return row.kind == PARENT or _counted(row) or row.oid in filled


def _silent(row: Any) -> bool:
    """Whether the counters show no rows but may be wrong: no ANALYZE is recorded."""
    return row.analyzed_at is None and row.kind != PARENT and not _counted(row)


def _counted(row: Any) -> bool:
    return bool(row.pages or row.total or row.live)


def _unsure(row: Any) -> bool:
    """Whether no ANALYZE is recorded, but there may have been one before a reset."""
    return row.analyzed_at is None and row.kind != PARENT and row.rows >= 0


def _described(row: Any, known: Mapping[int, bool]) -> bool | None:
    if _unsure(row):
        return known.get(row.oid)
    # 14 and later: -1 until the first VACUUM or ANALYZE; a parent is never vacuumed
    return row.rows >= 0 or row.analyzed_at is not None


def _among(
    connection: Connection, query: str, rows: Iterable[Any], folder: str = "statistics"
) -> set[int]:
    oids = [row.oid for row in rows]
    if not oids:
        return set()
    return {row.oid for row in fetch(connection, folder, query, {"relations": oids})}
