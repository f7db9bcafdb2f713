"""What the files of views were found to mean, so that the server need not be asked again."""

from collections.abc import Mapping

from psycopg.types.json import Jsonb

from maintenance.server.session import Connection

Answer = tuple[str, str | None]
"""The identity of file and view, and how they differ; None where they do not."""


def known_definitions(connection: Connection, database: str) -> dict[str, Answer]:
    """Return the answers on record, by the view's name."""
    rows = connection.execute(
        "SELECT view, identity, differs FROM maintenance.matview_definition WHERE database = %s",
        [database],
    ).fetchall()
    return {view: (identity, differs) for view, identity, differs in rows}


def note_definitions(connection: Connection, database: str, answers: Mapping[str, Answer]) -> None:
    """Keep answers, in place of earlier ones."""
    rows = [{"view": v, "identity": i, "differs": d} for v, (i, d) in answers.items()]
    connection.execute(
        "INSERT INTO maintenance.matview_definition (database, view, identity, differs)"
        " SELECT %s, a.view, a.identity, a.differs FROM pg_catalog.jsonb_to_recordset(%s)"
        " AS a (view text, identity text, differs text)"
        " ON CONFLICT (database, view) DO UPDATE"
        " SET identity = EXCLUDED.identity, differs = EXCLUDED.differs",
        (database, Jsonb(rows)),
    )
