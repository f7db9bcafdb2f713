"""Time from the tick of a schedule to the end of its run, in a Dagster instance."""

import os
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.outcomes import Outcome, Target
from benchmarks.servers import fresh_database, session
from benchmarks.tables import URL_VARIABLE, Shape, build, write_policy
from benchmarks.timing import seconds
from benchmarks.usage import memory_mb
from maintenance.demo import ports, storage
from maintenance.demo.dagster import Dagster
from maintenance.demo.postgres import PostgresServer
from maintenance.errors import MaintenanceError

RUN = "nightly schedule, from tick to finish"
START = "Dagster, from start to UI and daemon"
LIMIT_S = 2.5
START_LIMIT_S = 5.0
MEMORY_LIMIT_MB = 420.0
PREMAKE = 3

_POLL_S = 1.0
_SETTLE_S = 5.0
"""How long a process may take to end after its run has."""
_PATIENCE_S = 60 + 30  # until the next minute begins, and its run has ended

_UNDER_WAY = b"""
SELECT FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED') LIMIT 1
"""

# Read from Dagster's tables: the webserver would share the CPU cores with the runs.
_FINISHED = """
SELECT r.end_time - EXTRACT(epoch FROM t.value::timestamptz)
  FROM runs r JOIN run_tags t USING (run_id)
 WHERE t.key = '.dagster/scheduled_execution_time' AND r.status = 'SUCCESS'
 ORDER BY r.end_time
"""


@dataclass(frozen=True, slots=True)
class TickToFinish:
    """The nightly job of one table, due every minute. A run is a process of its own."""

    rounds: int = 5

    def run(self, server: PostgresServer) -> Outcome:
        shape = Shape(1, behind=24, ahead=PREMAKE)
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as database:
            policy = write_policy(Path(folder) / "policy.yaml", shape.tables, PREMAKE, "* * * * *")
            with session(database.url) as connection:
                build(connection, shape)
            environment = {
                **os.environ,
                URL_VARIABLE: database.url,
                "MAINTENANCE_POLICIES": str(policy.path),
            }
            home = Path(folder) / "dagster"
            with _dagster(server, home, environment) as start_s:
                before_mb = _idle_mb(server, home)
                runs_s = _await_runs(server, self.rounds)
                after_mb = _idle_mb(server, home)
        return Outcome(
            "Dagster, one table of 28 months",
            "s",
            {RUN: runs_s, START: (start_s,)},
            (
                Target("tick to finish, s", median(runs_s), LIMIT_S),
                Target("start to UI and daemon, s", start_s, START_LIMIT_S),
                Target(
                    "memory of all processes of Dagster, idle, MB",
                    max(before_mb, after_mb),
                    MEMORY_LIMIT_MB,
                ),
            ),
        )


@contextmanager
def _dagster(
    server: PostgresServer, home: Path, environment: Mapping[str, str]
) -> Generator[float]:
    """Run Dagster for the length of a block, and return the seconds that it took to start."""
    storage.make(server)
    dagster = Dagster(home, ports.free_port())

    def start() -> None:
        dagster.start({**environment, **storage.environment(server)})
        dagster.serve()

    try:
        yield seconds(start)
    finally:
        dagster.stop()
        with session(server.url()) as admin:
            admin.execute(f"DROP DATABASE {storage.NAME} WITH (FORCE)".encode())


def _idle_mb(server: PostgresServer, home: Path) -> float:
    """Return the memory of all processes once no run has been under way for a while."""
    deadline = time.monotonic() + _PATIENCE_S
    with session(server.url(storage.NAME)) as connection:
        idle_at = time.monotonic()
        while time.monotonic() < idle_at + _SETTLE_S:
            if connection.execute(_UNDER_WAY).fetchone():
                idle_at = time.monotonic()
            if time.monotonic() > deadline:
                raise MaintenanceError("a run is always under way, so no memory is that of idle")
            time.sleep(_POLL_S)
    return memory_mb(home)


def _await_runs(server: PostgresServer, wanted: int) -> tuple[float, ...]:
    deadline = time.monotonic() + wanted * 60 + _PATIENCE_S
    with session(server.url(storage.NAME)) as connection:
        while True:
            found = [float(row[0]) for row in connection.execute(_FINISHED)]
            if len(found) >= wanted:
                return tuple(found[:wanted])
            if time.monotonic() > deadline:
                raise MaintenanceError(f"{len(found)} scheduled runs succeeded, wanted {wanted}")
            time.sleep(_POLL_S)
