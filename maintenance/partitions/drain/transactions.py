"""Our own transactions on the stage: one message each, tried again while somebody is in the way."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from maintenance.engine.workbench import Workbench
from maintenance.errors import MaintenanceError
from maintenance.server.session import explain, milliseconds, rollback_quietly

READ_COMMITTED = "READ COMMITTED"
ONE_SNAPSHOT = "REPEATABLE READ"

XID = "SELECT pg_catalog.pg_current_xact_id()::text"
"""Asks for the transaction's number, to know later who can't see it yet."""

_PAUSE_S = 0.1


class Answer(NamedTuple):
    """What one statement gave back."""

    n_rows: int
    rows: list[Any]


def transact(
    bench: Workbench, statements: Sequence[str], *, isolation: str = READ_COMMITTED
) -> list[Answer]:
    """Run statements in a transaction; writers never wait for it longer than the lock timeout.

    Raises:
        MaintenanceError: the server refused, or somebody was in the way until the deadline.
    """
    clock = bench.ladder.clock
    deadline = clock() + bench.ladder.give_up_after.total_seconds()
    while True:
        try:
            return _run(bench, statements, isolation)
        except psycopg.Error as exc:
            rollback_quietly(bench.connection)
            error = _explain(exc, statements[0])
            if not error.retryable or clock() >= deadline:
                raise error from exc
        bench.ladder.sleep(_PAUSE_S * (0.5 + bench.ladder.dice()))


def _explain(exc: psycopg.Error, statement: str) -> MaintenanceError:
    error = explain(exc, statement)
    if isinstance(exc, psycopg.errors.CheckViolation) and exc.diag.constraint_name is None:
        error.hint = "add a partition that takes such rows to the newest sibling, then run again"
    return error


def _run(bench: Workbench, statements: Sequence[str], isolation: str) -> list[Answer]:
    settings = (
        f"BEGIN ISOLATION LEVEL {isolation}",
        f"SET LOCAL lock_timeout = {milliseconds(bench.ladder.lock_timeout)}",
        "SET LOCAL statement_timeout = 0",
        f"SET LOCAL search_path = {bench.policy.database.search_path}",
        # Row security that hid a row from us would lose it: better an error.
        "SET LOCAL row_security = off",
    )
    text = ";\n".join((*settings, *statements, "COMMIT"))
    cursor = bench.connection.execute(text.encode())
    answers: list[Answer] = []
    while True:
        rows = cursor.fetchall() if cursor.description else []
        answers.append(Answer(cursor.rowcount, rows))
        if not cursor.nextset():
            break
    return answers[len(settings) : -1]
