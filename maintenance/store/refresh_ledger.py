"""The ledger of refreshes: time, result and proven freshness of each refresh of a view.

PostgreSQL stores no refresh time, so a refresh that is not recorded here is unknown.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from maintenance.server.session import Connection, fetch, run_statement
from maintenance.store.refresh import Refresh

_WRITTEN = (
    "view, run_id, started_at, ended_at, mode, reason, error, changed, n_rows, n_inserted,"
    " n_updated, n_deleted, n_null_keys, temp_bytes, state, fingerprint, as_of"
)
_COLUMNS = [column.strip() for column in _WRITTEN.split(",")]


def add_refresh(connection: Connection, database: str, refresh: Refresh) -> int:
    """Record one refresh and return its id; only the newest successful one has a fingerprint."""
    values: dict[str, Any] = {column: getattr(refresh, column) for column in _COLUMNS}
    values["state"] = Jsonb(list(refresh.state)) if refresh.state else None
    values["fingerprint"] = Jsonb(refresh.fingerprint) if refresh.fingerprint else None
    (row,) = fetch(connection, "store", "add_refresh", {**values, "database": database})
    return int(row.id)


def newest_refreshes(connection: Connection, database: str) -> dict[str, Refresh]:
    """Return the newest successful refresh of each view, by the view's name."""
    return _by_view(fetch(connection, "store", "list_newest_refreshes", {"database": database}))


def newest_failures(connection: Connection, database: str) -> dict[str, Refresh]:
    """Return the newest failure of each view whose last refresh failed, by the view's name."""
    return _by_view(fetch(connection, "store", "list_newest_failures", {"database": database}))


def _by_view(rows: Iterable[Any]) -> dict[str, Refresh]:
    return {refresh.view: refresh for refresh in map(_refresh, rows)}


def _refresh(row: Any) -> Refresh:
    values = {column: getattr(row, column) for column in _COLUMNS}
    values["run_id"] = str(row.run_id)
    values["state"] = tuple(row.state) if row.state is not None else None
    return Refresh(
        **values, proven_as_of=row.proven_as_of, id=row.id, changed_id=row.changed_id or 0
    )


def note_proofs(connection: Connection, proofs: Mapping[int, datetime]) -> None:
    """Advance `proven_as_of` of refreshes, by id; never backwards."""
    moments = {"ids": list(proofs), "moments": list(proofs.values())}
    run_statement(connection, "store", "advance_proofs", moments)
