"""Twenty declared indexes: duration against the bare statements, and stalls of writers."""

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.outcomes import OURS, Outcome, Target, ratio
from benchmarks.servers import Database, fresh_database, session
from benchmarks.tables import URL_VARIABLE, settle
from benchmarks.timing import Contender, interleave, seconds
from benchmarks.writers import IDLE, Work, Writers
from maintenance.demo.postgres import PostgresServer
from maintenance.engine import target as engine_target
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy, load_policy
from maintenance.subjects.indexes import INDEXES

BARE = "the bare statements"
TABLE = "public.readings"
MOST_TIMES = 1.1
LIMIT_MS = 20.0


@dataclass(frozen=True, slots=True)
class IndexRollout:
    """The duration of the whole rollout: observation, builds, and the second observation."""

    n_rows: int = 500_000
    n_indexes: int = 20
    rounds: int = 3

    def run(self, server: PostgresServer) -> Outcome:
        with _prepared(server, self.n_rows, self.n_indexes) as (template, policy):
            contenders: dict[str, Contender | None] = {
                OURS: lambda url: seconds(partial(_roll_out, policy, self.n_indexes, url)),
                BARE: lambda url: seconds(partial(_build_bare, self.n_indexes, url)),
            }
            samples = interleave(contenders, self.rounds, template.clone)
        return Outcome(
            f"{self.n_indexes} indexes built on {self.n_rows:,} rows",
            "s",
            samples,
            (Target("times as long as the statements", ratio(samples, OURS, BARE), MOST_TIMES),),
        )


@dataclass(frozen=True, slots=True)
class IndexRolloutStall:
    """The slowest insert into the table meanwhile."""

    n_rows: int = 200_000
    n_indexes: int = 20
    n_writers: int = 2
    rounds: int = 3

    def run(self, server: PostgresServer) -> Outcome:
        with _prepared(server, self.n_rows, self.n_indexes) as (template, policy):
            works: dict[str, Work] = {
                IDLE: lambda _url: None,
                OURS: partial(_roll_out, policy, self.n_indexes),
                BARE: partial(_build_bare, self.n_indexes),
            }
            writers = Writers(server, TABLE, self.n_writers)
            contenders: dict[str, Contender | None] = {
                name: writers.beside(name, work) for name, work in works.items()
            }
            samples = interleave(contenders, self.rounds, template.clone)
        return Outcome(
            f"slowest insert of {self.n_writers} writers beside {self.n_indexes} builds",
            "ms",
            samples,
            (writers.stall("worst insert beside maintenance, ms", samples, LIMIT_MS),),
        )


@contextmanager
def _prepared(
    server: PostgresServer, n_rows: int, n_indexes: int
) -> Generator[tuple[Database, Policy]]:
    """Create the table and the store, and declare the indexes."""
    with tempfile.TemporaryDirectory() as name, fresh_database(server) as template:
        folder = Path(name)
        with session(template.url) as connection:
            _build_table(connection, n_rows, n_indexes)
            settle(connection)
        first = _policy(folder / "first.yaml", {})
        pipeline.apply(engine_target.Target(first, {URL_VARIABLE: template.url}))
        statements = _statements(n_indexes, "CREATE INDEX")
        (folder / "indexes.sql").write_text(";\n".join(statements) + ";\n")
        section = {"declared": "indexes.sql", "preflight": {"free_disk": "100 MB"}}
        yield template, _policy(folder / "policy.yaml", section)


def _policy(path: Path, indexes: dict[str, Any]) -> Policy:
    database = {"name": "benchmark", "url": {"env": URL_VARIABLE}}
    path.write_text(json.dumps({"database": database, "indexes": indexes}))  # JSON is YAML
    return load_policy(path)


def _statements(n_indexes: int, how: str) -> list[str]:
    return [
        f"{how} readings_c{number} ON {TABLE} (c{number}, at)" for number in range(1, n_indexes + 1)
    ]


def _build_table(connection: psycopg.Connection[Any], n_rows: int, n_columns: int) -> None:
    columns = [f"c{number} int DEFAULT {number}" for number in range(1, n_columns + 1)]
    connection.execute(
        f"CREATE TABLE {TABLE} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int,"
        " kind text, payload jsonb, at timestamptz NOT NULL DEFAULT now(),"
        f" {', '.join(columns)})".encode()
    )
    names = ", ".join(f"c{number}" for number in range(1, n_columns + 1))
    values = ", ".join(
        f"(n::bigint * {number} % 100003)::int" for number in range(1, n_columns + 1)
    )
    connection.execute(
        f"INSERT INTO {TABLE} (user_id, kind, payload, {names})"
        f" SELECT n, 'base', '[1]', {values} FROM generate_series(1, {n_rows}) AS n".encode()
    )
    connection.execute(f"VACUUM ANALYZE {TABLE}".encode())


def _roll_out(policy: Policy, n_indexes: int, url: str) -> None:
    target = engine_target.Target(policy, {URL_VARIABLE: url})
    report = pipeline.apply(target, only=[INDEXES.name])
    assert report.ok, [result.error for result in report.results]
    _check(n_indexes, url)


def _build_bare(n_indexes: int, url: str) -> None:
    with session(url) as connection:
        for statement in _statements(n_indexes, "CREATE INDEX CONCURRENTLY"):
            connection.execute(statement.encode())
    _check(n_indexes, url)


def _check(n_indexes: int, url: str) -> None:
    question = (
        f"SELECT count(*) FROM pg_index WHERE indrelid = '{TABLE}'::regclass AND indisvalid"
        " AND NOT indisprimary"
    )
    with session(url) as connection:
        found = connection.execute(question.encode()).fetchone()
    assert found == (n_indexes,), found
