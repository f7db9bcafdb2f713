"""Run statements with the rights of an owner and no others.

A statement that evaluates an owner's CHECK, default, generated column, trigger, domain, operator,
view or row-level security policy runs code written by the owner. Our role may have more rights than
the owner, so that code must never run with our rights. `SET ROLE` alone is not sufficient, because
the code can reset the role. Inside a SECURITY DEFINER function the server refuses that, so each
guarded statement is run by such a function. It is created as the owner right before, in the
session's temporary schema, because the owner could have altered an older one, and dropped after.

Side effects of such code on the session are removed in the same message: settings are pinned again,
open cursors closed, temporary objects dropped (their names could hide built-in types), deferred
triggers fired inside. Prepared statements and advisory locks can't be distinguished from ours, so
guarded statements run in a session that is used only for them.
Source: PostgreSQL manual, CREATE FUNCTION ("Writing SECURITY DEFINER Functions Safely"), SET ROLE.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from maintenance.names import literal, quote
from maintenance.server.session import Connection, owner_path, pin, pinned_settings
from maintenance.server.statements import Asked, Ours

EXECUTE = "pg_temp.maintenance_execute"
QUERY = "pg_temp.maintenance_query"
ANSWER = "pg_temp.maintenance_answer"
TRY = "pg_temp.maintenance_try"

_ATTRIBUTES = "LANGUAGE plpgsql VOLATILE SECURITY DEFINER"
_FIRE_DEFERRED = "SET CONSTRAINTS ALL IMMEDIATE;"

_EXECUTE_BODY = f"""
DECLARE
  n_rows bigint;
BEGIN
  EXECUTE statement;
  GET DIAGNOSTICS n_rows = ROW_COUNT;
  {_FIRE_DEFERRED}
  RETURN n_rows;
END"""

_QUERY_BODY = """
BEGIN
  RETURN QUERY EXECUTE
    pg_catalog.concat('SELECT pg_catalog.to_jsonb(q) FROM (', query, E'\\n) AS q');
END"""

_ANSWER_BODY = """
DECLARE
  answer pg_catalog.jsonb;
BEGIN
  IF pg_catalog.starts_with(command, 'EXPLAIN ') OR pg_catalog.starts_with(command, 'SELECT ') THEN
    EXECUTE command INTO answer;
  ELSE
    EXECUTE command;
  END IF;
  RETURN answer;
END"""

_HIDE_FROM_COUNTERS = (
    "SELECT pg_catalog.set_config('track_counts', 'off', true)"
    " WHERE pg_catalog.has_parameter_privilege('track_counts', 'SET')"
)


_TRY_BODY = """
DECLARE
  path pg_catalog.text := pg_catalog.current_setting('search_path');
  trial pg_catalog.jsonb;
  answer pg_catalog.jsonb;
  state pg_catalog.text;
  message pg_catalog.text;
  hint pg_catalog.text;
BEGIN
  FOR trial IN SELECT pg_catalog.jsonb_array_elements(trials::pg_catalog.jsonb)
  LOOP
    BEGIN
      PERFORM pg_catalog.set_config('search_path', path, true);
      EXECUTE trial OPERATOR(pg_catalog.->>) 'statement';
      PERFORM pg_catalog.set_config('search_path', '', true);
      answer := NULL;
      IF trial OPERATOR(pg_catalog.->>) 'query' IS NOT NULL THEN
        EXECUTE pg_catalog.concat(
          'SELECT pg_catalog.to_jsonb(q) FROM (',
          trial OPERATOR(pg_catalog.->>) 'query', E'\\n) AS q'
        ) INTO answer;
      END IF;
      RETURN NEXT pg_catalog.jsonb_build_object('row', answer);
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS
        state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
      RETURN NEXT pg_catalog.jsonb_build_object(
        'sqlstate', state, 'message', message, 'hint', hint
      );
    END;
  END LOOP;
END"""

# Up to 17 a deferred trigger runs at COMMIT with the rights of the committing role, which is ours.
# One that defers itself again can't be distinguished from one that doesn't, so both are refused.
# Triggers of foreign keys and unique keys are built-in and safe.
_REFUSE_DEFERRED = """
BEGIN
  IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 180000 AND EXISTS (
    SELECT FROM pg_catalog.pg_trigger AS t
      LEFT JOIN pg_catalog.pg_constraint AS c ON c.oid = t.tgconstraint
     WHERE t.tgdeferrable AND (c.contype IS NULL OR c.contype NOT IN ('f', 'p', 'u'))
       AND (pg_catalog.current_setting('track_counts') = 'off'
            OR pg_catalog.pg_stat_get_xact_tuples_inserted(t.tgrelid)
               + pg_catalog.pg_stat_get_xact_tuples_updated(t.tgrelid)
               + pg_catalog.pg_stat_get_xact_tuples_deleted(t.tgrelid) > 0))
  THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'a table that changed has a deferrable trigger or exclusion constraint,'
                ' whose code would run at COMMIT with more than its owner''s rights',
      HINT = 'make it NOT DEFERRABLE; not required on PostgreSQL 18 and later';
  END IF;
