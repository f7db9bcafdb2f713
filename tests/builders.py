"""Builders of databases and roles on the servers of `conftest.py`."""

import base64
import contextlib
import hashlib
import hmac
import itertools
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote as url_quote

import psycopg
from psycopg.pq import ExecStatus

from maintenance.demo.postgres import PostgresServer
from maintenance.demo.processes import command_line
from maintenance.names import quote
from maintenance.pipeline.run import apply
from tests.policies import make_policy

ROOT = Path(__file__).resolve().parent.parent
SQL = ROOT / "sql"

type_of_relation = {"v": "VIEW", "m": "MATERIALIZED VIEW", "S": "SEQUENCE"}
_FOLDER = "maintenance-tests"
_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    """A name no other database or role of this process has."""
    return f"{prefix}_{next(_numbers)}"


@dataclass(frozen=True)
class Role:
    """A login role that is no superuser."""

    name: str
    password: str = field(repr=False)


@dataclass
class Database:
    """A database of one test. Connections made with `connect` are closed with it."""

    name: str
    server: PostgresServer
    _open: list[psycopg.Connection[Any]] = field(default_factory=list[Any], repr=False)

    @property
    def url(self) -> str:
        """The superuser's."""
        return self.server.url(self.name)

    def url_of(self, role: Role) -> str:
        host = f"127.0.0.1:{self.server.port}"
        return f"postgresql://{role.name}:{role.password}@{host}/{url_quote(self.name)}"

    def connect(
        self, role: Role | None = None, *, autocommit: bool = True, **parameters: Any
    ) -> psycopg.Connection[Any]:
        """A new session, the superuser's unless a role is given; libpq parameters by name."""
        url = self.url_of(role) if role else self.url
        connection = psycopg.connect(url, autocommit=autocommit, **parameters)
        self._open.append(connection)
        return connection

    def execute(
        self, sql: str, parameters: Sequence[Any] | None = None, role: Role | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement in a session of its own; its rows, none if it returns none.

        What it changed is counted when this returns. Without the last call the session counts it
        while it ends, perhaps after an ANALYZE of the next one, whose counters it then adds to.
        """
        url = self.url_of(role) if role else self.url
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode(), parameters)
            connection.execute("SELECT pg_catalog.pg_stat_force_next_flush()")
            # Rows without columns, as of SELECT FROM, have no description.
            result = cursor.pgresult
            has_rows = result is not None and result.status == ExecStatus.TUPLES_OK
            return cursor.fetchall() if has_rows else []

    def vacuum(self, table: str = "") -> None:
        """VACUUM (ANALYZE) until nothing dead is left and all changes are counted.

        Rows stay while an autovacuum worker still sees them, and in the indexes if they are few. A
        session that was closed counts what it changed only when it has ended.
        """
        deadline = time.monotonic() + 60
        while True:
            self._await_closed_sessions(deadline)
            self.execute(f"VACUUM (ANALYZE, INDEX_CLEANUP ON) {table}")
            [(left,)] = self.execute(
                "SELECT count(*) FROM pg_catalog.pg_stat_user_tables"
                " WHERE n_dead_tup > 0 AND (%s = '' OR relid = to_regclass(%s))",
                [table, table],
            )
            if not left:
                return
            assert time.monotonic() < deadline, f"{self.name}: dead rows are left in {left} tables"

    def _await_closed_sessions(self, deadline: float) -> None:
        known = [c.info.backend_pid for c in self._open if not c.closed]
        while self.execute(
            "SELECT FROM pg_catalog.pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            " AND pid <> ALL (%s)",
            [known],
        ):
            assert time.monotonic() < deadline, f"{self.name}: sessions are still there"
            time.sleep(0.01)

    def give_to(self, role: Role) -> None:
        """Make a role the owner of the database and of every relation in `public`."""
        self.execute(f"ALTER DATABASE {quote(self.name)} OWNER TO {quote(role.name)}")
        relations = self.execute(
            """
            SELECT relname, relkind FROM pg_catalog.pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d  -- a serial's goes with it
                              WHERE d.objid = pg_class.oid AND d.deptype IN ('a', 'i')
                                AND d.classid = 'pg_class'::regclass AND relkind = 'S')
            """
        )
        for name, kind in relations:
            noun = type_of_relation.get(kind, "TABLE")
            self.execute(f"ALTER {noun} public.{quote(name)} OWNER TO {quote(role.name)}")

    def close(self) -> None:
        for connection in self._open:
            with contextlib.suppress(psycopg.Error):
                connection.close()


@contextlib.contextmanager
def server_folder() -> Generator[Path]:
    """A folder for servers: in memory if there is plenty, and open to the account they run as.

    A clone of a database is 300 files; on a busy disk they take a quarter of a second, in memory
    a hundredth. Pytest's own folders are closed to other users.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 * 2**30
    parent = memory if roomy else Path(tempfile.gettempdir())
    for left in parent.glob(f"{_FOLDER}.*.*"):  # memory is not given back by itself
        if not command_line(int(left.name.split(".")[1])):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}.{os.getpid()}.", dir=parent) as name:
        Path(name).chmod(0o711)
        yield Path(name)


