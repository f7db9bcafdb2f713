"""A plain table becomes a partitioned one: duration beside copies, and stalls of its writers."""

import json
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.outcomes import OURS, Outcome, Target, ratio
from benchmarks.servers import Database, fresh_database, session
from benchmarks.tables import URL_VARIABLE, UTC_ZONE, settle
from benchmarks.timing import Contender, interleave, seconds
from benchmarks.writers import Work, slowest_insert_ms
from maintenance.demo.postgres import PostgresServer
from maintenance.engine import target as engine_target
from maintenance.periods import Interval, Period, period_at, periods_between
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy, load_policy
from maintenance.subjects.capacity import CAPACITY
from maintenance.subjects.conversion import CONVERSION

TABLE = "public.events"
IDLE = "no other work"
BARE = "the index build and the validation"
PGSLICE = "pgslice's procedure"
COPY = "a plain copy"
MOST_TIMES = 1.2
LIMIT_MS = 50.0
MONTHS = 24
BATCH_ROWS = 10_000
"""pgslice's own."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The duration from the first observation to the last, without other work on the table."""

    n_rows: int = 2_000_000
    rounds: int = 3

    def run(self, server: PostgresServer) -> Outcome:
        with _prepared(server, self.n_rows) as (template, policy):
            contenders: dict[str, Contender | None] = {
                name: partial(_seconds, work) for name, work in _works(policy).items()
            }
            samples = interleave(contenders, self.rounds, template.clone)
        return Outcome(
            f"{self.n_rows:,} rows in a plain table become partitions",
            "s",
            samples,
            (Target(f"times as long as {BARE}", ratio(samples, OURS, BARE), MOST_TIMES),),
        )


@dataclass(frozen=True, slots=True)
class ConversionStall:
    """The slowest statement of writers that insert, update and delete by key, beside a read.

    A statement that fails ends the benchmark.
    """

    n_rows: int = 2_000_000
    n_writers: int = 4
    read_s: int = 10
    rounds: int = 3

    def run(self, server: PostgresServer) -> Outcome:
        with _prepared(server, self.n_rows) as (template, policy):
            works: dict[str, Work] = {IDLE: lambda _url: None, **_works(policy)}
            contenders: dict[str, Contender | None] = {
                name: partial(self._worst_ms, server, work) for name, work in works.items()
            }
            samples = interleave(contenders, self.rounds, template.clone)
        return Outcome(
            f"slowest statement of {self.n_writers} writers while {self.n_rows:,} rows become"
            f" partitions, beside a {self.read_s} s read",
            "ms",
            samples,
            (Target("worst statement beside maintenance, ms", max(samples[OURS]), LIMIT_MS),),
        )

    def _worst_ms(self, server: PostgresServer, work: Work, url: str) -> float:
        return slowest_insert_ms(
            server,
            TABLE,
            work,
            url,
            n_writers=self.n_writers,
            read_s=self.read_s,
            script=_writes(self.n_rows),
        )


def _works(policy: Policy) -> dict[str, Work]:
    return {
        OURS: partial(_convert, policy),
        BARE: _build_and_validate,
        PGSLICE: _slice,
        COPY: _copy,
    }


def _seconds(work: Work, url: str) -> float:
    return seconds(partial(work, url))


def _writes(n_rows: int) -> str:
    """Return pgbench's script: two inserts, an update and a delete by key a transaction each."""
    return f"""
        \\set n random(1, {n_rows})
        INSERT INTO {TABLE} (user_id, kind, payload) VALUES (:n, 'w', '[1]');
        UPDATE {TABLE} SET payload = '[2]' WHERE id = :n;
        INSERT INTO {TABLE} (user_id, kind, payload) VALUES (:n, 'x', '[3]');
        DELETE FROM {TABLE} WHERE id = :n + 1;
        """


@contextmanager
def _prepared(server: PostgresServer, n_rows: int) -> Generator[tuple[Database, Policy]]:
    """Create the table with its rows, and the store."""
    with tempfile.TemporaryDirectory() as name, fresh_database(server) as template:
        policy = _policy(Path(name) / "policy.yaml")
        with session(template.url) as connection:
            _build_table(connection, n_rows)
        # makes the store; observes no table, so that it converts nothing
        pipeline.apply(
            engine_target.Target(policy, {URL_VARIABLE: template.url}), only=[CAPACITY.name]
        )
        with session(template.url) as connection:
            settle(connection)
        yield template, policy


def _policy(path: Path) -> Policy:
    section = {
        "table": TABLE,
        "column": "at",
        "convert": "online",
        "convert_when": {"larger_than": "0 B"},
    }
    database = {"name": "benchmark", "url": {"env": URL_VARIABLE}}
    path.write_text(json.dumps({"database": database, "partitions": [section]}))  # JSON is YAML
    return load_policy(path)


