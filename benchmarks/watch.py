"""The watch: one look, a hundred databases a minute, an hour of looks, and a full pool."""

import gc
import os
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks.outcomes import OURS, Outcome, Target
from benchmarks.servers import Database, fresh_database, session
from benchmarks.timing import seconds
from benchmarks.usage import cpu_s
from maintenance.demo import ports, storage
from maintenance.demo.dagster import Dagster
from maintenance.demo.postgres import PostgresServer
from maintenance.engine.target import Target as Reached
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.watch import watch
from maintenance.policy import Policy, WorkloadPolicy, load_policy
from maintenance.subjects.workload.sample import read_sample

TICK_LIMIT_MS = 100.0
SERVER_LIMIT_MS = 20.0
GROWTH_LIMIT_MB = 1.0
CPU_LIMIT = 0.1
MINUTE_S = 60.0
AN_HOUR = 60
N_TABLES = 200
SERVER = "its statements, in a new session"
CPU = "CPU of this process"
SETTLE_S = 75.0


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at a server with open sessions that hold locks; each look has its own session.

    The time of the statements includes that of the round trip and of the client.
    """

    rounds: int = AN_HOUR
    n_databases: int = 100
    n_sessions: int = 50

    def run(self, server: PostgresServer) -> Outcome:
        with fresh_database(server) as database, tempfile.TemporaryDirectory() as folder:
            policy = _policy(Path(folder), database, "app")
            pipeline.apply(policy)
            with _busy(database, self.n_sessions):
                ticks = tuple(_tick(policy) for _ in range(self.rounds))
                statements = tuple(_statements_ms(policy) for _ in range(self.rounds))
            before = _resident_mb()
            cpu = tuple(_cpu_ms(policy) for _ in range(self.rounds))
            growth = _resident_mb() - before
        share = median(cpu) / 1000 * self.n_databases / MINUTE_S
        return Outcome(
            f"one look of the watch, {self.n_sessions} sessions with locks",
            "ms",
            {OURS: ticks, SERVER: statements, CPU: cpu},
            (
                Target("one look, ms", median(ticks), TICK_LIMIT_MS),
                Target("its statements, ms", median(statements), SERVER_LIMIT_MS),
                Target(f"growth in {self.rounds} looks, MB", growth, GROWTH_LIMIT_MB),
                Target(f"{self.n_databases} databases a minute, cores", share, CPU_LIMIT),
            ),
        )


@dataclass(frozen=True, slots=True)
class WatchDaemon:
    """Dagster with many policies, with the watch and without it: the difference is its cost."""

    n_databases: int = 100
    span_s: float = 120.0

    def run(self, server: PostgresServer) -> Outcome:
        shares = {
            interval: _daemon_share(server, self, interval) for interval in ("1 minute", "never")
        }
        cost = shares["1 minute"] - shares["never"]
        return Outcome(
            f"Dagster's processes with {self.n_databases} databases",
            "cores",
            {f"watch_interval: {name}": (share,) for name, share in shares.items()},
            (Target("the watch alone, cores", cost, CPU_LIMIT),),
        )


def _policy(folder: Path, database: Database, name: str, **schedules: str) -> Policy:
    document: dict[str, Any] = {
        "database": {"name": name, "url": database.url},
        "schedules": schedules,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document))
    return load_policy(path)


@contextmanager
def _busy(database: Database, n_sessions: int) -> Generator[None]:
    """Hold transactions open that have read many tables, so that there are locks to look at."""
    with ExitStack() as stack:
        first = stack.enter_context(session(database.url))
        for n in range(N_TABLES):
            first.execute(f"CREATE TABLE public.t{n} (id int)".encode())
        for _ in range(n_sessions):
            connection = stack.enter_context(session(database.url))
            connection.execute("BEGIN")
            for n in range(0, N_TABLES, 4):
                connection.execute(f"SELECT FROM public.t{n}".encode())
        yield


def _tick(policy: Policy) -> float:
    return 1000 * seconds(lambda: watch(policy))


def _statements_ms(policy: Policy) -> float:
    with Reached(policy).glance("bench") as connection:
        cap = timedelta(seconds=5)
        return 1000 * seconds(lambda: read_sample(connection, WorkloadPolicy(), cap))


def _cpu_ms(policy: Policy) -> float:
    began = time.process_time()
    watch(policy)
    return 1000 * (time.process_time() - began)


def _resident_mb() -> float:
    """Return the memory of this process now; 0 where the kernel does not tell."""
    gc.collect()
    try:
        n_pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return n_pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _daemon_share(server: PostgresServer, size: WatchDaemon, interval: str) -> float:
    with fresh_database(server) as database, tempfile.TemporaryDirectory() as folder:
        policies = Path(folder) / "policies"
        policies.mkdir()
        for n in range(size.n_databases):
            _policy(policies, database, f"db{n}", watch_interval=interval)
        pipeline.apply(load_policy(policies / "db0.yaml"))
        environment = {**os.environ, "MAINTENANCE_POLICIES": str(policies)}
        with served(server, Path(folder) / "dagster", environment):
            time.sleep(min(SETTLE_S, size.span_s))  # the first looks load what later ones use
            before = cpu_s(Path(folder))
            time.sleep(size.span_s)
            return (cpu_s(Path(folder)) - before) / size.span_s


@contextmanager
def served(
    server: PostgresServer, home: Path, environment: Mapping[str, str], patience_s: float = 60.0
) -> Generator[None]:
    """Serve Dagster from a folder, with its storage on the server."""
    storage.make(server)
    dagster = Dagster(home, ports.free_port())
    try:
        dagster.start({**environment, **storage.environment(server)})
        dagster.serve(patience_s)
        yield
    finally:
        dagster.stop()
        with session(server.url()) as admin:
            admin.execute(f"DROP DATABASE {storage.NAME} WITH (FORCE)".encode())
