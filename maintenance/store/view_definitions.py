"""What the files of views were found to mean, so that the server need not be asked again."""

from collections.abc import Mapping

from psycopg.types.json import Jsonb

from maintenance.server.session import Connection, fetch, run_statement

Answer = tuple[str, str | None]
"""The identity of file and view, and how they differ; None where they do not."""


def known_definitions(connection: Connection, database: str) -> dict[str, Answer]:
    """Return the answers on record, by the view's name."""
    rows = fetch(connection, "store", "list_view_definitions", {"database": database})
    return {view: (identity, differs) for view, identity, differs in rows}


def note_definitions(connection: Connection, database: str, answers: Mapping[str, Answer]) -> None:
    """Keep answers, in place of earlier ones."""
    rows = [{"view": v, "identity": i, "differs": d} for v, (i, d) in answers.items()]
    parameters = {"database": database, "answers": Jsonb(rows)}
    run_statement(connection, "store", "replace_view_definitions", parameters)
