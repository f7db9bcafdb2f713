"""What Dagster stores: of a nightly run, of a sensor's tick, and so of a database in a year."""

import os
import shutil
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from benchmarks.outcomes import Outcome, Target
from benchmarks.servers import Database, fresh_database, session
from benchmarks.watch import served
from maintenance.demo import storage
from maintenance.demo.postgres import PostgresServer
from maintenance.errors import MaintenanceError
from maintenance.orchestration.build import build
from maintenance.server.sql_library import data_root

KEPT_NIGHTS, KEPT_DAYS_OF_TICKS = 90, 1
MINUTES_A_DAY = 1440
LIMIT_MB = 50.0
NIGHT, TICK = "a night, with indexes", "a tick of the watch, with indexes"
_TABLES = ("event_logs", "asset_check_executions", "run_tags", "runs")
_POLICY: dict[str, Any] = {
    "partitions": [{"table": "public.events", "column": "at"}],
    "statistics": {},
}
_CREATE = b"""
CREATE TABLE public.events (id bigint NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (id, at))
PARTITION BY RANGE (at)
"""
_PATIENCE_S = 180.0
_ENDED_TICK = b"""
SELECT FROM job_ticks WHERE tick_body LIKE '%app_watch%' AND status <> 'STARTED' LIMIT 1
"""
_COPIES = 1_000
_COPY_TICKS = f"""
CREATE TABLE copies (LIKE job_ticks INCLUDING ALL);
INSERT INTO copies (job_origin_id, selector_id, status, type, "timestamp", tick_body)
SELECT job_origin_id, selector_id, status, type, "timestamp", tick_body
  FROM job_ticks, generate_series(1, {_COPIES}) WHERE tick_body LIKE '%app_watch%'
""".encode()
"""So many that the pages of empty indexes do not count."""
_TICK_KB = b"SELECT pg_total_relation_size('copies') / 1024.0 / count(*) FROM copies"
_BY_KIND = b"""
SELECT coalesce(dagster_event_type, 'log line'), sum(pg_column_size(e)) / 1024.0
  FROM event_logs AS e WHERE run_id = %s GROUP BY 1
UNION ALL
SELECT 'check results', sum(pg_column_size(c)) / 1024.0
  FROM asset_check_executions AS c WHERE run_id = %s
"""


@dataclass(frozen=True, slots=True)
class DagsterStorage:
    """The nightly job of a database with one partitioned table and all subjects that look."""

    rounds: int = 5

    def run(self, server: PostgresServer) -> Outcome:
        with fresh_database(server) as database, tempfile.TemporaryDirectory() as folder:
            with session(database.url) as connection:
                connection.execute(_CREATE)
            with _instance(server, Path(folder)) as instance:
                job = _definitions(Path(folder), database).resolve_job_def("app_nightly")
                job.execute_in_process(instance=instance)  # creates partitions
                before_kb = _size_kb(server)
                runs = [job.execute_in_process(instance=instance) for _ in range(self.rounds)]
                night_kb = (_size_kb(server) - before_kb) / self.rounds
                kinds = _by_kind(server, runs[-1].run_id)
            tick_kb = _tick_kb(server, Path(folder))
        steady_mb = (night_kb * KEPT_NIGHTS + tick_kb * MINUTES_A_DAY * KEPT_DAYS_OF_TICKS) / 1024
        return Outcome(
            "Dagster's storage: a night of one partitioned table with all checks; a tick",
            "kB",
            {
                NIGHT: (night_kb,),
                TICK: (tick_kb,),
                **{f"of it {kind}": (size,) for kind, size in kinds.items()},
            },
            (Target("a year of nights and of minutes, as kept, MB", steady_mb, LIMIT_MB),),
        )


def _definitions(folder: Path, database: Database) -> dg.Definitions:
    path = folder / "app.yaml"
    path.write_text(yaml.safe_dump({"database": {"name": "app", "url": database.url}, **_POLICY}))
    return build([path])


@contextmanager
def _instance(server: PostgresServer, folder: Path) -> Generator[dg.DagsterInstance]:
    """Open an instance with the shipped dagster.yaml, its storage on the server."""
    storage.make(server)
    os.environ.update(storage.environment(server))
    home = folder / "home"
    home.mkdir()
    shutil.copy(data_root() / "dagster.yaml", home)
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance
    finally:
        with session(server.url()) as admin:
            admin.execute(f"DROP DATABASE {storage.NAME} WITH (FORCE)".encode())


def _size_kb(server: PostgresServer) -> float:
    """Return the size of the tables with their indexes, after a VACUUM."""
    with session(server.url(storage.NAME)) as connection:
        connection.execute(f"VACUUM {', '.join(_TABLES)}".encode())
        sizes = " + ".join(f"pg_total_relation_size('{table}')" for table in _TABLES)
        row = connection.execute(f"SELECT {sizes}".encode()).fetchone()
    assert row is not None, "a query without FROM returns a row"
    return int(row[0]) / 1024


def _tick_kb(server: PostgresServer, folder: Path) -> float:
    """Return what one tick of the watch takes, as the daemon records it."""
    environment = {**os.environ, "MAINTENANCE_POLICIES": str(folder / "app.yaml")}
    with (
        served(server, folder / "dagster", environment),
        session(server.url(storage.NAME)) as connection,
    ):
        deadline = time.monotonic() + _PATIENCE_S
        while connection.execute(_ENDED_TICK).fetchone() is None:
            if time.monotonic() > deadline:
                raise MaintenanceError(f"no tick of the watch within {_PATIENCE_S:.0f} s")
            time.sleep(1)
        connection.execute(_COPY_TICKS)
        row = connection.execute(_TICK_KB).fetchone()
    assert row is not None, "an aggregate returns a row"
    return float(row[0])


def _by_kind(server: PostgresServer, run_id: str) -> Mapping[str, float]:
    with session(server.url(storage.NAME)) as connection:
        rows = connection.execute(_BY_KIND, [run_id, run_id]).fetchall()
    return {str(kind): float(size) for kind, size in sorted(rows, key=lambda row: -row[1])}
