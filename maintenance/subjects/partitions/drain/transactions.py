"""Runs transactions on the stage: one message each, retried while other sessions block them.

They copy, compare and write rows of the owner's table, so they run as its owner: rows pass through
CHECKs, generated columns and operators that the owner wrote.
"""

from collections.abc import Sequence

import psycopg
from psycopg.rows import dict_row

from maintenance.engine.action_context import ActionContext
from maintenance.errors import MaintenanceError
from maintenance.server.owner_rights import Answer
from maintenance.server.session import milliseconds, rollback_quietly, to_error
from maintenance.server.statements import Asked

READ_COMMITTED = "READ COMMITTED"
ONE_SNAPSHOT = "REPEATABLE READ"

XID = Asked("SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text AS xid")
"""Returns the transaction's id, to know later which snapshots can't see it yet."""


def transact(
    context: ActionContext,
    owner: str,
    statements: Sequence[str],
    *,
    isolation: str = READ_COMMITTED,
) -> list[Answer]:
    """Run statements in a transaction; writers never wait for it longer than the lock timeout.

    Args:
        context: with a session that is not in a transaction.
        owner: of the table; the statements run as this role.
        statements: finished SQL; rows come of those that are `Asked`.
        isolation: the transaction's.

    Raises:
        MaintenanceError: a statement failed, or other sessions blocked it until the deadline.
    """
    clock = context.lock_retry.clock
    deadline = clock() + context.lock_retry.give_up_after.total_seconds()
    session = context.owner_session(owner)
    begin = f"BEGIN ISOLATION LEVEL {isolation}"
    attempt = 0
    while True:
        attempt += 1
        try:
            if session is None:
                return _run(context, begin, statements)
            return session.transact(statements, begin=begin, settings=_settings(context))
        except psycopg.Error as exc:
            rollback_quietly(context.connection if session is None else session.connection)
            error = _explain(exc, statements[0])
            if not error.retryable or clock() >= deadline:
                raise error from exc
        context.lock_retry.sleep(context.lock_retry.pause(attempt))


def _explain(exc: psycopg.Error, statement: str) -> MaintenanceError:
    error = to_error(exc, statement)
    if isinstance(exc, psycopg.errors.CheckViolation) and exc.diag.constraint_name is None:
        error.hint = "add a partition for such rows to the newest sibling, then run again"
    return error


def _settings(context: ActionContext) -> tuple[str, ...]:
    return (
        f"SET LOCAL lock_timeout = {milliseconds(context.lock_retry.lock_timeout)}",
        "SET LOCAL statement_timeout = 0",
        # A row hidden by row security would be lost: fail instead.
        "SET LOCAL row_security = off",
    )


def _run(context: ActionContext, begin: str, statements: Sequence[str]) -> list[Answer]:
    """Run statements as our own role, which is the owner."""
    path = f"SET LOCAL search_path = {context.policy.database.search_path}"
    settings = (begin, *_settings(context), path)
    text = ";\n".join((*settings, *statements, "COMMIT"))
    with context.connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(text.encode())
        answers: list[Answer] = []
        while True:
            rows = cursor.fetchall() if cursor.description else []
            answers.append(Answer(cursor.rowcount, rows))
            if not cursor.nextset():
                break
    return answers[len(settings) : -1]
