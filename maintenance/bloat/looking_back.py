"""The newest look at bloat, and how it went: from the store alone."""

from datetime import datetime
from typing import NamedTuple

from psycopg.rows import class_row

from maintenance.server.session import Connection


class Kept(NamedTuple):
    """One relation as the newest look has it; `fraction` is None where it is unknown."""

    object: str
    table_name: str
    kind: str
    size_bytes: int
    fraction: float | None
    method: str

    @property
    def empty_bytes(self) -> float:
        """What a rewrite would give back."""
        return (self.fraction or 0.0) * self.size_bytes


class Day(NamedTuple):
    """How much of everything was empty at one look."""

    taken_at: datetime
    tables_bytes: float
    indexes_bytes: float


def newest_look(store: Connection, database: str) -> tuple[datetime | None, list[Kept]]:
    """Return when bloat was last looked at, and what was seen, the emptiest first."""
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
    """Return how much was empty at each look of the last three months, oldest first."""
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
