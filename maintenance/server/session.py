"""Open sessions with pinned settings, and run SQL in them.

Results must not depend on settings of a role, a database or a server: bare-date bounds depend on
TimeZone, names on search_path, deparsed names on quote_all_identifiers. So every setting that we
rely on is pinned at connect.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo, TransactionStatus
from psycopg.rows import TupleRow, namedtuple_row

from maintenance.errors import MaintenanceError, UnreachableError, UsageError, is_retryable
from maintenance.names import literal
from maintenance.policy.prisma import check_prisma, says_pool, unknown_parameter, without_prisma
from maintenance.policy.urls import UrlError, check_postgres
from maintenance.server.capabilities import (
    has_transaction_timeout,
    is_served,
    major_of,
    restricts_search_path,
)
from maintenance.server.cost_meter import cursor_class
from maintenance.server.liveness import KEEPALIVE, Session
from maintenance.server.poolers import find_process
from maintenance.server.refusals import reason_of, refusal_reason
from maintenance.server.sql_library import load_statement
from maintenance.server.undecodable_names import decode, fit_encoding, lenient, shown

Connection = psycopg.Connection[TupleRow]

CONNECT_TIMEOUT_S = 10

TOO_OLD = "too_old"
"""Reason of the error that a server's version is not supported."""

READ_LOCK_TIMEOUT = "'50ms'"
"""lock_timeout of observations, as SQL: they block nothing, so it is no setting of the policy."""
Question = tuple[str, str, Mapping[str, Any] | None]
"""A file of the SQL library, by folder and name, with its parameters."""

_ONLY_WHERE_ASKED = 2**31
"""Never prepare automatically: messages of several statements can't be prepared."""

_PINNED = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    # enough digits to read every double back exactly
    "extra_float_digits": "1",
    "xmlbinary": "base64",
    "xmloption": "content",
    "timezone_abbreviations": "Default",
    "array_nulls": "on",
    "transform_null_equals": "off",
    # a limit could return incomplete results
    "gin_fuzzy_search_limit": "0",
    "search_path": "",
    # rows hidden by a policy are an error, never treated as missing
    "row_security": "off",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    # finished SQL is sent as UTF-8
    "client_encoding": "UTF8",
    "client_min_messages": "warning",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    # durable locally before we continue, without waiting for a standby while locks are held
    "synchronous_commit": "local",
    # JIT compilation of a catalog query takes longer than running it
    "jit": "off",
    # the backend of a killed client ends within a second and releases its locks
    "client_connection_check_interval": "1000",
    # and that of a client whose host or network is lost, within a minute
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60000",
    # the session with the run lock is idle while others work
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "60000",
}
_PINNED_FROM_17 = {"transaction_timeout": "0"}

