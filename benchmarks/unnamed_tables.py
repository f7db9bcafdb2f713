"""Partitioned tables that no section names: whether their partitions end soon."""

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import yaml

from benchmarks.outcomes import OURS, Outcome, Target
from benchmarks.servers import fresh_database, session
from benchmarks.tables import Shape, build
from benchmarks.timing import cpu_seconds
from maintenance.demo.postgres import PostgresServer
from maintenance.inspection.observe import read_inventory
from maintenance.pipeline.inspection import unnamed_findings
from maintenance.policy import load_policy

READ = "their catalog queries alone"
LIMIT_S = 0.1


@dataclass(frozen=True, slots=True)
class UnnamedTables:
    """Each run of `capacity` infers the calendar of such tables."""

    n_tables: int = 50
    n_behind: int = 95
    n_ahead: int = 10
    rounds: int = 5

    def run(self, server: PostgresServer) -> Outcome:
        shape = Shape(self.n_tables, self.n_behind, self.n_ahead)
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as database:
            path = Path(folder) / "policy.yaml"
            path.write_text(yaml.safe_dump({"database": {"name": "app", "url": database.url}}))
            policy = load_policy(path)
            samples: dict[str, tuple[float, ...]] = {OURS: (), READ: ()}
            with session(database.url) as connection:
                build(connection, shape)
                for _ in range(self.rounds):
                    now = datetime.now(UTC)
                    whole = cpu_seconds(lambda: list(unnamed_findings(connection, policy, now)))  # noqa: B023
                    read = cpu_seconds(lambda: read_inventory(connection, policy.observe.time_cap))
                    samples = {OURS: (*samples[OURS], whole), READ: (*samples[READ], read)}
        inferred = median(samples[OURS]) - median(samples[READ])
        return Outcome(
            f"{shape.n_partitions:,} partitions of {self.n_tables} tables that no section names",
            "s of CPU",
            samples,
            (Target("inference, s of CPU", inferred, LIMIT_S),),
        )
