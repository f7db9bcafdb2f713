"""Reads the history of earlier runs from the store for the planners, in six short queries."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from maintenance.catalog.history import Archived, History, PastAction, Reading
from maintenance.catalog.models import Snapshot
from maintenance.server.session import Connection

LOOK_BACK = timedelta(days=8)
"""Period over which a rate is measured: a week contains every weekday."""

INTERRUPTED_BACK = timedelta(days=60)
MOST_RUNS = 500


def recall(store: Connection, database: str, snapshot: Snapshot, now: datetime) -> History:
    """Read the history of a snapshot's tables, and of objects that may be left over from them.

    Args:
        store: a session on the store.
        database: the policy's name of the database.
        snapshot: the observed relations.
        now: the current time.

    Raises:
        psycopg.Error: the store failed.
    """
    about = {
        "database": database,
        "tables": sorted(map(str, snapshot.tables)),
        "objects": sorted(_questionable(snapshot)),
        "marked": [table.oid for table in snapshot.marked],
        "since": now - LOOK_BACK,
        "interrupted_since": now - INTERRUPTED_BACK,
        "most": MOST_RUNS,
    }
    return History(
        past_actions=_deeds(store, about) if about["objects"] else {},
        unfinished=_unfinished(store, about),
        archives=_archives(store, about),
        unarchived=_unarchived(store, about),
        detached_from=_detached_from(store, about) if about["marked"] else {},
        default_rows=_default_rows(store, about),
    )


def _questionable(snapshot: Snapshot) -> Iterator[str]:
    """Yield the names whose origin must be looked up."""
    yield from (str(table.relation) for table in snapshot.unattached)
    yield from (str(table.relation) for table in snapshot.marked)
    for table in snapshot.tables.values():
        yield from (str(child.relation) for child in table.partitions if child.detach_pending)


def _rows(store: Connection, statement: bytes, about: dict[str, Any]) -> Sequence[Any]:
    return store.execute(statement, about).fetchall()


def _deeds(store: Connection, about: dict[str, Any]) -> dict[str, PastAction]:
    rows = _rows(
        store,
        b"SELECT DISTINCT ON (j.object) j.object, j.run_id::text, j.table_name, j.kind, j.outcome,"
        b" coalesce(j.ended_at, j.intended_at)"
        b" FROM maintenance.journal j JOIN maintenance.run r ON r.id = j.run_id"
        b" WHERE r.database = %(database)s AND j.object = ANY (%(objects)s)"
        b" AND (j.outcome IS NULL OR j.outcome IN ('done', 'failed'))"
        b" ORDER BY j.object, j.intended_at DESC, j.place DESC",
        about,
    )
    return {name: PastAction(*deed) for name, *deed in rows}


def _unfinished(store: Connection, about: dict[str, Any]) -> dict[str, PastAction]:
    rows = _rows(
        store,
        b"SELECT DISTINCT ON (j.table_name) j.table_name, j.run_id::text, j.table_name, j.kind,"
        b" j.outcome, coalesce(j.ended_at, j.intended_at)"
        b" FROM maintenance.run r JOIN maintenance.journal j ON j.run_id = r.id"
        b" WHERE r.database = %(database)s AND r.started_at > %(interrupted_since)s"
        b" AND r.outcome IS DISTINCT FROM 'done' AND j.table_name = ANY (%(tables)s)"
        b" AND (j.outcome IS NULL OR j.outcome = 'failed')"
        b" ORDER BY j.table_name, j.intended_at DESC, j.place DESC",
        about,
    )
    return {table: PastAction(*deed) for table, *deed in rows}


def _detached_from(store: Connection, about: dict[str, Any]) -> dict[int, frozenset[str]]:
    rows = _rows(
        store,
        b"SELECT j.relation_oid, pg_catalog.array_agg(DISTINCT j.table_name)"
        b" FROM maintenance.journal j JOIN maintenance.run r ON r.id = j.run_id"
        b" WHERE r.database = %(database)s AND j.relation_oid = ANY (%(marked)s)"
        b" AND j.kind IN ('detach_partition', 'finalize_detach')"
        b" AND (j.outcome IS NULL OR j.outcome IN ('done', 'failed')) GROUP BY 1",
        about,
    )
    return {oid: frozenset(tables) for oid, tables in rows}


def _archives(store: Connection, about: dict[str, Any]) -> dict[str, tuple[Archived, ...]]:
    rows = _rows(
        store,
        b"SELECT DISTINCT ON (j.table_name, j.period) j.table_name, j.period,"
        b" (j.detail ->> 'rows')::int8, (j.detail ->> 'bytes')::int8, j.ended_at"
        b" FROM maintenance.journal j JOIN maintenance.run r ON r.id = j.run_id"
        b" WHERE r.database = %(database)s AND j.table_name = ANY (%(tables)s)"
        b" AND j.kind = 'archive_partition' AND j.outcome = 'done' AND j.period IS NOT NULL"
        b" AND j.detail ? 'rows' AND j.detail ? 'bytes'"
        b" ORDER BY j.table_name, j.period, j.intended_at DESC",
        about,
    )
    found: defaultdict[str, list[Archived]] = defaultdict(list)
    for table, *archived in rows:
        found[table].append(Archived(*archived))
    return {table: tuple(archives) for table, archives in found.items()}


def _unarchived(store: Connection, about: dict[str, Any]) -> dict[str, str]:
    rows = _rows(
        store,
        b"SELECT t.object, t.error FROM (SELECT DISTINCT ON (j.object) j.object, j.outcome, j.error"
        b" FROM maintenance.journal j JOIN maintenance.run r ON r.id = j.run_id"
        b" WHERE r.database = %(database)s AND j.table_name = ANY (%(tables)s)"
        b" AND j.kind = 'archive_partition' AND j.outcome IN ('done', 'failed')"
        b" ORDER BY j.object, j.intended_at DESC) t WHERE t.outcome = 'failed'",
        about,
    )
    return {name: error or "no error recorded" for name, error in rows}


def _default_rows(store: Connection, about: dict[str, Any]) -> dict[str, tuple[Reading, ...]]:
    rows = _rows(
        store,
        b"WITH recent AS (SELECT r.id, r.ended_at FROM maintenance.run r"
        b" WHERE r.database = %(database)s AND r.started_at > %(since)s AND r.ended_at IS NOT NULL"
        b" ORDER BY r.started_at DESC LIMIT %(most)s)"
        b" SELECT f.object, r.ended_at, (f.value #>> '{}')::float8"
        b" FROM recent r JOIN maintenance.finding f ON f.run_id = r.id"
        b" WHERE f.kind = 'default_partition_rows' AND f.object = ANY (%(tables)s)"
        b" AND pg_catalog.jsonb_typeof(f.value) = 'number' ORDER BY r.ended_at",
        about,
    )
    found: defaultdict[str, list[Reading]] = defaultdict(list)
    for table, at, value in rows:
        found[table].append(Reading(at, value))
    return {table: tuple(readings) for table, readings in found.items()}
