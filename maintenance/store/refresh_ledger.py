"""The ledger of refreshes: time, result and proven freshness of each refresh of a view.

PostgreSQL stores no refresh time, so a refresh that is not recorded here is unknown.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb

from maintenance.server.session import Connection
from maintenance.store.refresh import Refresh

_WRITTEN = (
    "view, run_id, started_at, ended_at, mode, reason, error, changed, n_rows, n_inserted,"
    " n_updated, n_deleted, n_null_keys, temp_bytes, state, fingerprint, as_of"
)
_COLUMNS = [column.strip() for column in _WRITTEN.split(",")]
_VALUES = ", ".join(f"%({column})s" for column in _COLUMNS)


def add_refresh(connection: Connection, database: str, refresh: Refresh) -> int:
    """Record one refresh and return its id; only the newest successful one has a fingerprint."""
    values: dict[str, Any] = {column: getattr(refresh, column) for column in _COLUMNS}
    values["state"] = Jsonb(list(refresh.state)) if refresh.state else None
    values["fingerprint"] = Jsonb(refresh.fingerprint) if refresh.fingerprint else None
    row = connection.execute(
        "WITH older AS (UPDATE maintenance.matview_refresh SET fingerprint = NULL"
        " WHERE database = %(database)s AND view = %(view)s AND fingerprint IS NOT NULL"
        " AND %(error)s::pg_catalog.text IS NULL)"
        f" INSERT INTO maintenance.matview_refresh (database, {_WRITTEN})"
        f" VALUES (%(database)s, {_VALUES}) RETURNING id".encode(),
        {**values, "database": database},
    ).fetchone()
    assert row is not None, "INSERT … RETURNING returns the row"
    return int(row[0])


def newest_refreshes(connection: Connection, database: str) -> dict[str, Refresh]:
    """Return the newest successful refresh of each view, by the view's name."""
    return _newest(connection, database, "r.error IS NULL", "true")


def newest_failures(connection: Connection, database: str) -> dict[str, Refresh]:
    """Return the newest failure of each view whose last refresh failed, by the view's name."""
    return _newest(connection, database, "true", "n.error IS NOT NULL")


def _newest(
    connection: Connection, database: str, condition: str, wanted: str
) -> dict[str, Refresh]:
    """Return the newest refresh of each view that meets a condition, filtered by `wanted`."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        rows = cursor.execute(
            "SELECT n.*, (SELECT pg_catalog.max(c.id) FROM maintenance.matview_refresh AS c"
            "  WHERE c.database = n.database AND c.view = n.view AND c.changed) AS changed_id"
            " FROM (SELECT DISTINCT r.view FROM maintenance.matview_refresh AS r"
            "  WHERE r.database = %(database)s) AS v"
            " CROSS JOIN LATERAL (SELECT r.* FROM maintenance.matview_refresh AS r"
            f"  WHERE r.database = %(database)s AND r.view = v.view AND {condition}"
            f"  ORDER BY r.id DESC LIMIT 1) AS n WHERE {wanted}".encode(),
            {"database": database},
        ).fetchall()
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
    connection.execute(
        "UPDATE maintenance.matview_refresh AS r"
        " SET proven_as_of = GREATEST(r.proven_as_of, p.as_of)"
        " FROM ROWS FROM (pg_catalog.unnest(%(ids)s::pg_catalog.int8[]),"
        " pg_catalog.unnest(%(moments)s::pg_catalog.timestamptz[])) AS p (id, as_of)"
        " WHERE r.id = p.id",
        {"ids": list(proofs), "moments": list(proofs.values())},
    )
