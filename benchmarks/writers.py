"""The application: writers that insert as fast as they can, and an analyst who reads."""

import os
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Timer

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.outcomes import OURS, Target, stall
from benchmarks.timing import Contender
from maintenance.demo.postgres import PostgresServer

WARM_UP_S = 1
AFTERWARDS_S = 1
LONGEST_S = 600
IDLE = "no other work"
ELSEWHERE = "public.elsewhere"
RATE = 200
"""Writes to it a second: enough to meet a pause of some milliseconds, at little load."""

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

    @property
    def began_at(self) -> float:
        return self.ended_at - self.took_ms / 1000

    def overlaps(self, other: "Insert") -> bool:
        """Whether both were under way at the same moment."""
        return self.began_at < other.ended_at and other.began_at < self.ended_at


@contextmanager
def writing(
    server: PostgresServer, url: str, statements: str, *, n_writers: int, rate: int = 0
) -> Generator[list[Insert]]:
    """Write during the block, with pgbench: Python's own pauses are not measured.

    Args:
        server: the server whose pgbench writes.
        url: the URL of the database.
        statements: pgbench's script.
        n_writers: the number of writers.
        rate: so many transactions a second; 0 for as many as they can.

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
                *(("--rate", str(rate)) if rate else ()),
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
        inserts.extend(read_inserts(Path(folder)))


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


@dataclass(frozen=True, slots=True)
class Writers:
    """Writers of a table beside some work, and one of a table that nothing maintains.

    Attributes:
        server: the server whose pgbench writes.
        table: the table that is written, and read with all its partitions.
        read_s: how long a read that starts with the work stays open; 0 for none.
        script: pgbench's, in place of one insert.
        elsewhere_ms: by the work's name, for each time: the slowest write to the other table that
            overlapped the slowest write.
    """

    server: PostgresServer
    table: str
    n_writers: int
    read_s: float = 0
    script: str | None = None
    elsewhere_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def beside(self, name: str, work: Work) -> Contender:
        """Return a contender: the slowest write from the start of a work to a second after it.

        Args:
            name: of the work.
            work: starts with the read; may end before or after it.
        """
        return partial(self._slowest_ms, name, work)

    def stall(
        self,
        text: str,
        samples: Mapping[str, Sequence[float]],
        limit: float,
        kind: str = "",
        reason: str = "",
    ) -> Target:
        """Return the target of the slowest write beside our work, which bears the name `OURS`."""
        ours, idle = samples[OURS + kind], samples[IDLE + kind]
        return stall(text, ours, idle, self.elsewhere_ms[OURS + kind], limit, reason)

    def _slowest_ms(self, name: str, work: Work, url: str) -> float:
        insert = f"INSERT INTO {self.table} (user_id, kind, payload) VALUES (1, 'w', '[1]');"
        with psycopg.connect(url) as connection:
            connection.execute(f"CREATE TABLE {ELSEWHERE} (written_at timestamptz)".encode())
        write = partial(writing, self.server, url)
        with (
            write(self.script or insert, n_writers=self.n_writers) as inserts,
            write(f"INSERT INTO {ELSEWHERE} VALUES (now());", n_writers=1, rate=RATE) as others,
        ):
            time.sleep(WARM_UP_S)
            began = time.time()
            with reading(url, self.table, self.read_s) if self.read_s else nullcontext():
                work(url)
            took_s = time.time() - began
            time.sleep(AFTERWARDS_S)
            ended = time.time()
        assert took_s < LONGEST_S - WARM_UP_S, f"the work took {took_s:.0f} s, longer than written"
        beside = (i for i in inserts if i.ended_at > began and i.began_at < ended)
        slowest = max(beside, key=lambda insert: insert.took_ms)
        overlapping = (other.took_ms for other in others if other.overlaps(slowest))
        self.elsewhere_ms[name].append(max(overlapping, default=0.0))
        return slowest.took_ms


def read_inserts(folder: Path) -> Generator[Insert]:
    """Read pgbench's log: client, transaction, µs taken, script, seconds and µs of its end.

    At a rate, the µs count from when it was due, and a last number tells how late it began.
    """
    for path in folder.glob("log.*"):
        for line in path.read_text().splitlines():
            _, _, took_us, _, second, microsecond, *late_us = map(int, line.split())
            yield Insert(second + microsecond / 1e6, (took_us - sum(late_us)) / 1000)
