"""Recorded comparisons of views with their files, so that they are not repeated."""

from collections.abc import Mapping

from psycopg.types.json import Jsonb

from maintenance.server.session import Connection, fetch, run_statement

Answer = tuple[str, str | None]
"""The identity of file and view, and their difference; None if they do not differ."""


def known_definitions(connection: Connection, database: str) -> dict[str, Answer]:
    """Return the recorded comparisons, by the view's name."""
    rows = fetch(connection, "store", "list_view_definitions", {"database": database})
    return {view: (identity, differs) for view, identity, differs in rows}


def note_definitions(connection: Connection, database: str, answers: Mapping[str, Answer]) -> None:
    """Record comparisons, replacing earlier ones."""
    rows = [{"view": v, "identity": i, "differs": d} for v, (i, d) in answers.items()]
    parameters = {"database": database, "answers": Jsonb(rows)}
    run_statement(connection, "store", "replace_view_definitions", parameters)
