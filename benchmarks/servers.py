"""The server that all contenders share, and databases that are all alike."""

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
"""Not /tmp, which may be memory: a commit is to cost what it costs."""

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
        """Make a copy, so that each try begins with the same; nobody may be connected."""
        with fresh_database(self.server, self.name) as copy:
            yield copy


@contextmanager
def fresh_server() -> Generator[PostgresServer]:
    """Start a server with ordinary settings: the system's 15, else the embedded one."""
    binaries = system_binaries().get(PEER_MAJOR) or embedded_binaries()
    with tempfile.TemporaryDirectory(prefix="maintenance-benchmarks-", dir=DISK) as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server's account must pass
        server = PostgresServer(binaries, folder / "server")
        try:
            server.start()
            yield server
        finally:
            server.remove()


@contextmanager
def fresh_database(server: PostgresServer, template: str = "template1") -> Generator[Database]:
    """Make a database for the length of a block."""
    name = f"benchmark_{next(_numbers)}"
    with session(server.url()) as admin:
        # Files are copied faster than they are logged, which matters from some 100 MB on.
        strategy = "STRATEGY file_copy" if admin.info.server_version >= _VERSION_15 else ""
        created = f"CREATE DATABASE {quote(name)} TEMPLATE {quote(template)} {strategy}"
        admin.execute(created.encode())
        try:
            # Nobody is to pay for what the one before wrote.
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
