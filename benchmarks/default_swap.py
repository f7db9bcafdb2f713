"""Rows moved out of a default partition: the longest wait of writers, and the duration."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from benchmarks import partman
from benchmarks.outcomes import OURS, Outcome, Target
from benchmarks.servers import Database, fresh_database, session
from benchmarks.tables import URL_VARIABLE, UTC_ZONE, Shape, build, write_policy
from benchmarks.timing import Contender, interleave, seconds
from benchmarks.writers import IDLE, Work, Writers
from maintenance.demo.postgres import PostgresServer
from maintenance.engine import target as engine_target
from maintenance.periods import Interval, period_at
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy

LIMIT_MS = 20.0
LIMIT_S = 10.0
PREMAKE = 3
MOVE = "pg_partman, partition_data_proc"


@dataclass(frozen=True, slots=True)
class DefaultSwap:
    """The slowest insert while the rows of a missing month, last month, leave the default.

    Writers insert into the current month, which has its partition: if they wrote into the
    default partition, the peer would fail.

    Attributes:
        peer_s: time limit of the peer, which moves rows in batches and runs once.
    """

    n_rows: int = 3_000_000
    n_writers: int = 2
    rounds: int = 3
    peer_s: int = 45

    def run(self, server: PostgresServer) -> Outcome:
        with _prepared(server, self.n_rows) as (template, policy, table):
            peer = _Peer(table, self.n_rows, self.peer_s)
            works: dict[str, Work] = {OURS: partial(_ours, policy), IDLE: lambda _url: None}
            writers = Writers(server, table, self.n_writers)
            ours: dict[str, Contender | None] = {
                name: writers.beside(name, work) for name, work in works.items()
            }
            samples = interleave(ours, self.rounds, template.clone)
            move = writers.beside(MOVE, peer) if partman.is_available(server) else None
            samples |= interleave({MOVE: move}, 1, template.clone)
        return Outcome(
            f"slowest insert of {self.n_writers} writers, {self.n_rows:,} rows of a month"
            f" put right in the default partition{peer.left_undone}",
            "ms",
            samples,
            (writers.stall("worst insert beside maintenance, ms", samples, LIMIT_MS),),
        )


@dataclass(frozen=True, slots=True)
class DefaultSwapTime:
    """The same without writers: the duration of the run."""

    n_rows: int = 3_000_000
    rounds: int = 3
    peer_s: int = 90

    def run(self, server: PostgresServer) -> Outcome:
        with _prepared(server, self.n_rows) as (template, policy, table):
            peer = _Peer(table, self.n_rows, self.peer_s)
            samples = interleave({OURS: partial(_ours, policy)}, self.rounds, template.clone)
            ours_s = median(samples[OURS])
            targets = [Target("maintenance, s", ours_s, LIMIT_S)]
            move = peer if partman.is_available(server) else None
            samples |= interleave({MOVE: move}, 1, template.clone)
            if move is not None:
                over = Target("maintenance over the peer", ours_s / samples[MOVE][0], 1.0)
                targets.append(over)
        what = f"{self.n_rows:,} rows of a month put right in the default partition"
        return Outcome(f"{what}{peer.left_undone}", "s", samples, targets)


@dataclass(slots=True)
class _Peer:
    """The peer: rows are deleted and inserted again in batches.

    Attributes:
        most_s: time limit; the share of work not done by then is reported.
        left_undone: that share in words, for the outcome; empty if all was done.
    """

    table: str
    n_rows: int
    most_s: int
    left_undone: str = ""

    def __call__(self, url: str) -> float:
        return seconds(lambda: self._move(url))

    def _move(self, url: str) -> None:
        with session(url) as connection:
            connection.execute(f"SET statement_timeout = '{self.most_s}s'".encode())
            try:
                connection.execute(
                    "CALL partman.partition_data_proc(%s, p_wait := 0)", [self.table]
                )
            except psycopg.errors.QueryCanceled:
                share = 1 - _n_in_default(connection) / self.n_rows
                self.left_undone = f"; {MOVE} was stopped after {self.most_s} s, {share:.0%} done"


@contextmanager
def _prepared(server: PostgresServer, n_rows: int) -> Generator[tuple[Database, Policy, str]]:
    """Create a table without last month's partition, whose default has these rows."""
    shape = Shape(1, behind=2, ahead=PREMAKE)
    (table,) = shape.tables
    last = period_at(datetime.now(UTC), Interval.MONTH, UTC_ZONE).shift(-1)
    with tempfile.TemporaryDirectory() as folder, fresh_database(server) as template:
        policy = write_policy(Path(folder) / "policy.yaml", shape.tables, PREMAKE)
        with session(template.url) as connection:
            build(connection, shape)
            for statement in (
                f"DROP TABLE {table}_p{last.start:%Y_%m}",
                f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT",
                f"INSERT INTO {table} (at, user_id, kind, payload)"
                f" SELECT '{last.start} 00:00+00'::timestamptz + i * interval '0.8 s',"
                " i % 1000, 'late', '{\"page\": 1}'"
                f" FROM generate_series(1, {n_rows}) AS i",
                "VACUUM ANALYZE",
            ):
                connection.execute(statement.encode())
            if partman.is_available(server):
                partman.register(connection, shape.tables, PREMAKE)
        yield template, policy, table


def _ours(policy: Policy, url: str) -> float:
    def work() -> None:
        report = pipeline.apply(engine_target.Target(policy, {URL_VARIABLE: url}))
        assert report.ok, [result.error for result in report.results]

    took_s = seconds(work)
    _check(url)
    return took_s


def _check(url: str) -> None:
    with session(url) as connection:
        left = _n_in_default(connection)
    assert not left, f"{left} rows are still in the default partition"


def _n_in_default(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT count(*) FROM public.events_0001_default").fetchone()
    assert row is not None, "count(*) returns a row"
    return row[0]
