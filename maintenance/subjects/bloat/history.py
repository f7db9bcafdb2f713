"""Read and record earlier bloat values and rebuilds in the store."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from maintenance.server.session import Connection
from maintenance.subjects.bloat.models import (
    Bloat,
    BloatSnapshot,
    Observed,
    ObservedIndex,
    Past,
    Rebuild,
)

LOOKED_BACK = timedelta(days=90)


class Beginning(NamedTuple):
    """The state of an index right before its rebuild.

    Attributes:
        name: quoted and qualified.
        indexes: OIDs of all indexes of its table.
    """

    name: str
    oid: int
    size_bytes: int
    table_oid: int
    indexes: list[int]


def record(store: Connection, database: str, now: datetime, stock: BloatSnapshot) -> None:
    """Record size and bloat of every relation, in one statement."""
    rows = [_row(each, stock.bloat[each.oid]) for each in (*stock.tables, *stock.indexes)]
    store.execute(
        "INSERT INTO maintenance.bloat"
        " (taken_at, database, object, table_name, kind, size_bytes, fraction, method)"
        " SELECT %s, %s, r.object, r.table_name, r.kind, r.size_bytes, r.fraction, r.method"
        " FROM pg_catalog.jsonb_to_recordset(%s) AS r (object text, table_name text, kind text,"
        " size_bytes int8, fraction float8, method text)",
        (now, database, Jsonb(rows)),
    )


def note_look(store: Connection, database: str, now: datetime) -> None:
    """Record the time of a bloat observation."""
    store.execute(
        "INSERT INTO maintenance.bloat_look (database, taken_at) VALUES (%s, %s)"
        " ON CONFLICT (database) DO UPDATE SET taken_at = excluded.taken_at",
        (database, now),
    )


def past_of(store: Connection, database: str, now: datetime) -> dict[str, Sequence[Past]]:
    """Return recorded bloat values of the last months, oldest first, by quoted name."""
    found: dict[str, list[Past]] = defaultdict(list)
    rows = store.execute(
        "SELECT object, taken_at, size_bytes, fraction FROM maintenance.bloat"
        " WHERE database = %s AND taken_at >= %s AND taken_at < %s ORDER BY taken_at",
        (database, now - LOOKED_BACK, now),
    )
    for name, *rest in rows:
        found[name].append(Past(*rest))
    return dict(found)


def rebuilds_of(store: Connection, database: str) -> tuple[Rebuild, ...]:
    """Return the rebuilds of the last months and all unfinished ones, oldest first."""
    with store.cursor(row_factory=class_row(Rebuild)) as cursor:
        rows = cursor.execute(
            "SELECT id, index_name AS name, old_oid, new_oid, started_at, ended_at, size_before,"
            " size_after, table_oid, indexes_before, error FROM maintenance.rebuild"
            " WHERE database = %s AND (started_at >= pg_catalog.now() - %s OR ended_at IS NULL)"
            " ORDER BY id",
            (database, LOOKED_BACK),
        )
        return tuple(rows)


def begin_rebuild(store: Connection, database: str, run_id: str, begun: Beginning) -> int:
    """Record the start of a rebuild, durable when this returns; return its id."""
    row = store.execute(
        "INSERT INTO maintenance.rebuild (database, run_id, index_name, old_oid, size_before,"
        " table_oid, indexes_before) VALUES (%s, %s, %s, %s, %s, %s, %s::oid[]) RETURNING id",
        (database, run_id, *begun),
    ).fetchone()
    assert row is not None, "RETURNING gives the row"
    return int(row[0])


def note_new_oid(store: Connection, number: int, oid: int) -> None:
    """Record the OID of the index that is being built."""
    store.execute("UPDATE maintenance.rebuild SET new_oid = %s WHERE id = %s", (oid, number))


def note_failure(store: Connection, number: int, error: str) -> None:
    """Record why a rebuild failed, with or without a leftover."""
    store.execute("UPDATE maintenance.rebuild SET error = %s WHERE id = %s", (error, number))


def end_rebuild(store: Connection, number: int, size_bytes: int | None) -> None:
    """Record that a rebuild ended without leftover; a size of None means it failed."""
    store.execute(
        "UPDATE maintenance.rebuild SET ended_at = pg_catalog.clock_timestamp(), size_after = %s"
        " WHERE id = %s",
        (size_bytes, number),
    )


def settle(store: Connection, gone: Iterable[Rebuild]) -> None:
    """Close rebuilds of killed runs that left nothing."""
    for rebuild in gone:
        end_rebuild(store, rebuild.id, None)


def _row(seen: Observed, bloat: Bloat) -> dict[str, object]:
    is_toast = not isinstance(seen, ObservedIndex) and seen.owner is not None
    return {
        "object": str(seen.relation),
        "table_name": str(seen.table),
        "kind": "index" if isinstance(seen, ObservedIndex) else "toast" if is_toast else "table",
        "size_bytes": seen.size_bytes,
        "fraction": bloat.fraction,
        "method": bloat.method.value,
    }


class Kept(NamedTuple):
    """One relation at the newest observation; `fraction` is None if unknown."""

    object: str
    table_name: str
    kind: str
    size_bytes: int
    fraction: float | None
    method: str

    @property
    def empty_bytes(self) -> float:
        """Bytes that a rewrite would free."""
        return (self.fraction or 0.0) * self.size_bytes


class Day(NamedTuple):
    """Total bloat of tables and indexes at one observation."""

    taken_at: datetime
    tables_bytes: float
    indexes_bytes: float


def newest_look(store: Connection, database: str) -> tuple[datetime | None, list[Kept]]:
    """Return the time and the values of the newest bloat observation, most bloat first."""
    row = store.execute(
        "SELECT taken_at FROM maintenance.bloat_look WHERE database = %s", (database,)
    ).fetchone()
    if row is None:
        return None, []
    with store.cursor(row_factory=class_row(Kept)) as cursor:
        rows = cursor.execute(
            "SELECT object, table_name, kind, size_bytes, fraction, method FROM maintenance.bloat"
            " WHERE database = %s AND taken_at = %s"
            " ORDER BY fraction * size_bytes DESC NULLS LAST, object",
            (database, row[0]),
        ).fetchall()
    return row[0], rows


def trend(store: Connection, database: str) -> list[Day]:
    """Return the total bloat at each observation of the last three months, oldest first."""
    with store.cursor(row_factory=class_row(Day)) as cursor:
        return cursor.execute(
            "SELECT taken_at,"
            " coalesce(pg_catalog.sum(fraction * size_bytes) FILTER (WHERE kind <> 'index'), 0)"
            " AS tables_bytes,"
            " coalesce(pg_catalog.sum(fraction * size_bytes) FILTER (WHERE kind = 'index'), 0)"
            " AS indexes_bytes FROM maintenance.bloat WHERE database = %s"
            " AND taken_at > pg_catalog.now() - interval '3 months' GROUP BY 1 ORDER BY 1",
            (database,),
        ).fetchall()
