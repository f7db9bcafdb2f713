"""A night of many databases on one server, in Dagster: time, memory, connections, statements."""

import os
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import yaml

from benchmarks.outcomes import Outcome, Target
from benchmarks.servers import DISK, Database, fresh_database, session
from benchmarks.tables import Shape, build
from benchmarks.usage import cpu_s, memory_mb
from benchmarks.watch import served
from maintenance.demo import storage
from maintenance.demo.postgres import PostgresServer
from maintenance.engine.run_lock import RUN_LOCK
from maintenance.errors import MaintenanceError
from maintenance.pipeline import run as pipeline
from maintenance.policy import load_policy

LIMIT_S = 240.0
NIGHT = "from the tick to the end of the last run"
RUN = "one run, in its process"
CPU = "CPU of Dagster's processes, a database"
IDLE = "CPU of Dagster's processes in a minute before, a database"

_SHAPE = Shape(2, behind=24, ahead=3)
_POLL_S = 1.0
_PATIENCE_S = 3600.0
_START_S, _START_A_DATABASE_S = 120.0, 1.0
"""How long Dagster may take to start before the tick, and what it may take more for a database."""
_IDLE_S = 60.0
_MAX_CONNECTIONS = 400

_RUNS = b"""
SELECT r.status,
       r.end_time - EXTRACT(epoch FROM t.value::timestamptz),
       r.end_time - r.start_time
  FROM runs r JOIN run_tags t USING (run_id)
 WHERE t.key = '.dagster/scheduled_execution_time' AND r.pipeline_name LIKE '%_nightly'
   AND r.status IN ('SUCCESS', 'FAILURE', 'CANCELED')
"""
_CONNECTIONS = b"""
SELECT count(*) FILTER (WHERE datname = %s), count(*) FILTER (WHERE datname <> %s)
  FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_STATEMENTS = b"SELECT coalesce(sum(n_statements), 0) FROM maintenance.cost WHERE database = %s"


@dataclass(frozen=True, slots=True)
class Fleet:
    """The nightly runs of many databases, due in the same minute, beside the watch of all.

    Each has two tables of 28 months, all subjects that look, and nothing to do. In a database that
    hangs another run holds the run lock the whole time.
    """

    n_databases: int = 100
    n_hanging: int = 0

    def run(self, server: PostgresServer) -> Outcome:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server = stack.enter_context(_roomy(server))
            databases = _databases(server, self.n_databases + self.n_hanging, folder, stack)
            working, hanging = databases[: self.n_databases], databases[self.n_databases :]
            for each in hanging:
                stack.enter_context(_hung(each))
            patience_s = _START_S + _START_A_DATABASE_S * len(databases)
            tick = _write_policies(folder, databases, timedelta(seconds=patience_s))
            environment = {**os.environ, "MAINTENANCE_POLICIES": str(folder / "policies")}
            with served(server, folder / "dagster", environment, patience_s):
                night = _watch_night(server, folder, tick, len(working))
            statements = [_statements(each) for each in working]
        return Outcome(
            f"a night of {self.n_databases} databases, {self.n_hanging} more hang",
            "s",
            {
                NIGHT: (night.seconds,),
                RUN: night.runs_s,
                CPU: (night.cpu_s / len(working),),
                IDLE: (night.idle_s / len(databases),),
            },
            (
                Target(f"a night of {self.n_databases} databases, s", night.seconds, LIMIT_S),
                Target("memory of Dagster's processes, peak, MB", night.memory_mb, 1_500),
                Target("connections to databases, peak", night.connections, 40),
                Target("connections to Dagster's storage, peak", night.storage_connections, 40),
                Target("statements a database", median(statements), 400),
            ),
        )


@dataclass(frozen=True, slots=True)
class Night:
    """What a night took.

    Attributes:
        seconds: from the tick of the schedules to the end of the last run.
        runs_s: of each run, from its start to its end.
        cpu_s: of all processes of Dagster, from the tick.
        idle_s: of the same in a minute before the tick, with alerts and the watch.
    """

    seconds: float
    runs_s: Sequence[float]
    cpu_s: float
    idle_s: float
    memory_mb: float
    connections: int
    storage_connections: int


@contextmanager
def _roomy(server: PostgresServer) -> Generator[PostgresServer]:
    """Start a server like another one, which has room for sessions in all databases at once."""
    with tempfile.TemporaryDirectory(prefix="maintenance-benchmarks-", dir=DISK) as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server's account must be able to enter
        settings = {"max_connections": str(_MAX_CONNECTIONS)}
        roomy = PostgresServer(server.binaries, folder / "server", settings=settings)
        try:
            roomy.start()
            yield roomy
        finally:
            roomy.remove()


def _databases(
    server: PostgresServer, wanted: int, folder: Path, stack: ExitStack
) -> list[Database]:
    """Create equal databases, with a store as after a first night."""
    first = stack.enter_context(fresh_database(server))
    with session(first.url) as connection:
        build(connection, _SHAPE)
    path = folder / "first.yaml"
    path.write_text(yaml.safe_dump(_policy(first, "0 2 * * *")))
    pipeline.apply(load_policy(path))
    with session(server.url()) as admin:
        return [_copy(admin, first, f"fleet_{n:04}") for n in range(wanted)]


def _copy(admin: psycopg.Connection[Any], first: Database, name: str) -> Database:
    """Create a copy, without a checkpoint, which copying files would wait for; it stays.

    All of them go with the server.
    """
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {first.name}".encode())
    return Database(first.server, name)


def _policy(database: Database, nightly: str) -> dict[str, Any]:
    return {
        "database": {"name": database.name, "url": database.url},
        "partitions": [{"table": table, "column": "at"} for table in _SHAPE.tables],
        "statistics": {},
        "schedules": {"nightly": nightly},
    }


def _write_policies(folder: Path, databases: Sequence[Database], patience: timedelta) -> datetime:
    """Write a policy for each database, whose night begins when Dagster will have started."""
    tick = (datetime.now(UTC) + patience).replace(second=0, microsecond=0) + timedelta(minutes=1)
    policies = folder / "policies"
    policies.mkdir()
    for each in databases:
        content = _policy(each, f"{tick.minute} {tick.hour} * * *")
        (policies / f"{each.name}.yaml").write_text(yaml.safe_dump(content))
    return tick


@contextmanager
def _hung(database: Database) -> Generator[None]:
    with session(database.url) as connection:
        connection.execute("SELECT pg_catalog.pg_advisory_lock(%s)", [RUN_LOCK])
        yield


def _watch_night(server: PostgresServer, folder: Path, tick: datetime, wanted: int) -> Night:
    """Wait for the runs, and look at processes and connections each second meanwhile."""
    idle_at = tick - timedelta(seconds=_IDLE_S)
    if datetime.now(UTC) > idle_at:
        raise MaintenanceError("Dagster was not ready before the tick; raise the time it may take")
    _sleep_until(idle_at)
    before_s = cpu_s(folder)
    _sleep_until(tick)
    began, began_s = time.monotonic(), cpu_s(folder)
    memory, connections, of_storage = [0.0], [0], [0]
    with session(server.url(storage.NAME)) as connection:
        while len(ended := connection.execute(_RUNS).fetchall()) < wanted:
            if time.monotonic() - began > _PATIENCE_S:
                raise MaintenanceError(f"{len(ended)} of {wanted} runs ended")
            memory.append(memory_mb(folder))
            row = connection.execute(_CONNECTIONS, [storage.NAME, storage.NAME]).fetchone()
            assert row is not None, "an aggregate returns a row"
            of_storage.append(row[0])
            connections.append(row[1])
            time.sleep(_POLL_S)
    if failed := [status for status, *_ in ended if status != "SUCCESS"]:
        raise MaintenanceError(f"{len(failed)} of {len(ended)} runs failed")
    return Night(
        max(float(after) for _, after, _ in ended),
        [float(took) for *_, took in ended],
        cpu_s(folder) - began_s,
        began_s - before_s,
        max(memory),
        max(connections),
        max(of_storage),
    )


def _sleep_until(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))


def _statements(database: Database) -> float:
    with session(database.url) as connection:
        row = connection.execute(_STATEMENTS, [database.name]).fetchone()
    assert row is not None, "an aggregate returns a row"
    return float(row[0])
