"""Reads the history of earlier runs from the store for the planners, in six short queries."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from maintenance.catalog.history import Archived, History, PastAction, RowCount
from maintenance.catalog.models import Snapshot
from maintenance.server.session import Connection, fetch

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
    tables = {"database": database, "tables": sorted(map(str, snapshot.tables))}
    return History(
        past_actions=_past_actions(store, database, sorted(_questionable(snapshot))),
        unfinished=_unfinished(store, {**tables, "since": now - INTERRUPTED_BACK}),
        archives=_archives(store, tables),
        unarchived=_unarchived(store, tables),
        detached_from=_detached_from(store, database, [table.oid for table in snapshot.marked]),
        default_rows=_default_rows(store, {**tables, "since": now - LOOK_BACK, "most": MOST_RUNS}),
    )


def _questionable(snapshot: Snapshot) -> Iterator[str]:
    """Yield the names whose origin must be looked up."""
    yield from (str(table.relation) for table in snapshot.unattached)
    yield from (str(table.relation) for table in snapshot.marked)
    for table in snapshot.tables.values():
        yield from (str(child.relation) for child in table.partitions if child.detach_pending)


def _past_actions(
    store: Connection, database: str, objects: Sequence[str]
) -> dict[str, PastAction]:
    if not objects:
        return {}
    about = {"database": database, "objects": objects}
    rows = fetch(store, "store", "list_last_actions", about)
    return {name: PastAction(*action) for name, *action in rows}


def _unfinished(store: Connection, about: dict[str, Any]) -> dict[str, PastAction]:
    rows = fetch(store, "store", "list_unfinished_actions", about)
    return {row.table_name: PastAction(*row) for row in rows}


def _detached_from(
    store: Connection, database: str, relations: Sequence[int]
) -> dict[int, frozenset[str]]:
    if not relations:
        return {}
    about = {"database": database, "relations": relations}
    rows = fetch(store, "store", "list_detached", about)
    return {oid: frozenset(tables) for oid, tables in rows}


def _archives(store: Connection, about: dict[str, Any]) -> dict[str, tuple[Archived, ...]]:
    rows = fetch(store, "store", "list_archives", about)
    found: defaultdict[str, list[Archived]] = defaultdict(list)
    for table, *archived in rows:
        found[table].append(Archived(*archived))
    return {table: tuple(archives) for table, archives in found.items()}


def _unarchived(store: Connection, about: dict[str, Any]) -> dict[str, str]:
    rows = fetch(store, "store", "list_failed_archives", about)
    return {name: error or "no error recorded" for name, error in rows}


def _default_rows(store: Connection, about: dict[str, Any]) -> dict[str, tuple[RowCount, ...]]:
    rows = fetch(store, "store", "list_default_rows", about)
    found: defaultdict[str, list[RowCount]] = defaultdict(list)
    for table, at, value in rows:
        found[table].append(RowCount(at, value))
    return {table: tuple(readings) for table, readings in found.items()}