def _build_table(connection: psycopg.Connection[Any], n_rows: int) -> None:
    first, last = _months()[0].start, datetime.now(UTC)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        f"""
        CREATE TABLE {TABLE} (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
          at timestamptz NOT NULL DEFAULT now(),
          user_id bigint NOT NULL,
          kind text NOT NULL,
          payload jsonb
        )""".encode()
    )
    connection.execute(
        f"""
        INSERT INTO {TABLE} (at, user_id, kind, payload)
        SELECT
          '{first}'::timestamptz + ('{last}'::timestamptz - '{first}') * (n::float8 / {n_rows}),
          n % 10007, 'base', jsonb_build_object('page', n % 997, 'seconds', n % 61)
        FROM generate_series(1, {n_rows}) AS n""".encode()
    )
    connection.execute(f"CREATE INDEX ON {TABLE} (at)".encode())
    connection.execute(f"CREATE INDEX ON {TABLE} (user_id, at)".encode())
    connection.execute(f"VACUUM ANALYZE {TABLE}".encode())


def _convert(policy: Policy, url: str) -> None:
    target = engine_target.Target(policy, {URL_VARIABLE: url})
    report = pipeline.apply(target, only=[CONVERSION.name])
    assert report.ok, [result.error for result in report.results]
    _check(url)


def _build_and_validate(url: str) -> None:
    """Run the two statements of a conversion that read every row."""
    with session(url) as connection:
        connection.execute(
            f"CREATE UNIQUE INDEX CONCURRENTLY events_key ON {TABLE} (id, at)".encode()
        )
        until = _months()[-1].shift(2).start
        bound = f"CHECK (at < '{until} UTC') NOT VALID"
        connection.execute(f"ALTER TABLE {TABLE} ADD CONSTRAINT until {bound}".encode())
        connection.execute(f"ALTER TABLE {TABLE} VALIDATE CONSTRAINT until".encode())


def _slice(url: str) -> None:
    """Follow pgslice: an empty partitioned table, filled by id, renamed, and filled again.

    What writers update or delete behind its place is lost, as there.
    """
    with session(url) as connection:
        for statement in _intermediate("INCLUDING ALL EXCLUDING INDEXES"):
            connection.execute(statement.encode())
        done = _fill(connection, TABLE, f"{TABLE}_intermediate", 0)
        connection.execute(f"ANALYZE {TABLE}_intermediate".encode())
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '5s'")
            connection.execute(f"ALTER TABLE {TABLE} RENAME TO events_retired".encode())
            connection.execute(f"ALTER TABLE {TABLE}_intermediate RENAME TO events".encode())
        _fill(connection, f"{TABLE}_retired", TABLE, done)
    _check(url)


def _copy(url: str) -> None:
    """Copy all rows in one statement, with writers kept away."""
    with session(url) as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {TABLE} IN SHARE MODE".encode())
        for statement in _intermediate("INCLUDING ALL EXCLUDING INDEXES"):
            connection.execute(statement.encode())
        into = f"INSERT INTO {TABLE}_intermediate OVERRIDING SYSTEM VALUE"
        connection.execute(f"{into} SELECT * FROM {TABLE}".encode())
        connection.execute(f"ALTER TABLE {TABLE} RENAME TO events_retired".encode())
        connection.execute(f"ALTER TABLE {TABLE}_intermediate RENAME TO events".encode())
    _check(url)


def _intermediate(like: str) -> Iterator[str]:
    """Yield the statements that create the partitioned table with its months and indexes."""
    yield f"CREATE TABLE {TABLE}_intermediate (LIKE {TABLE} {like}) PARTITION BY RANGE (at)"
    yield f"ALTER TABLE {TABLE}_intermediate ADD PRIMARY KEY (id, at)"
    yield f"CREATE INDEX ON {TABLE}_intermediate (at)"
    yield f"CREATE INDEX ON {TABLE}_intermediate (user_id, at)"
    for month in [*_months(), *(_months()[-1].shift(ahead) for ahead in (1, 2, 3))]:
        lower, upper = (f"{moment:%Y-%m-%d %H:%M:%S%z}" for moment in month.bounds(UTC_ZONE))
        yield (
            f"CREATE TABLE {TABLE}_{month.start:%Y%m} PARTITION OF {TABLE}_intermediate"
            f" FOR VALUES FROM ('{lower}') TO ('{upper}')"
        )


def _fill(connection: psycopg.Connection[Any], source: str, target: str, done: int) -> int:
    """Copy rows behind an id in batches; return the last id copied."""
    while True:
        row = connection.execute(
            f"""
            WITH batch AS (
              SELECT * FROM {source} WHERE id > {done} ORDER BY id LIMIT {BATCH_ROWS}
            ), copied AS (
              INSERT INTO {target} OVERRIDING SYSTEM VALUE SELECT * FROM batch
              ON CONFLICT DO NOTHING
            )
            SELECT max(id) FROM batch""".encode()
        ).fetchone()
        if row is None or row[0] is None:
            return done
        done = row[0]


def _months() -> list[Period]:
    current = period_at(datetime.now(UTC), Interval.MONTH, UTC_ZONE)
    return list(periods_between(current.shift(1 - MONTHS), current))


def _check(url: str) -> None:
    question = f"SELECT relkind::text FROM pg_class WHERE oid = '{TABLE}'::regclass"
    with session(url) as connection:
        found = connection.execute(question.encode()).fetchone()
    assert found == ("p",), found
