"""Read and record earlier bloat values and rebuilds in the store."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg.types.json import Jsonb

from maintenance.server.session import Connection, fetch, run_statement
from maintenance.subjects.bloat.models import (
    BloatSnapshot,
    Note,
    Observed,
    ObservedIndex,
    Past,
    Rebuild,
    has_note,
    with_notes,
)
from maintenance.subjects.bloat.superfluous import advice_against

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
    rows = [_row(each, stock) for each in (*stock.tables, *stock.indexes)]
    parameters = {"taken_at": now, "database": database, "relations": Jsonb(rows)}
    run_statement(store, "store", "add_bloat", parameters)


def note_look(store: Connection, database: str, now: datetime) -> None:
    """Record the time of a bloat observation."""
    run_statement(store, "store", "note_bloat_look", {"database": database, "taken_at": now})


def past_of(store: Connection, database: str, now: datetime) -> dict[str, Sequence[Past]]:
    """Return recorded bloat values of the last months, oldest first, by quoted name."""
    found: dict[str, list[Past]] = defaultdict(list)
    about = {"database": database, "since": now - LOOKED_BACK, "until": now}
    rows = fetch(store, "store", "list_bloat", about)
    for name, *rest in rows:
        found[name].append(Past(*rest))
    return dict(found)


def rebuilds_of(store: Connection, database: str) -> tuple[Rebuild, ...]:
    """Return the rebuilds of the last months and all unfinished ones, oldest first."""
    about = {"database": database, "lookback": LOOKED_BACK}
    return tuple(Rebuild(*row) for row in fetch(store, "store", "list_rebuilds", about))


def begin_rebuild(store: Connection, database: str, run_id: str, begun: Beginning) -> int:
    """Record the start of a rebuild, durable when this returns; return its id."""
    parameters = {"database": database, "run_id": run_id, **begun._asdict()}
    (row,) = fetch(store, "store", "begin_rebuild", parameters)
    return int(row.id)


def note_new_oid(store: Connection, number: int, oid: int) -> None:
    """Record the OID of the index that is being built."""
    run_statement(store, "store", "note_rebuilt_index", {"id": number, "oid": oid})


def note_failure(store: Connection, number: int, error: str) -> None:
    """Record why a rebuild failed, with or without a leftover."""
    run_statement(store, "store", "note_rebuild_failure", {"id": number, "error": error})


def end_rebuild(store: Connection, number: int, size_bytes: int | None) -> None:
    """Record that a rebuild ended without leftover; a size of None means it failed."""
    run_statement(store, "store", "end_rebuild", {"id": number, "size_bytes": size_bytes})


def settle(store: Connection, gone: Iterable[Rebuild]) -> None:
    """Close rebuilds of killed runs that left nothing."""
    for rebuild in gone:
        end_rebuild(store, rebuild.id, None)


def _row(seen: Observed, stock: BloatSnapshot) -> dict[str, object]:
    bloat = stock.bloat[seen.oid]
    is_toast = not isinstance(seen, ObservedIndex) and seen.owner is not None
    return {
        "object": str(seen.relation),
        "table_name": str(seen.table),
        "kind": "index" if isinstance(seen, ObservedIndex) else "toast" if is_toast else "table",
        "size_bytes": seen.size_bytes,
        "fraction": bloat.fraction,
        "method": with_notes(bloat.method, _notes(seen, stock)),
    }


def _notes(seen: Observed, stock: BloatSnapshot) -> Iterator[Note]:
    if seen.oid in stock.tried:
        yield Note.NOT_MEASURED
    if isinstance(seen, ObservedIndex) and advice_against(seen, stock) is not None:
        yield Note.SUPERFLUOUS


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

    @property
    def is_superfluous(self) -> bool:
        """Whether advice of that run told to drop it."""
        return has_note(self.method, Note.SUPERFLUOUS)


class Day(NamedTuple):
    """Total bloat of tables and indexes at one observation."""

    taken_at: datetime
    tables_bytes: float
    indexes_bytes: float


def newest_look(store: Connection, database: str) -> tuple[datetime | None, list[Kept]]:
    """Return the time and the values of the newest bloat observation, most bloat first."""
    looks = fetch(store, "store", "find_bloat_look", {"database": database})
    if not looks:
        return None, []
    taken_at = looks[0].taken_at
    about = {"database": database, "taken_at": taken_at}
    return taken_at, [Kept(*row) for row in fetch(store, "store", "list_bloat_of_look", about)]


def trend(store: Connection, database: str) -> list[Day]:
    """Return the total bloat at each observation of the last three months, oldest first."""
    return [Day(*row) for row in fetch(store, "store", "sum_bloat", {"database": database})]
