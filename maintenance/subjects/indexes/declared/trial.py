"""Try declared statements on empty copies of their tables, with the rights of the tables' owners.

The server itself then says whether it accepts a definition, and how it writes it. All is rolled
back. Nothing is tried where an event trigger would run another role's code.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import psycopg

from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.server.owner_rights import OwnerRights, Trial
from maintenance.server.owner_sessions import OwnerSessions
from maintenance.server.session import (
    READ_LOCK_TIMEOUT,
    Connection,
    milliseconds,
    rollback_quietly,
    to_error,
)
from maintenance.subjects.indexes.declared.models import NOT_TRIED, Refusal
from maintenance.subjects.indexes.declared.questions import (
    Answer,
    Question,
    Tried,
    copy_of,
    create_copy,
)

_PASSING = frozenset(
    {
        "55P03",  # lock_not_available
        "57014",  # query_canceled
    }
)
_NO_VERDICTS = _PASSING | {
    "25006",  # read_only_sql_transaction
    "42501",  # insufficient_privilege
}
"""Errors that say nothing of the definition."""


def try_out(
    connection: Connection,
    questions: Sequence[Question],
    search_path: str,
    time_cap: timedelta,
    sessions: OwnerSessions,
) -> dict[Tried, Answer]:
    """Try statements; return the server's description of each, or its refusal.

    Args:
        connection: our session on the primary, outside a transaction.
        questions: on tables that exist; of each table those that others need come first.
        search_path: the policy's, for names in the declarations.
        time_cap: for the trials of one owner.
        sessions: give the sessions with owners' rights.

    Raises:
        UnreachableError: the connection was lost.
    """
    by_owner: dict[str, list[Question]] = {}
    for each in sorted(questions, key=lambda each: each.table.relation):
        by_owner.setdefault(each.facts.owner, []).append(each)
    found: dict[Tried, Answer] = {}
    for owner, asked in by_owner.items():
        rights = OwnerRights(owner, search_path)
        found.update(_try_as(connection, rights, asked, time_cap, sessions))
    return found


def _try_as(
    connection: Connection,
    rights: OwnerRights,
    questions: Sequence[Question],
    time_cap: timedelta,
    sessions: OwnerSessions,
) -> Iterator[tuple[Tried, Answer]]:
    steps = list(_steps(questions))
    settings = (
        f"SET LOCAL lock_timeout = {READ_LOCK_TIMEOUT}",
        f"SET LOCAL statement_timeout = {milliseconds(time_cap)}",
    )
    try:
        session = sessions.session(connection, rights)
        try:
            answers = session.try_each([trial for _, trial in steps], settings)
        except psycopg.Error as exc:
            rollback_quietly(session.connection)
            raise to_error(exc, "trying the declarations on empty copies of their tables") from exc
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        refusal = Refusal(NOT_TRIED, str(exc), exc.hint, exc.retryable)
        yield from ((each.declared, refusal) for each in questions)
        return
    no_copy: Refusal | None = None
    for (question, _), answer in zip(steps, answers, strict=True):
        refusal = _refusal(answer)
        if question is None:
            no_copy = refusal._replace(sqlstate=NOT_TRIED) if refusal is not None else None
        else:
            yield question.declared, no_copy or refusal or answer["row"]


def _steps(questions: Sequence[Question]) -> Iterator[tuple[Question | None, Trial]]:
    """Yield the statements, each with its question: a copy of a table, then its parts.

    Copies of tables of the same name in several schemas follow each other.
    """
    before: int | None = None
    copies: set[str] = set()
    for each in questions:
        if each.table.oid != before:
            copy = copy_of(each.table)
            if copy in copies:
                yield None, Trial(f"DROP TABLE {copy}")
            yield None, Trial(create_copy(each))
            copies.add(copy)
        yield each, Trial(each.statement, each.query)
        before = each.table.oid


def _refusal(answer: Mapping[str, Any]) -> Refusal | None:
    if "sqlstate" not in answer:
        return None
    state: str = answer["sqlstate"]
    told = NOT_TRIED if state in _NO_VERDICTS else state
    return Refusal(told, answer["message"], answer["hint"] or "", state in _PASSING)