_CONNECT_HINT = "check that the server is running, and host, port, database, role and password"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The two limits of a statement; zero means none."""

    lock: timedelta
    statement: timedelta


def connect(
    url: str,
    *,
    application: str,
    timeouts: Timeouts,
    setting: str = "the database url",
    within_s: int = CONNECT_TIMEOUT_S,
) -> Connection:
    """Open an autocommit session with pinned settings.

    Args:
        url: a PostgreSQL URL or key-value string; parameters that only Prisma knows are dropped.
        application: application_name, shown to operators in `pg_stat_activity`.
        timeouts: defaults for statements that set none.
        setting: name of the setting with the url, for messages.
        within_s: `connect_timeout`, unless the url has one.

    Raises:
        UsageError: the url is not a connection string.
        UnreachableError: the server does not respond, refuses the connection or is too old, or
            there is a connection pool that is not in session mode, or the session's settings were
            cancelled by a statement_timeout; nothing was changed.
    """
    parameters = read_url(url, setting)
    parameters.setdefault("connect_timeout", str(within_s))
    parameters["application_name"] = application
    where = describe(parameters)
    connection = _open({**KEEPALIVE, **parameters}, where, setting)
    try:
        _refuse_old(connection.info.server_version, where)
        here = {**KEEPALIVE, **parameters, **_host_of(connection)}
        second = partial(psycopg.connect, "", **here, autocommit=True)
        process = find_process(connection, second, where, flagged=says_pool(url))
        connection.serve(process, second)
        pin(connection, {**pinned_settings(connection), **_as_settings(timeouts)})
        fit_encoding(connection)
    except psycopg.errors.QueryCanceled as exc:
        connection.close()
        raise UnreachableError(
            f"{where}: the session was not set up: {_first_line(exc)}",
            hint="the statement_timeout of the role or the database is too short even for SET; run"
            " ALTER ROLE … SET statement_timeout = '1min' for the role of this software",
            reason="statement_timeout",
        ) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _open(parameters: Mapping[str, Any], where: str, setting: str) -> Session:
    try:
        return Session.connect(
            "",
            **parameters,
            autocommit=True,
            prepare_threshold=_ONLY_WHERE_ASKED,
            cursor_factory=cursor_class(),
        )
    except psycopg.OperationalError as exc:
        # Its text may contain the url, which a printed chain of errors would show.
        reason = refusal_reason(exc, {key: str(value) for key, value in parameters.items()})
        raise UnreachableError(
            f"{where}: {_first_line(exc)}", hint=f"{_CONNECT_HINT} in {setting}", reason=reason
        ) from None


def _host_of(connection: Connection) -> dict[str, str]:
    """Return the host of a connection, out of several."""
    return {"host": connection.info.host, "port": str(connection.info.port)}


def _refuse_old(version: int, where: str) -> None:
    """Refuse a server version that is not supported.

    Raises:
        UnreachableError: it is too old.
    """
    major = major_of(version)
    if not is_served(major):
        raise UnreachableError(
            f"{where}: PostgreSQL {major} is not supported: its end of life was 2026-11-12,"
            " and DETACH PARTITION CONCURRENTLY loses foreign keys there, so referenced rows could"
            " be dropped later",
            hint="upgrade the server to PostgreSQL 15 or newer",
            reason=TOO_OLD,
        )


def process_of(connection: Connection) -> int:
    """Return the pid of a session's server process, also behind a pool."""
    is_ours = isinstance(connection, Session)
    return connection.process if is_ours else connection.info.backend_pid


def pinned_settings(connection: Connection) -> dict[str, str]:
    """Return the settings that all our sessions have, except timeouts."""
    major = major_of(connection.info.server_version)
    newer = _PINNED_FROM_17 if has_transaction_timeout(major) else {}
    return {**_PINNED, **newer}


def read_url(url: str, setting: str = "the database url") -> dict[str, Any]:
    """Split a connection string into libpq parameters.

    Raises:
        UsageError: it is invalid; the message never shows it, because it may contain a password.
    """
    problem = ""
    try:
        check_postgres(url)
        check_prisma(url)
        return {key: value for key, value in conninfo_to_dict(without_prisma(url)).items() if value}
    except UrlError as fault:
        problem = f": {fault}"
    except (psycopg.Error, ValueError):
        known = {each.keyword.decode() for each in Conninfo.get_defaults()}
        problem = f": {unknown_parameter(url, known) or 'unknown libpq parameter'}"
    raise UsageError(
        f"{setting} is not a PostgreSQL connection string{problem}",
        hint="wanted postgresql://user:password@host:5432/database",
    )


def describe(parameters: Mapping[str, Any]) -> str:
    """Return a server's name for messages: host, port, database and role, never a password."""
    host = parameters.get("host") or parameters.get("hostaddr") or "local socket"
    port = parameters.get("port", 5432)
    return (
        f"{host}:{port}/{parameters.get('dbname', '')} as {parameters.get('user', 'default role')}"
    )


