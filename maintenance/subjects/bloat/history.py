"""What the store remembers of bloat: earlier looks, and rebuilds."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg.types.json import Jsonb

from maintenance.server.session import Connection, fetch, run_statement
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
    """An index right before its rebuild.

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
    """Keep what was seen of every relation, in one statement."""
    rows = [_row(each, stock.bloat[each.oid]) for each in (*stock.tables, *stock.indexes)]
    parameters = {"taken_at": now, "database": database, "relations": Jsonb(rows)}
    run_statement(store, "store", "add_bloat", parameters)


def note_look(store: Connection, database: str, now: datetime) -> None:
    """Keep when bloat was looked at."""
    run_statement(store, "store", "note_bloat_look", {"database": database, "taken_at": now})


def past_of(store: Connection, database: str, now: datetime) -> dict[str, Sequence[Past]]:
    """Return earlier looks of the last months, oldest first, by quoted name."""
    found: dict[str, list[Past]] = defaultdict(list)
    about = {"database": database, "since": now - LOOKED_BACK, "until": now}
    rows = fetch(store, "store", "list_bloat", about)
    for name, *rest in rows:
        found[name].append(Past(*rest))
    return dict(found)


def rebuilds_of(store: Connection, database: str) -> tuple[Rebuild, ...]:
    """Return the rebuilds of the last months, and those that never ended, oldest first."""
    about = {"database": database, "lookback": LOOKED_BACK}
    return tuple(Rebuild(*row) for row in fetch(store, "store", "list_rebuilds", about))


def begin_rebuild(store: Connection, database: str, run_id: str, begun: Beginning) -> int:
    """Note that a rebuild begins, durable when this returns; gives its number."""
    parameters = {"database": database, "run_id": run_id, **begun._asdict()}
    (row,) = fetch(store, "store", "begin_rebuild", parameters)
    return int(row.id)


def note_new_oid(store: Connection, number: int, oid: int) -> None:
    """Note the index that is being built."""
    run_statement(store, "store", "note_rebuilt_index", {"id": number, "oid": oid})


def note_failure(store: Connection, number: int, error: str) -> None:
    """Note why a rebuild failed, whether or not it has left something."""
    run_statement(store, "store", "note_rebuild_failure", {"id": number, "error": error})


def end_rebuild(store: Connection, number: int, size_bytes: int | None) -> None:
    """Note that a rebuild is over and has left nothing; None where it has not succeeded."""
    run_statement(store, "store", "end_rebuild", {"id": number, "size_bytes": size_bytes})


def settle(store: Connection, gone: Iterable[Rebuild]) -> None:
    """Close rebuilds of killed runs that have left nothing behind."""
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
    looks = fetch(store, "store", "find_bloat_look", {"database": database})
    if not looks:
        return None, []
    taken_at = looks[0].taken_at
    about = {"database": database, "taken_at": taken_at}
    return taken_at, [Kept(*row) for row in fetch(store, "store", "list_bloat_of_look", about)]


def trend(store: Connection, database: str) -> list[Day]:
    """Return how much was empty at each look of the last three months, oldest first."""
    return [Day(*row) for row in fetch(store, "store", "sum_bloat", {"database": database})]
