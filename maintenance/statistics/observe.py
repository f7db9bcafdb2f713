"""Looking at statistics: a few set-based queries, none of which waits for a table's lock."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from maintenance.engine.look import Look
from maintenance.names import QualifiedName
from maintenance.server.session import Connection, brief, fetch
from maintenance.statistics.baselines import read_baselines
from maintenance.statistics.models import Seen, TableFacts


def observe(look: Look) -> Seen:
    """Read the counters of every table, and what the store knows of partitioned parents.

    Raises:
        psycopg.errors.LockNotAvailable: a table was locked the moment its size was asked for.
        MaintenanceError: the server refused a query, or a query outlasted the cap.
    """
    connection, policy = look.connection, look.policy
    with brief(connection, policy.observe.time_cap, "observing statistics"):
        (settings,) = fetch(connection, "statistics", "read_settings")
        tables = _judged(connection, [_facts(row) for row in _rows(connection)])
    seen = Seen(
        major=look.snapshot.server.major,
        role=look.snapshot.server.role,
        counts=settings.counts,
        freeze_max_age=settings.freeze_max_age,
        multixact_freeze_max_age=settings.multixact_freeze_max_age,
        tables=tuple(tables),
    )
    if look.store is None:
        return seen
    return replace(seen, baselines=read_baselines(look.store, policy.database.name))


def _rows(connection: Connection) -> list[Any]:
    return fetch(connection, "statistics", "list_tables")


def _facts(row: Any) -> "_Row":
    facts = TableFacts(
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
    )
    return _Row(facts, row.readable)


class _Row(NamedTuple):
    facts: TableFacts
    readable: bool


def _judged(connection: Connection, rows: list[_Row]) -> list[TableFacts]:
    """Add what the counters alone don't tell, asking only about tables where it matters."""
    silent = [r.facts for r in rows if _silent(r.facts)]
    filled = _among(connection, "list_filled", silent)
    unsure = [r.facts for r in rows if r.readable and _unsure(r.facts)]
    described = dict.fromkeys((t.oid for t in unsure), False)
    described |= dict.fromkeys(_among(connection, "list_described", unsure), True)
    forbidden = _among(connection, "list_forbidden", [r.facts for r in rows])
    return [
        r.facts._replace(
            described=_described(r.facts, described),
            filled=r.facts.is_parent or _counted(r.facts) or r.facts.oid in filled,
            permitted=r.facts.oid not in forbidden,
        )
        for r in rows
    ]


def _silent(table: TableFacts) -> bool:
    """Whether counters tell of no rows, and may not know: those of an analyzed table do."""
    return not table.is_parent and not _counted(table) and table.analyzed_at is None


def _counted(table: TableFacts) -> bool:
    return bool(table.pages or table.total or table.live)


def _unsure(table: TableFacts) -> bool:
    """Whether the counters know of no ANALYZE, and yet there may have been one before a reset."""
    return not table.is_parent and table.analyzed_at is None and table.rows >= 0


def _described(table: TableFacts, known: Mapping[int, bool]) -> bool | None:
    if _unsure(table):
        return known.get(table.oid)
    # 14 and later: -1 until the first VACUUM or ANALYZE, of which a parent knows only the latter
    return table.rows >= 0 or table.analyzed_at is not None


def _among(connection: Connection, query: str, tables: Iterable[TableFacts]) -> set[int]:
    oids = [table.oid for table in tables]
    if not oids:
        return set()
    return {row.oid for row in fetch(connection, "statistics", query, {"relations": oids})}
