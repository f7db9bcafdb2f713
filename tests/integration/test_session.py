"""Sessions with known settings, and the facts about locks that the product relies on."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.engine.actions import LockMode
from maintenance.errors import UnreachableError
from maintenance.server.session import (
    Connection,
    Timeouts,
    fetch,
    local_owner_path,
    owner_search_path,
    run_sql,
    run_statement,
    to_error,
)
from tests.builders import Database, Role
from tests.policies import write_policy
from tests.sessions import session, until

HOSTILE = {
    "TimeZone": "America/New_York",
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "search_path": "pg_temp, public",
    "quote_all_identifiers": "on",
    "client_encoding": "LATIN1",
    "client_min_messages": "debug1",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "jit": "on",
    "client_connection_check_interval": "0",
    "idle_session_timeout": "100",
    "idle_in_transaction_session_timeout": "100",
    "lock_timeout": "1s",
    "statement_timeout": "1s",
}
PINNED = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "search_path": "",
    "quote_all_identifiers": "off",
    "client_encoding": "UTF8",
    "client_min_messages": "warning",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "jit": "off",
    "client_connection_check_interval": "1s",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "1min",
    "lock_timeout": "50ms",
    "statement_timeout": "10s",
}
TIMEOUTS = Timeouts(lock=timedelta(milliseconds=50), statement=timedelta(seconds=10))


def settings(connection: psycopg.Connection[Any]) -> dict[str, str]:
    rows = connection.execute(
        "SELECT name, pg_catalog.current_setting(name) FROM pg_catalog.unnest(%s::text[]) AS name",
        [list(HOSTILE)],
    ).fetchall()
    return dict(rows)


@pytest.mark.parametrize("owner", ["ROLE {role}", "DATABASE {database}"])
def test_settings_are_ours_whatever_role_or_database_say(
    database: Database, limited_role: Role, owner: str
) -> None:
    subject = owner.format(role=limited_role.name, database=database.name)
    with database.connect() as connection:
        for name, value in HOSTILE.items():
            values = ", ".join(f"'{part}'" for part in value.split(", "))
            connection.execute(f"ALTER {subject} SET {name} = {values}".encode())
    with session(database.url_of(limited_role), timeouts=TIMEOUTS) as connection:
        assert settings(connection) == PINNED


def test_settings_are_ours_whatever_the_url_says(database: Database) -> None:
    url = f"{database.url}?options=-c%20TimeZone%3DAsia%2FTokyo&client_encoding=LATIN1"
    with session(url, timeouts=TIMEOUTS) as connection:
        assert settings(connection) == PINNED


@pytest.mark.pg(">= 17")
def test_transaction_timeout_of_the_database_ends_no_step_of_ours(database: Database) -> None:
    database.execute(f"ALTER DATABASE {database.name} SET transaction_timeout = '5s'")
    with session(database.url) as connection:
        assert connection.execute("SHOW transaction_timeout").fetchone() == ("0",)


def test_session_bears_our_name_even_if_the_url_has_another(database: Database) -> None:
    with session(f"{database.url}?application_name=prisma", "maintenance apply app") as connection:
        assert connection.execute("SHOW application_name").fetchone() == ("maintenance apply app",)


def test_names_outside_latin1_survive_a_role_with_that_encoding(database: Database) -> None:
    database.execute(f"ALTER DATABASE {database.name} SET client_encoding = 'LATIN1'")
    with session(database.url) as connection:
        run_sql(connection, 'CREATE TABLE public."ключ é 🐘" ()')
    rows = database.execute(
        "SELECT pg_catalog.convert_to(relname, 'UTF8') FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace = 'public'::regnamespace"
    )
    assert rows == [("ключ é 🐘".encode(),)]


def test_backend_ended_by_an_administrator_is_unreachable_not_a_failed_statement(
    database: Database,
) -> None:
    with session(database.url) as connection:
        database.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        with pytest.raises(psycopg.Error) as caught:
            run_sql(connection, "SELECT 1")
        assert isinstance(to_error(caught.value, "asking"), UnreachableError)


@pytest.mark.parametrize("code", ["08001", "08006", "57P01", "57P02"])
def test_error_that_an_owner_raises_is_a_failed_statement_whatever_its_code(
    database: Database, code: str
) -> None:
    with session(database.url) as connection:
        with pytest.raises(psycopg.Error) as caught:
            run_sql(connection, f"DO 'BEGIN RAISE EXCEPTION USING ERRCODE = ''{code}''; END'")
        assert caught.value.sqlstate == code
        assert not isinstance(to_error(caught.value, "asking"), UnreachableError)
        run_sql(connection, "SELECT 1")


def _fetch(connection: Connection) -> None:
    fetch(connection, "catalog", "identify")


def _run(connection: Connection) -> None:
    deferred = {"database": "a", "object": "b", "error": ""}
    run_statement(connection, "store", "defer_invalidation", deferred)


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("use", [_fetch, _run])
def test_statement_on_a_session_already_lost_is_a_lost_connection(
    database: Database, use: Callable[[Connection], None]
) -> None:
    """Such a session tells no server version, by which statements are chosen."""
    with session(database.url) as connection:
        database.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError) as caught:
            use(connection)
    assert isinstance(to_error(caught.value, "storing"), UnreachableError)


# The search_path of an owner's functions


UNQUALIFIED = """
CREATE SCHEMA "App space";
CREATE FUNCTION "App space".inner_part(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION "App space".outer_part(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  'BEGIN RETURN inner_part($1); END';
CREATE FUNCTION "App space".now() RETURNS text LANGUAGE sql AS $$SELECT 'theirs'$$;
CREATE TABLE "App space".t (name text);
CREATE TABLE "App space".pg_class (oid int);
SET search_path = "App space";
CREATE INDEX by_part ON t (outer_part(name));
INSERT INTO t VALUES ('a'), ('b');
"""
PATH = '"App space", pg_catalog'


@pytest.mark.pg("< 17")
@pytest.mark.parametrize("what", ["ANALYZE", "VACUUM (ANALYZE)", "REINDEX TABLE CONCURRENTLY"])
def test_owners_functions_find_their_names_before_17(database: Database, what: str) -> None:
    database.execute(UNQUALIFIED)
    statement = f'{what} "App space".t'
    with session(database.url, timeouts=TIMEOUTS) as connection:
        with pytest.raises(psycopg.errors.UndefinedFunction):
            run_sql(connection, statement)
        with owner_search_path(connection, PATH):
            run_sql(connection, statement)
        assert settings(connection) == PINNED


@pytest.mark.pg("== 15")
def test_search_path_of_an_owner_ends_with_its_block_whatever_happened(database: Database) -> None:
    database.execute(UNQUALIFIED)
    with session(database.url, timeouts=TIMEOUTS) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero), owner_search_path(connection, PATH):
            run_sql(connection, "BEGIN; SET TimeZone = 'Asia/Tokyo'; SELECT 1 / 0")
        assert settings(connection) == PINNED


@pytest.mark.pg("== 18")
def test_servers_own_objects_come_before_those_of_an_owner(database: Database) -> None:
    database.execute(UNQUALIFIED)
    with session(database.url, timeouts=TIMEOUTS) as connection:
        run_sql(connection, "CREATE TEMP TABLE t (name int)")
        cursor = connection.execute(
            f"BEGIN; {local_owner_path(PATH)}; SELECT pg_typeof(now())::text, to_regclass('t')"
            " <> to_regclass('pg_temp.t'), 'pg_class'::regclass::oid; COMMIT".encode()
        )
        cursor.nextset()
        cursor.nextset()
        assert cursor.fetchone() == ("timestamp with time zone", True, 1259)
        assert settings(connection) == PINNED


@pytest.mark.pg("== 15")
@pytest.mark.parametrize("command", ["check", "plan", "apply", "status", "notify", "metrics"])
def test_server_that_is_too_old_is_refused_before_anything_is_done(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("maintenance.server.capabilities.OLDEST", 16)
    path = write_policy(tmp_path, database.url)
    result = CliRunner().invoke(cli, [command, "--policy", str(path)])
    assert result.exit_code == 3, result.output
    assert "PostgreSQL 15" in result.stderr
    assert not database.execute("SELECT FROM pg_namespace WHERE nspname = 'maintenance'")


# Clients that die or freeze


CLIENT = """
import sys
from datetime import timedelta
from maintenance.server.session import Timeouts, connect, run_sql
timeouts = Timeouts(lock=timedelta(seconds=1), statement=timedelta(0))
run_sql(connect(sys.argv[1], application="client", timeouts=timeouts), sys.argv[2])
"""


@contextmanager
def client(database: Database, sql: str) -> "Generator[subprocess.Popen[bytes]]":
    """Another process with a session of ours, at work on a message that sleeps in the middle."""
    process = subprocess.Popen([sys.executable, "-c", CLIENT, database.url, sql])
    try:
        until(lambda: asleep(database))
        yield process
    finally:
        process.kill()
        process.wait()


def asleep(database: Database) -> bool:
    sleeping = "application_name = 'client' AND wait_event = 'PgSleep'"
    return bool(database.execute(f"SELECT 1 FROM pg_stat_activity WHERE {sleeping}"))


def lock_is_free(database: Database) -> bool:
    return not database.execute(
        "SELECT 1 FROM pg_locks WHERE relation = 'public.t'::regclass AND mode LIKE 'AccessEx%'"
    )


LOCK = "BEGIN; LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE; "


def test_killed_clients_backend_and_its_lock_go_away(database: Database) -> None:
    database.execute("CREATE TABLE public.t ()")
    with client(database, f"{LOCK} SELECT pg_catalog.pg_sleep(600)") as process:
        assert not lock_is_free(database)
        process.kill()
        until(lambda: lock_is_free(database))
        until(lambda: not asleep(database))


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL])
def test_message_goes_on_to_commit_when_its_client_freezes_or_dies(
    database: Database, end: signal.Signals
) -> None:
    database.execute("CREATE TABLE public.t ()")
    # under a second, so that the server does not look for the client meanwhile
    rest = "SELECT pg_catalog.pg_sleep(0.5); INSERT INTO public.t DEFAULT VALUES; COMMIT"
    with client(database, LOCK + rest) as process:
        process.send_signal(end)
        until(lambda: lock_is_free(database))
        assert database.execute("SELECT count(*) FROM public.t") == [(1,)]


# Locks


def test_lock_modes_conflict_as_we_say(database: Database) -> None:
    database.execute("CREATE TABLE public.t ()")
    holder, other = (database.connect(autocommit=False) for _ in range(2))
    for held in LockMode.ACCESS_EXCLUSIVE.conflicts:
        words = re.sub(r"(?<!^)([A-Z])", r" \1", held.removesuffix("Lock")).upper()
        holder.execute(f"LOCK TABLE public.t IN {words} MODE".encode())
        for mode in LockMode:
            try:
                other.execute(f"LOCK TABLE public.t IN {mode} MODE NOWAIT".encode())
                refused = False
            except psycopg.errors.LockNotAvailable:
                refused = True
            other.rollback()
            assert refused == (held in mode.conflicts), (held, mode)
        holder.rollback()


PARENT = "CREATE TABLE public.p (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at)"
MONTH = "FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00')"


def locks(database: Database, *statements: str) -> dict[str, set[str]]:
    """The locks on tables that existed before which a transaction of these statements takes."""
    with database.connect(autocommit=False) as connection:
        before = connection.execute("SELECT pg_current_xact_id_if_assigned()").fetchone()
        assert before == (None,)
        known = connection.execute(
            "SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p')"
        ).fetchall()
        for statement in statements:
            connection.execute(statement.encode())
        held = connection.execute(
            "SELECT relation, mode FROM pg_locks WHERE pid = pg_backend_pid() AND granted"
            " AND relation = ANY (%s)",
            [[oid for oid, _ in known]],
        ).fetchall()
        connection.rollback()
    found: dict[str, set[str]] = {}
    for oid, mode in held:
        found.setdefault(dict(known)[oid], set()).add(mode)
    return found


READING = {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}
LIKE = "CREATE TABLE public.c (LIKE public.p INCLUDING ALL EXCLUDING IDENTITY)"
ATTACH = f"ALTER TABLE public.p ATTACH PARTITION public.c {MONTH}"


def test_attach_after_like_takes_only_share_update_exclusive_on_the_parent(
    database: Database,
) -> None:
    database.execute(PARENT)
    assert locks(database, LIKE, ATTACH)["p"] - READING == {"ShareUpdateExclusiveLock"}


def test_partition_of_takes_access_exclusive_on_the_parent(database: Database) -> None:
    database.execute(PARENT)
    made = locks(database, f"CREATE TABLE public.c PARTITION OF public.p {MONTH}")
    assert "AccessExclusiveLock" in made["p"]


def test_attach_takes_access_exclusive_on_the_default_partition(database: Database) -> None:
    database.execute(PARENT)
    database.execute("CREATE TABLE public.rest PARTITION OF public.p DEFAULT")
    taken = locks(database, LIKE, ATTACH)
    assert taken["p"] - READING == {"ShareUpdateExclusiveLock"}
    assert "AccessExclusiveLock" in taken["rest"]


def test_attach_takes_share_row_exclusive_on_tables_that_foreign_keys_point_to(
    database: Database,
) -> None:
    database.execute("CREATE TABLE public.users (id int PRIMARY KEY)")
    database.execute(PARENT)
    database.execute("ALTER TABLE public.p ADD FOREIGN KEY (id) REFERENCES public.users")
    assert locks(database, LIKE, ATTACH)["users"] - READING == {"ShareRowExclusiveLock"}


def test_attach_takes_share_row_exclusive_on_tables_whose_foreign_keys_point_here(
    database: Database,
) -> None:
    database.execute(PARENT)
    database.execute("ALTER TABLE public.p ADD PRIMARY KEY (id, at)")
    database.execute("CREATE TABLE public.notes (id int, at timestamptz)")
    database.execute("ALTER TABLE public.notes ADD FOREIGN KEY (id, at) REFERENCES public.p")
    assert locks(database, LIKE, ATTACH)["notes"] - READING == {"ShareRowExclusiveLock"}


def test_reading_a_bound_waits_behind_access_exclusive(database: Database) -> None:
    database.execute(PARENT)
    database.execute(f"CREATE TABLE public.c PARTITION OF public.p {MONTH}")
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE public.c IN ACCESS EXCLUSIVE MODE")
    reader = database.connect(options="-c lock_timeout=50ms")
    reader.execute("SELECT relname FROM pg_class WHERE relname = 'c'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        reader.execute("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'c'")


@pytest.mark.pg(">= 17")  # partitioned tables have identity columns from 17 on
def test_like_including_identity_makes_a_table_that_attach_refuses(database: Database) -> None:
    database.execute(
        "CREATE TABLE public.p (id int GENERATED ALWAYS AS IDENTITY, at timestamptz)"
        " PARTITION BY RANGE (at)"
    )
    database.execute("CREATE TABLE public.c (LIKE public.p INCLUDING ALL)")
    with pytest.raises(psycopg.Error, match="contains an identity column"):
        database.execute(ATTACH)
    database.execute("DROP TABLE public.c")
    database.execute(LIKE)
    database.execute(ATTACH)


def test_create_if_not_exists_partition_of_lies(database: Database) -> None:
    database.execute(PARENT)
    database.execute("CREATE TABLE public.c (something_else int)")
    database.execute(f"CREATE TABLE IF NOT EXISTS public.c PARTITION OF public.p {MONTH}")
    assert database.execute("SELECT 1 FROM pg_inherits") == []


def test_bare_date_bounds_follow_the_time_zone(database: Database) -> None:
    database.execute(PARENT)
    with database.connect() as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        connection.execute(
            "CREATE TABLE public.c PARTITION OF public.p"
            " FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')"
        )
        connection.execute("SET TimeZone = 'UTC'")
        row = connection.execute(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'c'"
        ).fetchone()
    assert row == ("FOR VALUES FROM ('2026-01-01 05:00:00+00') TO ('2026-02-01 05:00:00+00')",)
    with pytest.raises(psycopg.errors.InvalidObjectDefinition):
        database.execute(
            "CREATE TABLE public.next PARTITION OF public.p"
            " FOR VALUES FROM ('2026-02-01 00:00:00+00') TO ('2026-03-01 00:00:00+00')"
        )
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute("INSERT INTO public.p VALUES (1, '2026-01-01 00:00:00+00')")
