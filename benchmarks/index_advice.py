"""Ten thousand indexes: observation, recorded usage, and advice on each."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from benchmarks import pghero
from benchmarks.command import run_plan
from benchmarks.outcomes import OURS, Outcome, Target, ratio
from benchmarks.servers import fresh_database, session
from benchmarks.tables import URL_VARIABLE, settle
from benchmarks.timing import Contender, interleave, seconds
from maintenance.demo.postgres import PostgresServer
from maintenance.engine import target as engine_target
from maintenance.engine.findings import FindingKind
from maintenance.engine.scope import EVERYTHING
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.context import RunContext
from maintenance.pipeline.observe import observe_and_plan
from maintenance.policy import Policy, load_policy
from maintenance.server.cost_meter import metered
from maintenance.subjects.indexes import INDEXES

PEER = "PgHero's queries"
STATEMENTS = "of that, its statements alone"
LIMIT_S = 0.5
MAX_PEAK_MB = 120.0
MANY_ROWS = 12_000
FEW_ROWS = 300
"""Three blocks: there is no advice on tables of one."""
A_LARGE_ONE_OF = 25
COMMAND = "maintenance plan, its whole process"


@dataclass(frozen=True, slots=True)
class IndexAdvice:
    """Tables with four indexes each, one of them redundant and one partial."""

    n_tables: int = 2_500
    rounds: int = 7

    def run(self, server: PostgresServer) -> Outcome:
        peaks_mb: list[float] = []
        statements_s: list[float] = []
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as database:
            with session(database.url) as connection:
                _build(connection, self.n_tables)
                settle(connection)
            policy = _policy(Path(folder) / "policy.yaml")
            target = engine_target.Target(policy, {URL_VARIABLE: database.url})
            pipeline.apply(target, only=[INDEXES.name])
            moments = _moments()
            contenders: dict[str, Contender | None] = {
                OURS: lambda url: look_and_advise(
                    policy, url, next(moments), self.n_tables, statements_s
                ),
                PEER: _peer,
                COMMAND: _command(policy, peaks_mb),
            }
            samples = interleave(contenders, self.rounds, lambda: nullcontext(database))
            samples[STATEMENTS] = tuple(statements_s)
        least = median(statements_s)
        n_indexes = 4 * self.n_tables
        judging_us = 1e6 * (median(samples[OURS]) - least) / n_indexes
        reason = (
            f"the server answers for {least:.2f} s of it; Python takes {judging_us:.0f} µs an index"
        )
        return Outcome(
            f"snapshot and advice for {n_indexes:,} indexes",
            "s",
            samples,
            (
                Target(
                    "maintenance after connect, s", median(samples[OURS]), LIMIT_S, least, reason
                ),
                Target("times as long as PgHero's queries", ratio(samples, OURS, PEER), 1.0),
                Target("peak memory of the whole process, MB", max(peaks_mb), MAX_PEAK_MB),
            ),
        )


def look_and_advise(
    policy: Policy, url: str, now: datetime, n_redundant: int, statements_s: list[float]
) -> float:
    """Time the subject's work in a run after connecting, including the recording.

    Args:
        policy: with indexes alone.
        url: of the database.
        now: the moment of the look.
        n_redundant: how many findings it must have.
        statements_s: gets what the statements took of it.
    """
    target = engine_target.Target(policy, {URL_VARIABLE: url})
    with metered() as meter, target.database("benchmark") as connection, target.store() as store:
        context = RunContext(target, now, [INDEXES], EVERYTHING, connection, store)

        def advise() -> None:
            findings = observe_and_plan(context, records=True).plan.findings
            assert sum(f.kind is FindingKind.INDEX_REDUNDANT for f in findings) == n_redundant

        before_s = meter.total.seconds
        took_s = seconds(advise)
        statements_s.append(meter.total.seconds - before_s)
        return took_s


def _peer(url: str) -> float:
    with session(url) as connection:
        return seconds(lambda: pghero.advise(connection))


def _command(policy: Policy, peaks_mb: list[float]) -> Contender:
    def plan(url: str) -> float:
        cost = run_plan(policy, url)
        peaks_mb.append(cost.peak_mb)
        return cost.seconds

    return plan


def _moments() -> Iterator[datetime]:
    """Times far enough apart for each observation to be recorded."""
    first = datetime.now(UTC)
    return (first + timedelta(hours=2 * n) for n in count(1))


def _policy(path: Path) -> Policy:
    database = {"name": "benchmark", "url": {"env": URL_VARIABLE}}
    path.write_text(json.dumps({"database": database, "indexes": {}}))  # JSON is YAML
    return load_policy(path)


def _build(connection: psycopg.Connection[Any], n_tables: int) -> None:
    for number in range(1, n_tables + 1):
        name = f"table_{number:05}"
        n_rows = MANY_ROWS if number % A_LARGE_ONE_OF == 0 else FEW_ROWS
        connection.execute(
            f"""
            CREATE TABLE {name} (id bigint PRIMARY KEY, owner_id bigint, state text,
              created_at timestamptz, deleted boolean, note text);
            INSERT INTO {name} SELECT n, n % 500, 's' || n % 7, now(), n % 9 = 0, 'note'
              FROM generate_series(1, {n_rows}) n;
            CREATE INDEX {name}_owner ON {name} (owner_id);
            CREATE INDEX {name}_owner_created ON {name} (owner_id, created_at) INCLUDE (state);
            CREATE INDEX {name}_open ON {name} (created_at DESC) WHERE NOT deleted;
            ANALYZE {name}
            """.encode()
        )
