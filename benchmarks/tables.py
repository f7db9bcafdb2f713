"""Partitioned tables that both contenders can maintain, and their policy."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from benchmarks.servers import session
from benchmarks.timing import seconds
from maintenance.engine import target as engine_target
from maintenance.periods import Interval, Period, period_at, periods_between
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy, load_policy

URL_VARIABLE = "BENCHMARK_URL"
AROUND = "of that, its statements before and after the work"
UTC_ZONE = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Shape:
    """A number of equal tables, each with monthly partitions around the current month.

    Attributes:
        n_tables: number of tables.
        behind: number of partitions before the current month.
        ahead: number of partitions after it.
    """

    n_tables: int
    behind: int
    ahead: int

    @property
    def tables(self) -> Sequence[str]:
        return [f"public.events_{number:04}" for number in range(1, self.n_tables + 1)]

    @property
    def n_partitions(self) -> int:
        return self.n_tables * (self.behind + 1 + self.ahead)

    def months(self, now: datetime) -> Iterator[Period]:
        current = period_at(now, Interval.MONTH, UTC_ZONE)
        return periods_between(current.shift(-self.behind), current.shift(self.ahead))


def build(connection: psycopg.Connection[Any], shape: Shape) -> None:
    """Create the tables, each with a row of this month: pg_partman counts from the data."""
    connection.execute("SET TimeZone = 'UTC'")
    months = list(shape.months(datetime.now(UTC)))
    for table in shape.tables:
        connection.execute("\n".join(_script(table, months)).encode())


def settle(connection: psycopg.Connection[Any]) -> None:
    """Vacuum the catalog now, so that autovacuum does not do it during the measurement."""
    catalogs = "pg_class, pg_inherits, pg_attribute, pg_index, pg_constraint, pg_depend, pg_type"
    connection.execute(f"VACUUM ANALYZE {catalogs}".encode())


def n_partitions(url: str) -> int:
    """Count the partitions of a database's tables, without those of the store."""
    with session(url) as connection:
        counted = (
            "SELECT count(*) FROM pg_catalog.pg_class WHERE relispartition AND relkind = 'r'"
            " AND relnamespace IS DISTINCT FROM pg_catalog.to_regnamespace('maintenance')"
        )
        row = connection.execute(counted).fetchone()
    assert row is not None, "count(*) returns a row"
    return int(row[0])


def write_policy(
    path: Path,
    tables: Sequence[str],
    premake: int,
    nightly: str = "0 2 * * *",
    retention: Mapping[str, Any] | None = None,
) -> Policy:
    """Write and load a policy with this premake; without retention nothing is dropped."""
    kept = {"retention": dict(retention)} if retention else {}
    sections = [
        # pg_partman's names, so that both can maintain the same partitions
        {"table": table, "column": "at", "premake": premake, "name": "{table}_p{yyyy}_{mm}"} | kept
        for table in tables
    ]
    content = {
        "database": {"name": "benchmark", "url": {"env": URL_VARIABLE}},
        "partitions": sections,
        "schedules": {"nightly": nightly},
        # the peers do not look at the database's health
        **dict.fromkeys(("indexes", "bloat", "workload", "capacity"), "off"),
    }
    path.write_text(json.dumps(content))  # JSON is YAML
    return load_policy(path)


def create_store(url: str) -> None:
    """Let the database have our store, as it has the extension of a peer."""
    with tempfile.TemporaryDirectory() as folder:
        nothing = write_policy(Path(folder) / "policy.yaml", (), 0)
        pipeline.apply(engine_target.Target(nothing, {URL_VARIABLE: url}))


def time_run(policy: Policy, around_s: list[float], url: str) -> float:
    """Time what the nightly job runs, in seconds.

    Args:
        policy: of the database.
        around_s: gets what the statements took that are not part of the work itself: to look at
            the database before and afterwards, and to keep the store.
        url: of the database.
    """
    reports: list[pipeline.Report] = []
    target = engine_target.Target(policy, {URL_VARIABLE: url})
    took_s = seconds(lambda: reports.append(pipeline.apply(target)))
    (report,) = reports
    assert report.ok, report.findings
    costs = (cost for purpose, cost in report.costs.items() if purpose != "actions")
    around_s.append(sum(cost.seconds for cost in costs))
    return took_s


def _script(table: str, months: Sequence[Period]) -> Iterator[str]:
    yield f"""
        CREATE TABLE {table} (
          id bigint GENERATED ALWAYS AS IDENTITY,
          at timestamptz NOT NULL DEFAULT now(),
          user_id bigint NOT NULL,
          kind text NOT NULL,
          payload jsonb,
          PRIMARY KEY (id, at)
        ) PARTITION BY RANGE (at);
        CREATE INDEX ON {table} (user_id, at);"""
    for month in months:
        yield (
            f"CREATE TABLE {table}_p{month.start:%Y_%m} PARTITION OF {table}"
            f" FOR VALUES FROM ('{month.start}') TO ('{month.end}');"
        )
    yield f"INSERT INTO {table} (user_id, kind) VALUES (1, 'first');"
