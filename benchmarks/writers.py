"""The application: writers that insert as fast as they can, and an analyst who reads."""

import os
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import psycopg
from psycopg.conninfo import conninfo_to_dict

from maintenance.demo.postgres import PostgresServer

_VARIABLES = {
    "PGHOST": "host",
    "PGPORT": "port",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGDATABASE": "dbname",
}


@dataclass(frozen=True, slots=True)
class Insert:
    """One insert that ended: when, in seconds since 1970, and how long it took."""

    ended_at: float
    took_ms: float


@contextmanager
def writing(
    server: PostgresServer, url: str, table: str, *, n_writers: int, duration_s: int
) -> Generator[list[Insert]]:
    """Insert for so long beside the block, with pgbench: Python's own pauses are not measured.

    Yields:
        A list that holds every insert once the block is left.
    """
    inserts: list[Insert] = []
    parameters = conninfo_to_dict(url)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "insert.sql"
        script.write_text(f"INSERT INTO {table} (user_id, kind, payload) VALUES (1, 'w', '[1]');")
        process = subprocess.Popen(
            [
                server.binaries / "pgbench",
                *("--no-vacuum", "--log", "--log-prefix", f"{folder}/log"),
                *("--file", script, "--client", str(n_writers), "--time", str(duration_s)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {name: str(parameters[key]) for name, key in _VARIABLES.items()},
        )
        try:
            yield inserts
        finally:
            _, errors = process.communicate()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, "pgbench", stderr=errors)
        inserts.extend(_read(Path(folder)))


@contextmanager
def reading(url: str, table: str, duration_s: float) -> Generator[None]:
    """Keep a transaction open for so long that has read a table and all of its partitions."""
    with psycopg.connect(url) as connection:
        connection.execute(f"SELECT count(*) FROM {table}".encode())
        end = Timer(duration_s, connection.rollback)
        end.start()
        try:
            yield
        finally:
            end.join()


def _read(folder: Path) -> Generator[Insert]:
    """Read pgbench's log: client, transaction, µs taken, script, seconds and µs of its end."""
    for path in folder.glob("log.*"):
        for line in path.read_text().splitlines():
            _, _, took_us, _, second, microsecond = map(int, line.split()[:6])
            yield Insert(second + microsecond / 1e6, took_us / 1000)
