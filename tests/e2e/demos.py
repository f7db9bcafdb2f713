"""The demo as a user starts it: its process, its output, and its files."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from maintenance.demo import ports, processes
from maintenance.demo.postgres import PostgresServer
from maintenance.demo.programs import binaries_for

MAINTENANCE = Path(sys.executable).with_name("maintenance")
PARTITIONED = ("learning_platform", "proposals")
SERVING = "maintenance status"
PATIENCE_S = 900.0
"""How long something may take on a machine that does much else: a main job is minutes of CPU. It is
more than the demo gives its own jobs, whose error tells more."""


class Line(NamedTuple):
    """One line of the table of partitions."""

    database: str
    table: str
    period: str
    state: str
    rows: str
    size: str


@dataclass
class Demo:
    """A `maintenance demo` process on a data folder; its output goes to files beside that.

    `log` is their name without ending, where it is not the data folder's. `systems` are those with
    partitioned tables, unless others are asked for; none means all.
    """

    data: Path
    port: int = field(default_factory=ports.free_port)
    command: Path = MAINTENANCE
    log: Path = Path()
    systems: tuple[str, ...] = PARTITIONED
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.log = self.log if self.log.name else self.data

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stdout(self) -> str:
        return self.log.with_suffix(".out").read_text()

    @property
    def stderr(self) -> str:
        return self.log.with_suffix(".err").read_text()

    @property
    def table(self) -> list[Line]:
        rows = [re.split(r"\s+", line.strip()) for line in self.stdout.splitlines()]
        return [_line(row) for row in rows if row[0] in PARTITIONED]

    @property
    def n_passed(self) -> int:
        """How many checks passed, which it says in the end."""
        number, *_ = self.stdout.splitlines()[-1].split()
        return int(number) if number.isdigit() else 0

    @property
    def failed_checks(self) -> set[str]:
        """The names of the checks that failed."""
        return set(re.findall(r"^(?:warn|error) (\w+) on ", self.stdout, re.MULTILINE))

    def start(self, *options: str, environment: Mapping[str, str] = os.environ) -> None:
        chosen = [part for name in self.systems for part in ("--system", name)]
        place = ["--data", str(self.data), "--port", str(self.port)]
        arguments = ["demo", *place, *chosen, *options]
        with (
            self.log.with_suffix(".out").open("wb") as out,
            self.log.with_suffix(".err").open("wb") as err,
        ):
            command = [str(self.command), *arguments]
            self._process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)

    def run(self, *options: str) -> int:
        """Start it and wait for its end; its exit code."""
        self.start(*options)
        return self.wait()

    def send(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    def wait(self) -> int:
        assert self._process
        return self._process.wait(timeout=PATIENCE_S)

    def wait_for(self, text: str) -> None:
        """Wait until it has said something on standard error."""
        assert self._process
        process = self._process
        with suppress(AssertionError):
            wait_until(lambda: text in self.stderr or process.poll() is not None)
        assert text in self.stderr, self.stderr

    def at_rest(self, database: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements on its server while it does not run; the rows of the last one."""
        server = PostgresServer(binaries_for(self.data / "postgres"), self.data / "postgres")
        with server, psycopg.connect(server.url(database), autocommit=True) as connection:
            cursors = [connection.execute(statement.encode()) for statement in statements]
            return cursors[-1].fetchall() if cursors[-1].description else []

    def leftovers(self) -> list[str]:
        """The command lines of all processes that name the data folder, itself left out."""
        own = self._process.pid if self._process else 0
        pids = [pid for pid in processes.find(str(self.data)) if pid not in (own, os.getpid())]
        return [processes.command_line(pid) for pid in pids]

    def close(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        wait_until(lambda: not self.leftovers())


def wait_until(condition: Callable[[], bool], limit_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def _line(row: list[str]) -> Line:
    """States of several words, such as `33 existed`, and sizes with their unit are one field."""
    database, table, period, *state, rows, number, unit = row
    return Line(database, table, period, " ".join(state), rows, f"{number} {unit}")