END"""


class OwnerRights(NamedTuple):
    """The role whose rights a statement runs with, and the search_path for its code.

    Attributes:
        owner: the role, unquoted.
        search_path: as SQL text, such as `app, public`; `pg_catalog` goes before it.
    """

    owner: str
    search_path: str = ""

    @property
    def path(self) -> str:
        """The search_path of guarded statements: pg_catalog comes first."""
        return owner_path(self.search_path)


class Trial(NamedTuple):
    """A statement that is tried and rolled back, and a query of its effect.

    Attributes:
        statement: finished SQL, resolved under the search_path of the rights.
        query: returns one row; resolved under an empty search_path, as in our own sessions, so
            that names in its answer are qualified.
    """

    statement: str
    query: str | None = None


def guarded(statement: str, rights: OwnerRights, pinned: Mapping[str, str]) -> list[str]:
    """Return the statements that run one statement with an owner's rights.

    Run them in one transaction and one message, in a session used only for them. One of them,
    see `is_answer`, returns the number of rows.

    Args:
        statement: finished SQL; not COPY, and no statement with its own transactions.
        rights: of the owner.
        pinned: settings of the session, set again afterwards.
    """
    return [
        *_make(EXECUTE, "statement", "pg_catalog.int8", _EXECUTE_BODY, rights),
        f"SELECT {EXECUTE}({_text(statement)}) AS n_rows",
        *_clean(pinned),
    ]


def guarded_query(
    query: str, rights: OwnerRights, pinned: Mapping[str, str], *, read_only: bool = True
) -> list[str]:
    """Return the statements that run one query with an owner's rights and return JSON rows.

    Run them in one transaction.

    Args:
        query: finished SQL that is valid in a subquery; its columns have names.
        rights: of the owner.
        pinned: settings of the session, set again afterwards.
        read_only: whether the rest of the transaction is read-only; it is rolled back.
    """
    return [
        *_make(QUERY, "query", "SETOF pg_catalog.jsonb", _QUERY_BODY, rights),
        *(["SET LOCAL transaction_read_only = on"] if read_only else []),
        f"SELECT row FROM {QUERY}({_text(query)}) AS row",
        *_clean(pinned),
    ]


def guarded_trials(trials: Sequence[Trial], rights: OwnerRights) -> list[str]:
    """Return the statements that try statements with an owner's rights, each for itself.

    Run them in one transaction and roll it back right after, which removes their side effects.
    They return one JSON row for each trial: its `row`, or the `sqlstate`, `message` and `hint` of
    its error.

    Args:
        trials: in order; each sees the effects of those before it that succeeded.
        rights: of the owner.
    """
    asked = [{"statement": trial.statement, "query": trial.query} for trial in trials]
    return [
        *_make(TRY, "trials", "SETOF pg_catalog.jsonb", _TRY_BODY, rights),
        f"SELECT row FROM {TRY}({_text(json.dumps(asked))}) AS row",
    ]


def with_rights(
    statements: Sequence[str], rights: OwnerRights, pinned: Mapping[str, str]
) -> Iterator[str]:
    """Yield the statements that run several with an owner's rights, adjacent ones in one call.

    Args:
        statements: finished SQL; those that are `Ours` are not changed.
        rights: of the owner.
        pinned: settings of the session, set again afterwards.
    """
    for ours, group in groupby(statements, lambda each: isinstance(each, Ours)):
        neighbours = list(group)
        yield from neighbours if ours else guarded(";\n".join(neighbours), rights, pinned)


def is_answer(statement: str) -> bool:
    """Whether a statement of `guarded…` is the one that returns the result."""
    return statement.startswith(
        (f"SELECT {EXECUTE}(", f"SELECT row FROM {QUERY}(", f"SELECT row FROM {TRY}(")
    )


def _make(name: str, argument: str, returns: str, body: str, rights: OwnerRights) -> list[str]:
    function = f"{name}({argument} pg_catalog.text)"
    return [
        f"SET LOCAL ROLE {quote(rights.owner)}",
        f"CREATE OR REPLACE FUNCTION {function} RETURNS {returns} {_ATTRIBUTES}"
        f" SET search_path = {rights.path} AS {literal(body)}",
        f"GRANT EXECUTE ON FUNCTION {name}(pg_catalog.text) TO SESSION_USER",
        "RESET ROLE",
    ]


def _clean(pinned: Mapping[str, str]) -> list[str]:
    """Return the statements that remove side effects: open cursors would run at COMMIT, as us.

    They also drop the function.
    """
    settings = ", ".join(
        f"pg_catalog.set_config({literal(name)}, {literal(value)}, false)"
        for name, value in pinned.items()
    )
    return [
        "CLOSE ALL",
        f"SELECT {settings}",
        "DISCARD TEMP",
        f"DO {literal(_REFUSE_DEFERRED)}",
    ]


def _text(statement: str) -> str:
    return f"{literal(statement)}::pg_catalog.text"


class Answer(NamedTuple):
    """The result of one statement: the number of changed rows, or the rows of a query."""

    n_rows: int
    rows: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class OwnerSession:
    """A session that is used only for guarded statements.

    Attributes:
        connection: from `server.session.connect`, outside a transaction; not the one with the run
            lock, which such code could release, and not one with prepared statements.
        rights: the rights of its statements.
    """

    connection: Connection
    rights: OwnerRights

    def execute(self, *statements: str, settings: Sequence[str] = ()) -> list[int]:
        """Run statements in one transaction of one message; return how many rows each changed.

        Args:
            statements: finished SQL, each run with the owner's rights.
            settings: run before, as us, such as `SET LOCAL lock_timeout = 50`.

        Raises:
            psycopg.Error: as the server raised it; the transaction may be open.
        """
        return [answer.n_rows for answer in self.transact(statements, settings=settings)]

    def guard(self, statement: str) -> list[str]:
        """Return the statements that run one statement with the owner's rights in a transaction."""
        return guarded(statement, self.rights, pinned_settings(self.connection))

    def query(self, text: str, settings: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Run a query; return its rows by column name, with values as in JSON.

        Raises:
            psycopg.Error: as the server raised it; the transaction may be open.
        """
        guarded_text = guarded_query(text, self.rights, pinned_settings(self.connection))
        (rows,) = _answers(self.connection, ["BEGIN", *settings, *guarded_text, "ROLLBACK"])
        return [row for (row,) in rows]

    def try_each(
        self, trials: Sequence[Trial], settings: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Try statements and roll all of them back; return one answer for each.

        Args:
            trials: see `guarded_trials`, also for the answers.
            settings: run before, as us.

        Raises:
            psycopg.Error: as the server raised it; the transaction may be open.
        """
        text = guarded_trials(trials, self.rights)
        (rows,) = _answers(self.connection, ["BEGIN", *settings, *text, "ROLLBACK"])
        return [row for (row,) in rows]

    def transact(
        self, statements: Sequence[str], *, begin: str = "BEGIN", settings: Sequence[str] = ()
    ) -> list[Answer]:
        """Run statements in one transaction of one message; return their results.

        Args:
            statements: finished SQL, each run with the owner's rights; not `Ours`.
            begin: begins the transaction.
            settings: run next, as us.

        Raises:
            psycopg.Error: as the server raised it; the transaction may be open.
        """
        pinned = pinned_settings(self.connection)
        parts = [begin, *settings]
        for text in statements:
            if isinstance(text, Asked):
                parts += guarded_query(text, self.rights, pinned, read_only=False)
            else:
                parts += guarded(text, self.rights, pinned)
        answers = _answers(self.connection, [*parts, "COMMIT"])
        return [
            Answer(len(rows), [row for (row,) in rows])
            if isinstance(text, Asked)
            else Answer(rows[0][0] or 0, [])
            for text, rows in zip(statements, answers, strict=True)
        ]

    @contextmanager
    def reading(self, settings: Sequence[str] = ()) -> Generator[Callable[[str], Any]]:
        """Open a read-only transaction; yield a function that runs one command in it as the owner.

        The function returns the JSON value of an `EXPLAIN (FORMAT JSON)`, or of a SELECT of one
        `jsonb`, and None for any other command, such as PREPARE and SET LOCAL. Commands may depend
        on each other. Scans are not counted if our role may set `track_counts`. Afterwards the
        transaction is rolled back. What was prepared stays until `forget`.

        Args:
            settings: run before, as us, such as `SET LOCAL statement_timeout = 1000`, which
                applies to each command.

        Raises:
            psycopg.Error: as the server raised it, also from the yielded function; the
                transaction is aborted then.
        """
        connection = self.connection
        # Neither committed nor writable, so the owner's code can't replace the function.
        parts = [
            "BEGIN",
            *settings,
            *_make(ANSWER, "command", "pg_catalog.jsonb", _ANSWER_BODY, self.rights),
            "SET LOCAL transaction_read_only = on",
            _HIDE_FROM_COUNTERS,
        ]
        try:
            connection.execute(";\n".join(parts).encode())
            yield self._answer
        finally:
            if not connection.closed and not connection.broken:
                connection.execute("ROLLBACK")

    def _answer(self, command: str) -> Any:
        statement = f"SELECT {ANSWER}({_text(command)})"
        row = self.connection.execute(statement.encode()).fetchone()
        return row[0] if row is not None else None

    def forget(self) -> None:
        """Reset the session to its initial state, whatever an owner's code changed."""
        self.connection.execute("DISCARD ALL")
        pin(self.connection, pinned_settings(self.connection))


def _answers(connection: Connection, statements: Sequence[str]) -> list[list[Any]]:
    cursor = connection.execute(";\n".join(statements).encode())
    answers: list[list[Any]] = []
    for statement in statements:
        if is_answer(statement):
            answers.append(cursor.fetchall())
        cursor.nextset()
    return answers