def make_database(server: PostgresServer, template: str = "template1") -> Database:
    """Clone a template; as files, which takes half of what writing it to the log takes."""
    database = Database(unique("test"), server)
    in_maintenance_database(
        server,
        f"CREATE DATABASE {quote(database.name)} TEMPLATE {quote(template)} STRATEGY file_copy",
    )
    return database


def cloned(server: PostgresServer, template: str) -> Iterator[Database]:
    """A clone of a template until the end of a test, also of one that stops the server."""
    database = make_database(server, template)
    yield database
    server.start()
    drop_database(database)


def drop_database(database: Database) -> None:
    """Drop it with whatever sessions it has left."""
    database.close()
    in_maintenance_database(
        database.server, f"DROP DATABASE IF EXISTS {quote(database.name)} WITH (FORCE)"
    )


def make_template(server: PostgresServer, system: str) -> str:
    """Make a template with `sql/systems/<system>/schema.sql` loaded, unless it is there."""
    script = (SQL / "systems" / system / "schema.sql").read_text()
    return make_filled_template(server, system, run_all(script))


def make_filled_template(
    server: PostgresServer, content: str, fill: Callable[[str], object]
) -> str:
    """Make a template that a function of its url has filled, unless it is there.

    Clones have its rows and statistics, and none of the server's counters of their use.
    """
    name = f"template_{content}"
    if server.create_database(name):
        fill(server.url(name))
    return name


def run_all(*statements: str) -> Callable[[str], None]:
    """Return a function of a url that runs these statements there."""

    def run(url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    return run


def make_template_with_store(server: PostgresServer, now: datetime) -> str:
    """Make a template with our store as a run in the month of `now` leaves it, without its rows."""

    def fill(url: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            apply(make_policy(Path(folder), url), now=now)
        with psycopg.connect(url, autocommit=True) as connection:
            (rows,) = connection.execute(_TABLES_OF_ROWS).fetchall()
            connection.execute(f"TRUNCATE {rows[0]} RESTART IDENTITY".encode())

    return make_filled_template(server, f"store_{now:%Y_%m}", fill)


_TABLES_OF_ROWS = """
SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = 'maintenance'::regnamespace AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition AND c.relname <> 'migration'
"""


def make_role(server: PostgresServer, prefix: str) -> Role:
    """Make a login role without any privilege. It goes with the server, not with the test."""
    role = Role(unique(prefix), "secret")
    in_maintenance_database(
        server,
        f"CREATE ROLE {quote(role.name)} LOGIN PASSWORD '{quickly_verified(role.password)}'",
    )
    return role


def quickly_verified(password: str) -> str:
    """What the server keeps of a password, hashed once and not 4096 times.

    The hashing is three quarters of what a connection costs the client, and tests make tens of
    thousands of them.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations=1)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    keys = (stored, hmac.digest(salted, b"Server Key", "sha256"))
    salt_text, *texts = (base64.b64encode(each).decode() for each in (salt, *keys))
    return f"SCRAM-SHA-256$1:{salt_text}${':'.join(texts)}"


def in_maintenance_database(server: PostgresServer, sql: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(sql.encode())
