"""Recorded comparisons of views with their files, so that they are not repeated."""

from collections.abc import Mapping

from psycopg.types.json import Jsonb

from maintenance.server.session import Connection

Answer = tuple[str, str | None]
"""The identity of file and view, and their difference; None if they do not differ."""


def known_definitions(connection: Connection, database: str) -> dict[str, Answer]:
    """Return the recorded comparisons, by the view's name."""
    rows = connection.execute(
        "SELECT view, identity, differs FROM maintenance.matview_definition WHERE database = %s",
        [database],
    ).fetchall()
    return {view: (identity, differs) for view, identity, differs in rows}


def note_definitions(connection: Connection, database: str, answers: Mapping[str, Answer]) -> None:
    """Record comparisons, replacing earlier ones."""
    rows = [{"view": v, "identity": i, "differs": d} for v, (i, d) in answers.items()]
    connection.execute(
        "INSERT INTO maintenance.matview_definition (database, view, identity, differs)"
        " SELECT %s, a.view, a.identity, a.differs FROM pg_catalog.jsonb_to_recordset(%s)"
        " AS a (view text, identity text, differs text)"
        " ON CONFLICT (database, view) DO UPDATE"
        " SET identity = EXCLUDED.identity, differs = EXCLUDED.differs",
        (database, Jsonb(rows)),
    )
