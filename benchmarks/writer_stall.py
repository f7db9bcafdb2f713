"""The longest wait of a writer while partitions are created during a long analytic read."""

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import partman
from benchmarks.outcomes import OURS, PEER, Outcome
from benchmarks.servers import fresh_database, session
from benchmarks.tables import URL_VARIABLE, Shape, build, n_partitions, write_policy
from benchmarks.timing import interleave
from benchmarks.writers import IDLE, Work, Writers
from maintenance.demo.postgres import PostgresServer
from maintenance.engine import target as engine_target
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy

PEER_DROPPING = "pg_partman, creating and dropping"
LIMIT_MS = 20.0


@dataclass(frozen=True, slots=True)
class WriterStall:
    """24 months created for a table with 24, without default partition; a clone for each round."""

    n_writers: int = 2
    read_s: int = 10
    premake: int = 24
    rounds: int = 3

    def run(self, server: PostgresServer) -> Outcome:
        shape = Shape(1, behind=self.premake - 1, ahead=0)
        (table,) = shape.tables
        has_peer = partman.is_available(server)
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as template:
            policy = write_policy(Path(folder) / "policy.yaml", shape.tables, self.premake)
            with session(template.url) as connection:
                build(connection, shape)
                if has_peer:
                    partman.register(connection, shape.tables, self.premake)

            works: dict[str, Work | None] = {
                IDLE: lambda _url: None,
                OURS: self._checked(partial(_ours, policy)),
                PEER: self._checked(partman.run) if has_peer else None,
                PEER_DROPPING: self._checked(_create_and_drop) if has_peer else None,
            }
            writers = Writers(server, table, self.n_writers, self.read_s)
            contenders = {
                name: writers.beside(name, work) if work else None for name, work in works.items()
            }
            samples = interleave(contenders, self.rounds, template.clone)
        return Outcome(
            f"slowest insert of {self.n_writers} writers, {self.premake} months made"
            f" beside a {self.read_s} s read",
            "ms",
            samples,
            (writers.stall("worst insert beside maintenance, ms", samples, LIMIT_MS),),
        )

    def _checked(self, work: Work) -> Work:
        def run(url: str) -> None:
            work(url)
            assert n_partitions(url) > self.premake, "no partition was made"

        return run


def _ours(policy: Policy, url: str) -> None:
    pipeline.apply(engine_target.Target(policy, {URL_VARIABLE: url}))


def _create_and_drop(url: str) -> None:
    partman.set_retention(url, "12 months")
    partman.run(url)
