"""Sixty declared indexes over a thousand tables: compared with the catalog, tried and planned."""

import json
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from benchmarks.outcomes import OURS, Outcome, Target
from benchmarks.servers import fresh_database, session
from benchmarks.tables import URL_VARIABLE, settle
from benchmarks.timing import Contender, interleave, seconds
from maintenance.demo.postgres import PostgresServer
from maintenance.engine import target as engine_target
from maintenance.engine.scope import EVERYTHING
from maintenance.pipeline.context import RunContext
from maintenance.pipeline.observe import observe_and_plan
from maintenance.policy import Policy, load_policy
from maintenance.subjects.indexes import INDEXES

LIMIT_S = 0.5
BARE = "the same indexes on empty copies, by hand"
_SHAPES = (
    "(owner_id, created_at DESC)",
    "(created_at DESC) WHERE state IN ('s1', 's2')",
    "(lower(note), id)",
)


@dataclass(frozen=True, slots=True)
class DeclaredIndexes:
    """Indexes that are all missing, so that each one is tried and its rows are read."""

    n_tables: int = 1_000
    n_declared: int = 60
    rounds: int = 7

    def run(self, server: PostgresServer) -> Outcome:
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as database:
            with session(database.url) as connection:
                _build(connection, self.n_tables)
                settle(connection)
            policy = _policy(Path(folder), self.n_declared)
            contenders: dict[str, Contender | None] = {
                OURS: lambda url: _look(policy, url, self.n_declared),
                BARE: lambda url: _bare(url, self.n_declared),
            }
            samples = interleave(contenders, self.rounds, lambda: nullcontext(database))
        return Outcome(
            f"preflight of {self.n_declared} declared indexes over {self.n_tables:,} tables",
            "s",
            samples,
            (Target("maintenance after connect, s", median(samples[OURS]), LIMIT_S),),
        )


def _look(policy: Policy, url: str, n_declared: int) -> float:
    target = engine_target.Target(policy, {URL_VARIABLE: url})
    with target.database("benchmark") as connection:
        context = RunContext(target, datetime.now(UTC), [INDEXES], EVERYTHING, connection, None)

        def look() -> None:
            assert len(observe_and_plan(context).plan.actions) == n_declared

        return seconds(look)


def _bare(url: str, n_declared: int) -> float:
    with session(url) as connection:

        def build() -> None:
            connection.execute("BEGIN")
            for number in range(n_declared):
                table, keys = f"table_{number:05}", _SHAPES[number % len(_SHAPES)]
                connection.execute(f"CREATE TEMP TABLE {table} (LIKE public.{table})".encode())
                connection.execute(f"CREATE INDEX ON pg_temp.{table} {keys}".encode())
            connection.execute("ROLLBACK")

        return seconds(build)


def _policy(folder: Path, n_declared: int) -> Policy:
    statements = (
        f"CREATE INDEX declared_{number:05} ON table_{number:05} {_SHAPES[number % len(_SHAPES)]};"
        for number in range(n_declared)
    )
    (folder / "indexes.sql").write_text("\n".join(statements))
    database = {"name": "benchmark", "url": {"env": URL_VARIABLE}}
    path = folder / "policy.yaml"
    # JSON is YAML
    path.write_text(json.dumps({"database": database, "indexes": {"declared": "indexes.sql"}}))
    return load_policy(path)


def _build(connection: psycopg.Connection[Any], n_tables: int) -> None:
    for number in range(n_tables):
        name = f"table_{number:05}"
        connection.execute(
            f"""
            CREATE TABLE {name} (id bigint PRIMARY KEY, owner_id bigint, state text,
              created_at timestamptz, deleted boolean, note text);
            INSERT INTO {name} SELECT n, n % 500, 's' || n % 7, now(), n % 9 = 0, 'note'
              FROM generate_series(1, 300) n;
            CREATE INDEX {name}_state ON {name} (state);
            ANALYZE {name}
            """.encode()
        )
