"""Time from the tick of a schedule to the end of its run, in a Dagster instance."""

import os
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

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
FIRST = "of that, the first run after a pause"
BARE_RUN = "a job of one empty op, in a Dagster of its own"
START = "Dagster, from start to UI and daemon"
BARE_START = "Dagster with that job alone, from start to UI and daemon"
LIMIT_S = 2.5
START_LIMIT_S = 5.0
MEMORY_LIMIT_MB = 420.0
PREMAKE = 3

_POLL_S = 1.0
_SETTLE_S = 30.0
"""How long processes may take to end after the pause."""
_START_MINUTES = 2
"""How long Dagster may take to start before the first tick."""
_PATIENCE_S = _START_MINUTES * 60 + 30  # until the first run has ended

_BARE = "empty_job"
_BARE_MODULE = """
import dagster as dg

@dg.op
def nothing() -> None:
    pass

@dg.job
def empty() -> None:
    nothing()

schedule = dg.ScheduleDefinition(
    job=empty, cron_schedule="{cron}", default_status=dg.DefaultScheduleStatus.RUNNING
)
defs = dg.Definitions(schedules=[schedule])
"""
"""What Dagster itself takes, with our settings: nothing of ours is in it."""

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


class _Measured(NamedTuple):
    start_s: float
    runs_s: tuple[float, ...]
    idle_mb: float


@dataclass(frozen=True, slots=True)
class TickToFinish:
    """The nightly job of one table, due in a few minutes, beside an empty job in a Dagster alone.

    The memory is that after the pause in which no run was under way, as for most of a day.
    """

    rounds: int = 5

    def run(self, server: PostgresServer) -> Outcome:
        shape = Shape(1, behind=24, ahead=PREMAKE)
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as database:
            with session(database.url) as connection:
                build(connection, shape)
            path = Path(folder) / "policy.yaml"
            policy = write_policy(path, shape.tables, PREMAKE, _next_minutes(self.rounds))
            environment = {
                **os.environ,
                URL_VARIABLE: database.url,
                "MAINTENANCE_POLICIES": str(policy.path),
            }
            ours = self._measure(
                server, Dagster(Path(folder) / "dagster", ports.free_port()), environment
            )
            cron = _next_minutes(self.rounds)
            bare = self._measure(server, _bare(Path(folder) / "bare", cron), os.environ)
        return Outcome(
            "Dagster, one table of 28 months",
            "s",
            {
                RUN: ours.runs_s,
                FIRST: ours.runs_s[:1],
                BARE_RUN: bare.runs_s,
                START: (ours.start_s,),
                BARE_START: (bare.start_s,),
            },
            (
                Target("tick to finish, s", median(ours.runs_s), LIMIT_S, median(bare.runs_s)),
                Target("start to UI and daemon, s", ours.start_s, START_LIMIT_S, bare.start_s),
                Target(
                    "memory of all processes of Dagster, idle, MB",
                    ours.idle_mb,
                    MEMORY_LIMIT_MB,
                    bare.idle_mb,
                    f"Dagster with an empty job takes {bare.idle_mb:.0f} MB; the rest is what"
                    " its code server has loaded of ours",
                ),
            ),
        )

    def _measure(
        self, server: PostgresServer, dagster: Dagster, environment: Mapping[str, str]
    ) -> _Measured:
        with _serving(server, dagster, environment) as start_s:
            runs_s = _await_runs(server, self.rounds)
            return _Measured(start_s, runs_s, _idle_mb(server, dagster.home))


def _next_minutes(n: int) -> str:
    """Return a schedule of that many ticks, one a minute, the first once Dagster has started."""
    now = datetime.now(UTC).minute
    minutes = [(now + _START_MINUTES + place) % 60 for place in range(n)]
    return f"{','.join(map(str, minutes))} * * * *"


def _bare(home: Path, cron: str) -> Dagster:
    """Return a Dagster that loads nothing of ours; its working directory is its home."""
    home.mkdir()
    (home / f"{_BARE}.py").write_text(_BARE_MODULE.format(cron=cron))
    return Dagster(home, ports.free_port(), _BARE)


@contextmanager
def _serving(
    server: PostgresServer, dagster: Dagster, environment: Mapping[str, str]
) -> Generator[float]:
    """Run Dagster for the length of a block, and return the seconds that it took to start."""
    storage.make(server)

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
    """Return the memory of all processes after a pause without runs."""
    from maintenance.orchestration.preloaded_runs import PAUSE_S  # noqa: PLC0415 - loads Dagster

    time.sleep(PAUSE_S + _SETTLE_S)
    with session(server.url(storage.NAME)) as connection:
        if connection.execute(_UNDER_WAY).fetchone():
            raise MaintenanceError("a run is under way, so the memory is not that of idle")
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
