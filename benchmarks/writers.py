"""The application: writers that insert as fast as they can, and an analyst who reads."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import psycopg
from psycopg.conninfo import conninfo_to_dict

from maintenance.demo.postgres import PostgresServer

WARM_UP_S = 1
AFTERWARDS_S = 1
LONGEST_S = 600

Work = Callable[[str], object]
"""Takes a database's URL."""

_VARIABLES = {
    "PGHOST": "host",
    "PGPORT": "port",
    "PGUSER": "user",
    "PGPASSWORD": "password",
    "PGDATABASE": "dbname",
}


@dataclass(frozen=True, slots=True)
class Insert:
    """One finished insert: its end in seconds since 1970, and its duration."""

    ended_at: float
    took_ms: float


@contextmanager
def writing(
    server: PostgresServer, url: str, statements: str, *, n_writers: int
) -> Generator[list[Insert]]:
    """Write during the block, with pgbench: Python's own pauses are not measured.

    Yields:
        A list that has every insert once the block has ended.
    """
    inserts: list[Insert] = []
    parameters = conninfo_to_dict(url)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "insert.sql"
        script.write_text(statements)
        process = subprocess.Popen(
            [
                server.binaries / "pgbench",
                *("--no-vacuum", "--log", "--log-prefix", f"{folder}/log"),
                *("--file", script, "--client", str(n_writers), "--time", str(LONGEST_S)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {name: str(parameters[key]) for name, key in _VARIABLES.items()},
        )
        try:
            yield inserts
        finally:
            process.send_signal(signal.SIGALRM)  # its own timer's: it writes its log and ends
            _, errors = process.communicate()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, "pgbench", stderr=errors)
        inserts.extend(_read(Path(folder)))


@contextmanager
def reading(url: str, table: str, duration_s: float) -> Generator[None]:
    """Keep a transaction open for a time that has read a table and all of its partitions."""
    with psycopg.connect(url) as connection:
        connection.execute(f"SELECT count(*) FROM {table}".encode())
        end = Timer(duration_s, connection.rollback)
        end.start()
        try:
            yield
        finally:
            end.join()


def slowest_insert_ms(
    server: PostgresServer,
    table: str,
    work: Work,
    url: str,
    *,
    n_writers: int,
    read_s: float = 0,
    script: str | None = None,
) -> float:
    """Return the duration of the slowest write from the start of the work to a second after it.

    Args:
        server: the server whose pgbench writes.
        table: the table that is written, and read with all its partitions.
        work: the work, started with the read; may end before or after it.
        url: the URL of the database.
        n_writers: the number of writers.
        read_s: how long the read stays open; 0 for none.
        script: pgbench's, in place of one insert.
    """
    insert = f"INSERT INTO {table} (user_id, kind, payload) VALUES (1, 'w', '[1]');"
    with writing(server, url, script or insert, n_writers=n_writers) as inserts:
        time.sleep(WARM_UP_S)
        began = time.time()
        with reading(url, table, read_s) if read_s else nullcontext():
            work(url)
        took_s = time.time() - began
        time.sleep(AFTERWARDS_S)
    assert took_s < LONGEST_S - WARM_UP_S, f"the work took {took_s:.0f} s, longer than was written"
    return max(insert.took_ms for insert in inserts if insert.ended_at > began)


def _read(folder: Path) -> Generator[Insert]:
    """Read pgbench's log: client, transaction, µs taken, script, seconds and µs of its end."""
    for path in folder.glob("log.*"):
        for line in path.read_text().splitlines():
            _, _, took_us, _, second, microsecond = map(int, line.split()[:6])
            yield Insert(second + microsecond / 1e6, took_us / 1000)