def pin(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set session settings in one round trip.

    All names, even of types, are qualified, because it runs under the search_path it replaces.
    """
    connection.execute(
        "SELECT pg_catalog.set_config(s.key, s.value, false) FROM ROWS FROM"
        " (pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[]))"
        " AS s (key, value)",
        (list(settings), list(settings.values())),
    )


def owner_path(search_path: str) -> str:
    """Return the search_path for an owner's code: pg_catalog comes first.

    Temporary objects come last, so that they can't hide an owner's object.
    """
    names = ("pg_catalog", search_path, "pg_temp")
    return ", ".join(name for name in names if name.strip() not in ("", "''", '""'))


@contextmanager
def owner_search_path(connection: Connection, search_path: str) -> Generator[None]:
    """Set the search_path of an owner's functions for maintenance statements in a block.

    ANALYZE, VACUUM, REINDEX, REFRESH and CREATE INDEX evaluate expressions of indexes, views and
    statistics as the table's owner. Before 17 names in them are looked up in the session's
    search_path, from 17 on only in `pg_catalog` unless the function sets its own. Row-level
    security policies apply as if the owner ran the statement. Use it for statements with their own
    transactions; inside a transaction use `local_owner_path`. Afterwards, also after an error, all
    settings are pinned again.

    Args:
        connection: an autocommit session, outside a transaction.
        search_path: the policy's `database.search_path`.
    """
    is_restricted = restricts_search_path(major_of(connection.info.server_version))
    path = {} if is_restricted else {"search_path": owner_path(search_path)}
    pin(connection, {"row_security": "on", **path})
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            if connection.info.transaction_status is not TransactionStatus.IDLE:
                rollback_quietly(connection)
            pin(connection, pinned_settings(connection))


def local_owner_path(search_path: str) -> str:
    """Return the statement that sets the same until the end of a transaction."""
    path = literal(owner_path(search_path))
    return (
        f"SELECT pg_catalog.set_config('search_path', {path}, true),"
        " pg_catalog.set_config('row_security', 'on', true)"
    )


def fetch(
    connection: Connection,
    folder: str,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    often: bool = False,
    binary: bool = False,
) -> list[Any]:
    """Run one file of the SQL library; return named tuples with the header's columns.

    With `often` the statement is prepared and planned once per session.
    """
    statement = _load(connection, folder, name)
    with (
        lenient(connection) as is_lenient,
        connection.cursor(row_factory=namedtuple_row) as cursor,
    ):
        if is_lenient:
            decode(cursor)
        rows = cursor.execute(
            statement, parameters or None, prepare=often or None, binary=binary
        ).fetchall()
    return shown(connection, rows) if is_lenient else rows


def fetch_together(connection: Connection, questions: Sequence[Question]) -> list[list[Any]]:
    """Run several files of the SQL library in one round trip; return the rows of each.

    The rows are as those of `fetch`. If one file fails, none has an answer.

    Args:
        connection: an autocommit session.
        questions: the folder and the name of each file, and its parameters.

    Raises:
        psycopg.Error: the server refused one of them, or it exceeded the statement timeout.
    """
    statements = [_load(connection, folder, name) for folder, name, _ in questions]
    with lenient(connection) as is_lenient:
        cursors = [connection.cursor(row_factory=namedtuple_row) for _ in questions]
        with connection.pipeline():
            for cursor, statement, (*_, parameters) in zip(
                cursors, statements, questions, strict=True
            ):
                if is_lenient:
                    decode(cursor)
                cursor.execute(statement, parameters or None)
        answers = [cursor.fetchall() if cursor.description else [] for cursor in cursors]
    return [shown(connection, rows) for rows in answers] if is_lenient else answers


def int_array(values: Iterable[int]) -> str:
    """Return integers as a parameter that the statement casts to an array.

    psycopg dumps a list one by one, which took longer than the statement with 10,000 of them.
    """
    return f"{{{','.join(map(str, values))}}}"


def run_statement(
    connection: Connection, folder: str, name: str, parameters: Mapping[str, Any]
) -> int:
    """Run one file of the SQL library that returns no rows; return how many it has changed."""
    statement = _load(connection, folder, name)
    return connection.execute(statement, parameters).rowcount


def _load(connection: Connection, folder: str, name: str) -> bytes:
    """Return a statement for the server of a session; a lost one no longer tells its version."""
    if connection.closed:
        raise psycopg.OperationalError("the connection was lost")
    return load_statement(folder, name, connection.info.server_version)


@contextmanager
def read_transaction(connection: Connection, time_cap: timedelta, doing: str) -> Generator[None]:
    """Run a block in a read-only transaction with a time cap and a short lock timeout.

    Args:
        connection: an autocommit session.
        time_cap: for each statement.
        doing: the purpose, such as `observing the catalog`; errors begin with it.

    Raises:
        psycopg.errors.LockNotAvailable: a relation was locked in ACCESS EXCLUSIVE mode.
        MaintenanceError: the server refused a query, or a query exceeded the time cap.
    """
    run_sql(
        connection,
        f"BEGIN READ ONLY; SET LOCAL lock_timeout = {READ_LOCK_TIMEOUT};"
        f" SET LOCAL statement_timeout = {milliseconds(time_cap)}",
    )
    try:
        yield
        run_sql(connection, "COMMIT")
    except psycopg.errors.LockNotAvailable:
        run_sql(connection, "ROLLBACK")
        raise
    except psycopg.Error as exc:
        rollback_quietly(connection)
        raise to_error(exc, doing) from exc


def run_sql(connection: Connection, text: str) -> None:
    """Run finished SQL without parameters: one or several statements in one message.

    The server runs all statements of one message, even if the client dies.
    """
    connection.execute(text.encode())


def report_counters(connection: Connection) -> None:
    """Report this session's statistics now; the server would do so seconds later."""
    if not connection.closed and not connection.broken:
        connection.execute("SELECT pg_catalog.pg_stat_force_next_flush()")


def set_right(connection: Connection, timeouts: Timeouts) -> None:
    """End the transaction of a session, and set what `connect` has set: after an unknown error.

    Raises:
        psycopg.Error: the session can't be used any more.
    """
    connection.execute("ROLLBACK")
    pin(connection, {**pinned_settings(connection), **_as_settings(timeouts)})


def rollback_quietly(connection: Connection) -> None:
    """Roll back an aborted transaction; do nothing if the connection is lost."""
    if not connection.closed and not connection.broken:
        connection.execute("ROLLBACK")


def to_error(exc: psycopg.Error, doing: str) -> MaintenanceError:
    """Convert a server error to a MaintenanceError, classified by SQLSTATE, never by text."""
    diagnostic = exc.diag
    text = diagnostic.message_primary or _first_line(exc)
    parts = [f"{doing}: {text}"]
    if diagnostic.message_detail:
        parts.append(diagnostic.message_detail)
    code = f" [{exc.sqlstate}]" if exc.sqlstate else ""
    error = UnreachableError if _connection_lost(exc) else MaintenanceError
    return error(
        " ".join(parts) + code,
        hint=diagnostic.message_hint or "",
        retryable=is_retryable(exc.sqlstate),
        reason=reason_of(exc.sqlstate) or _REASONS.get(exc.sqlstate or "", ""),
    )


_REASONS = {
    "23503": "foreign_key_violation",
    "23514": "check_violation",
    "55000": "object_not_in_prerequisite_state",
}
"""By SQLSTATE, the reasons of errors that only a run's own checks make likely."""


def milliseconds(span: timedelta) -> int:
    """Return a timeout in milliseconds; a positive one is at least 1."""
    return max(1, round(span.total_seconds() * 1000)) if span else 0


def _as_settings(timeouts: Timeouts) -> dict[str, str]:
    return {
        "lock_timeout": str(milliseconds(timeouts.lock)),
        "statement_timeout": str(milliseconds(timeouts.statement)),
    }


def _connection_lost(exc: psycopg.Error) -> bool:
    if exc.sqlstate is None:
        # psycopg's own errors concern the connection, unless the statement was never sent
        return not isinstance(exc, psycopg.ProgrammingError | psycopg.DataError)
    severity = exc.diag.severity_nonlocalized
    if severity is not None:
        # an owner's code or a foreign server may raise any SQLSTATE, but only as an ERROR
        return severity in ("FATAL", "PANIC")
    return exc.sqlstate[:2] == "08" or exc.sqlstate in ("57P01", "57P02")


def _first_line(exc: BaseException) -> str:
    return next(
        (line.strip() for line in str(exc).splitlines() if line.strip()), type(exc).__name__
    )
