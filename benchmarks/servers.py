"""The server shared by all contenders, and its identical databases."""

import itertools
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from maintenance.demo.postgres import PostgresServer, embedded_binaries, system_binaries
from maintenance.names import quote

PEER_MAJOR = 15
_VERSION_15 = 150000
DISK = Path("/var/tmp")
"""Not /tmp, which may be in memory: a commit must have its real cost."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one benchmark."""

    server: PostgresServer
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    @contextmanager
    def clone(self) -> "Generator[Database]":
        """Create a copy, so that each round starts equally; there must be no connections."""
        with fresh_database(self.server, self.name) as copy:
            yield copy


@contextmanager
def fresh_server() -> Generator[PostgresServer]:
    """Start a server with ordinary settings: the system's 15, else the embedded one."""
    binaries = system_binaries().get(PEER_MAJOR) or embedded_binaries()
    with tempfile.TemporaryDirectory(prefix="maintenance-benchmarks-", dir=DISK) as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server's account must be able to enter
        server = PostgresServer(binaries, folder / "server")
        try:
            server.start()
            yield server
        finally:
            server.remove()


@contextmanager
def fresh_database(server: PostgresServer, template: str = "template1") -> Generator[Database]:
    """Create a database for the length of a block."""
    name = f"benchmark_{next(_numbers)}"
    with session(server.url()) as admin:
        # Copying files is faster than logging them from about 100 MB on.
        strategy = "STRATEGY file_copy" if admin.info.server_version >= _VERSION_15 else ""
        created = f"CREATE DATABASE {quote(name)} TEMPLATE {quote(template)} {strategy}"
        admin.execute(created.encode())
        try:
            # A checkpoint now, so that no contender pays for the writes before it.
            admin.execute("CHECKPOINT")
            yield Database(server, name)
        finally:
            admin.execute(f"DROP DATABASE {quote(name)} WITH (FORCE)".encode())


@contextmanager
def session(url: str) -> Generator[psycopg.Connection[Any]]:
    """Open an autocommit session."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def version_of(server: PostgresServer) -> str:
    with session(server.url()) as connection:
        return connection.info.parameter_status("server_version") or ""
