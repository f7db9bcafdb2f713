"""A filled default partition put right: how long writers wait at worst, and how long it takes."""

import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import partman
from benchmarks.outcomes import OURS, Outcome, Target, ratio
from benchmarks.servers import Database, fresh_database, session
from benchmarks.tables import URL_VARIABLE, UTC_ZONE, Shape, build, write_policy
from benchmarks.timing import Contender, interleave, seconds
from benchmarks.writers import writing
from maintenance import maintain
from maintenance.demo.postgres import PostgresServer
from maintenance.periods import Interval, period_at
from maintenance.policy import Policy

LIMIT_MS = 50.0
LIMIT_S = 10.0
PREMAKE = 3
WARM_UP_S = 1
MOVE = "pg_partman, partition_data_proc"


@dataclass(frozen=True, slots=True)
class DefaultSwap:
    """The worst insert while the rows of a missing month, last month, leave the default.

    Writers insert into the current month, which has its partition: were they to write into the
    default partition, the peer would fail.
    """

    n_rows: int = 3_000_000
    n_writers: int = 2
    rounds: int = 3
    peer_s: int = 90
    """So long the writers go on beside the peer; beside us a sixth of it."""

    def run(self, server: PostgresServer) -> Outcome:
        with _prepared(server, self.n_rows) as (template, policy, table):
            contenders: dict[str, Contender | None] = {
                OURS: partial(self._worst_ms, server, table, partial(_ours, policy), 1 / 6),
                MOVE: partial(self._worst_ms, server, table, partial(_move, table), 1)
                if partman.is_available(server)
                else None,
            }
            samples = interleave(contenders, self.rounds, template.clone)
        return Outcome(
            f"slowest insert of {self.n_writers} writers, {self.n_rows:,} rows of a month"
            " put right in the default partition",
            "ms",
            samples,
            (Target("worst insert beside maintenance, ms", max(samples[OURS]), LIMIT_MS),),
        )

    def _worst_ms(
        self, server: PostgresServer, table: str, work: Contender, share: float, url: str
    ) -> float:
        duration_s = WARM_UP_S + round(self.peer_s * share)
        with writing(
            server, url, table, n_writers=self.n_writers, duration_s=duration_s
        ) as inserts:
            time.sleep(WARM_UP_S)
            began = time.time()
            took_s = work(url)
        assert took_s < duration_s - WARM_UP_S, "the writers had ended before"
        ended = began + took_s
        return max(i.took_ms for i in inserts if began < i.ended_at < ended + i.took_ms / 1000)


@dataclass(frozen=True, slots=True)
class DefaultSwapTime:
    """The same without writers: from the start of the run to the end."""

    n_rows: int = 3_000_000
    rounds: int = 3

    def run(self, server: PostgresServer) -> Outcome:
        with _prepared(server, self.n_rows) as (template, policy, table):
            peer = partial(_move, table) if partman.is_available(server) else None
            contenders: dict[str, Contender | None] = {OURS: partial(_ours, policy), MOVE: peer}
            samples = interleave(contenders, self.rounds, template.clone)
        targets = [Target("maintenance, s", median(samples[OURS]), LIMIT_S)]
        if peer is not None:
            targets.append(Target("maintenance over the peer", ratio(samples, OURS, MOVE), 1.0))
        what = f"{self.n_rows:,} rows of a month put right in the default partition"
        return Outcome(what, "s", samples, targets)


@contextmanager
def _prepared(server: PostgresServer, n_rows: int) -> Generator[tuple[Database, Policy, str]]:
    """Make a table that lacks last month's partition, and whose default has its rows instead."""
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
        report = maintain.apply(policy, environ={URL_VARIABLE: url})
        assert report.ok, [result.error for result in report.results]

    took_s = seconds(work)
    _check(url)
    return took_s


def _move(table: str, url: str) -> float:
    def work() -> None:
        with session(url) as connection:
            connection.execute("CALL partman.partition_data_proc(%s, p_wait := 0)", (table,))

    took_s = seconds(work)
    _check(url)
    return took_s


def _check(url: str) -> None:
    with session(url) as connection:
        row = connection.execute("SELECT count(*) FROM public.events_0001_default").fetchone()
    assert row == (0,), f"{row} rows are still in the default partition"
