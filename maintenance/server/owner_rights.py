"""Running statements with the rights of an owner, and no more.

Whatever evaluates an owner's CHECK, default, generated column, trigger, domain, operator, view
or row security policy runs code that the owner wrote. We may do more than the owner, so that code
must never run as us. `SET ROLE` alone is no barrier: the code can set the role back. Inside a
SECURITY DEFINER function the server refuses that, so each guarded statement is run by such a
function. It is made anew as the owner right before, in the session's own temporary schema, since
its owner could have altered the one before, and dropped right after.

What such code could leave behind for later is taken away in the same message: settings are
pinned again, open cursors closed, deferred triggers fired inside. Prepared statements and
advisory locks can't be told apart from ours: so guarded statements run in a session that is used
for nothing else.
Source: PostgreSQL manual, CREATE FUNCTION ("Writing SECURITY DEFINER Functions Safely"), SET ROLE.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from maintenance.names import literal, quote
from maintenance.server.session import Connection, owner_path, pinned_settings

EXECUTE = "pg_temp.maintenance_execute"
QUERY = "pg_temp.maintenance_query"

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

# Up to 17 a deferred trigger runs at COMMIT as whoever commits, which is us. One that defers itself
# again when it is fired early can't be told from one that doesn't, so neither is let through.
_REFUSE_DEFERRED = """
BEGIN
  IF pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 180000 AND EXISTS (
    SELECT FROM pg_catalog.pg_stat_xact_all_tables AS changed
      JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = changed.relid
      LEFT JOIN pg_catalog.pg_constraint AS c ON c.oid = t.tgconstraint
     WHERE changed.n_tup_ins + changed.n_tup_upd + changed.n_tup_del > 0
       AND t.tgdeferrable AND c.contype IS DISTINCT FROM 'f')
  THEN
    RAISE insufficient_privilege USING
      MESSAGE = 'a table that changed has a deferrable trigger or exclusion constraint,'
                ' whose code would run at COMMIT with more than its owner''s rights',
      HINT = 'make it NOT DEFERRABLE; from PostgreSQL 18 on this restriction is gone';
  END IF;
END"""


class OwnerRights(NamedTuple):
    """Whose rights a statement runs with, and where names in the owner's code are looked up.

    Attributes:
        owner: the role, unquoted.
        search_path: as SQL text, such as `app, public`; `pg_catalog` goes before it.
    """

    owner: str
    search_path: str = ""

    @property
    def path(self) -> str:
        """The search_path of guarded statements: the server's own objects come first."""
        return owner_path(self.search_path)


def guarded(statement: str, rights: OwnerRights, pinned: Mapping[str, str]) -> list[str]:
    """Return the statements that run one statement with an owner's rights.

    They belong into one transaction and one message, in a session of their own. One of them, see
    `is_answer`, returns the number of rows.

    Args:
        statement: finished SQL; nothing that makes transactions of its own, and no COPY.
        rights: whose.
        pinned: settings of the session, set again afterwards.
    """
    call = f"SELECT {EXECUTE}({_text(statement)}) AS n_rows"
    signature = f"{EXECUTE}(pg_catalog.text)"
    return [
        *_make(EXECUTE, "statement", "pg_catalog.int8", _EXECUTE_BODY, rights),
        call,
        *_clean(pinned),
        f"DROP FUNCTION {signature}",
    ]


def guarded_query(query: str, rights: OwnerRights, pinned: Mapping[str, str]) -> list[str]:
    """Return the statements that run one query with an owner's rights; its rows come as JSON.

    They belong into one transaction that is rolled back. The transaction is read-only by then.

    Args:
        query: finished SQL that could stand in a subquery; its columns have names.
        rights: whose.
        pinned: settings of the session, set again afterwards.
    """
    return [
        *_make(QUERY, "query", "SETOF pg_catalog.jsonb", _QUERY_BODY, rights),
        "SET LOCAL transaction_read_only = on",
        f"SELECT row FROM {QUERY}({_text(query)}) AS row",
        *_clean(pinned),
    ]


def is_answer(statement: str) -> bool:
    """Tell whether a statement of `guarded` or `guarded_query` is the one that answers."""
    return statement.startswith((f"SELECT {EXECUTE}(", f"SELECT row FROM {QUERY}("))


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
    """Take away what the code may have left: its cursors would run on at COMMIT, as us."""
    settings = ", ".join(
        f"pg_catalog.set_config({literal(name)}, {literal(value)}, false)"
        for name, value in pinned.items()
    )
    return [
        "CLOSE ALL",
        f"SELECT {settings}",
        f"DO {literal(_REFUSE_DEFERRED)}",
    ]


def _text(statement: str) -> str:
    return f"{literal(statement)}::pg_catalog.text"


@dataclass(frozen=True, slots=True)
class OwnerSession:
    """A session for guarded statements, and for nothing else.

    Attributes:
        connection: of `server.session.connect`, in no transaction; not the one that holds the run
            lock, which such code could release, and not one in which statements are prepared.
        rights: with which its statements run.
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
        each = [sql for text in statements for sql in self.guard(text)]
        answers = _answers(self.connection, ["BEGIN", *settings, *each, "COMMIT"])
        return [int(n) for ((n,),) in answers]

    def guard(self, statement: str) -> list[str]:
        """Return the statements that run one with the owner's rights, as part of a transaction."""
        return guarded(statement, self.rights, pinned_settings(self.connection))

    def query(self, text: str, settings: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return the rows of a query, by the names of its columns, as JSON has their values.

        Raises:
            psycopg.Error: as the server raised it; the transaction may be open.
        """
        guarded_text = guarded_query(text, self.rights, pinned_settings(self.connection))
        (rows,) = _answers(self.connection, ["BEGIN", *settings, *guarded_text, "ROLLBACK"])
        return [row for (row,) in rows]


def _answers(connection: Connection, statements: Sequence[str]) -> list[list[Any]]:
    cursor = connection.execute(";\n".join(statements).encode())
    answers: list[list[Any]] = []
    for statement in statements:
        if is_answer(statement):
            answers.append(cursor.fetchall())
        cursor.nextset()
    return answers
