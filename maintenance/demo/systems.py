"""The example systems of the demo: their databases, history and rows."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

import psycopg

from maintenance.alerts.store import note_processed, unprocessed_runs
from maintenance.demo.data import Connection, fill_learning_platform, fill_proposals, first_month
from maintenance.demo.postgres import PostgresServer
from maintenance.engine.scope import Request
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError, UsageError
from maintenance.partition_set.expected import current_period
from maintenance.partition_set.expiry import kept_since
from maintenance.periods import Period, periods_between
from maintenance.pipeline import run as pipeline
from maintenance.policy import PartitionPolicy, Policy, load_policy
from maintenance.server.session import to_error
from maintenance.server.sql_library import data_root
from maintenance.subjects.partitions import PARTITIONS

MONTHS = 24
"""Months of rows if the policy has neither start nor retention."""

_FILLS: Mapping[str, Callable[..., int]] = {
    "learning_platform": partial(fill_learning_platform, events=150_000),
    "proposals": partial(fill_proposals, audit_rows=30_000),
}
NAMES = tuple(_FILLS)


@dataclass(frozen=True)
class System:
    """One example system: its policy and its database.

    Attributes:
        policy: its policy.
        url: the superuser's connection URL.
    """

    policy: Policy
    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the database, the policy file and the folder of sql/systems."""
        return self.policy.database.name

    @property
    def environment(self) -> dict[str, str]:
        """The environment variable of the policy with the database's URL."""
        return {self.policy.database.url.label: self.url}

    def prepare(self, now: datetime) -> int:
        """Create missing tables, partitions of past months and rows.

        Each step is one transaction or may be repeated, so that a killed run can be continued.

        Returns:
            The number of rows written; 0 if there were rows already.

        Raises:
            MaintenanceError: a partition could not be created, or the server rejected a statement.
        """
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                _load_schema(connection, data_root() / "sql/systems" / self.name / "schema.sql")
                months = [self._make_past(part, now) for part in self.policy.partitions or ()]
                return _fill(connection, self.name, now, min(months, default=MONTHS))
        except psycopg.Error as exc:
            raise to_error(exc, f"database {self.name}") from exc

    def _make_past(self, section: PartitionPolicy, now: datetime) -> int:
        """Create the partitions up to now, and return the number of their months."""
        past = _past(section, now)
        request = Request(section.table, tuple(period.key for period in past))
        report = pipeline.apply(
            Target(self.policy, self.environment),
            now=now,
            only=[PARTITIONS.name],
            request=request,
        )
        if not report.ok:
            raise MaintenanceError("\n".join(finding.message for finding in report.findings))
        self._take_findings_as_known()
        first = past[0].start
        return (now.year - first.year) * 12 + now.month - first.month + 1

    def _take_findings_as_known(self) -> None:
        """Raise no alert for what the past months lack: the main job follows at once."""
        with Target(self.policy, self.environment).store() as store:
            runs = unprocessed_runs(store, self.name)
            note_processed(store, [run.id for run in runs])


def load(folder: Path) -> list[Policy]:
    """Load the policies of the example systems.

    Raises:
        UsageError: a policy is invalid, or does not use a variable for its database.
    """
    policies = [load_policy(folder / f"{name}.yaml") for name in NAMES]
    for policy in policies:
        if policy.database.url.env is None:
            raise UsageError(
                f"{policy.path}: database.url: found a literal, wanted {{env: VARIABLE}}",
                hint="the demo works only on its own databases",
                reason="literal_url",
            )
    return policies


def create(server: PostgresServer, policy: Policy) -> System:
    """Create a system's database if it is missing; `prepare` fills it."""
    server.create_database(policy.database.name)
    return System(policy, server.url(policy.database.name))


def count_statements(systems: Iterable[System]) -> None:
    """Create pg_stat_statements in the databases; the server must have loaded it."""
    for system in systems:
        with psycopg.connect(system.url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")


def environment(systems: Iterable[System]) -> dict[str, str]:
    """Return the environment variables of the policies and databases."""
    variables: dict[str, str] = {}
    paths: list[str] = []
    for system in systems:
        variables |= system.environment
        paths.append(str(system.policy.path))
    return variables | {"MAINTENANCE_POLICIES": os.pathsep.join(paths)}


def _past(section: PartitionPolicy, now: datetime) -> list[Period]:
    floor = kept_since(section, now)
    first = max(filter(None, (section.start, floor)), default=first_month(now, MONTHS))
    return list(periods_between(first, current_period(section, now)))


def _load_schema(connection: Connection, schema: Path) -> None:
    loaded = "SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'public' LIMIT 1"
    if connection.execute(loaded).fetchone() is None:
        connection.execute(schema.read_bytes())  # several statements sent as one: all or none


def _fill(connection: Connection, name: str, now: datetime, months: int) -> int:
    n_rows = _FILLS[name](connection, now=now, months=months)
    if n_rows:
        # Shows row counts at once, and sizes without the pages that COPY preallocated.
        connection.execute("VACUUM (ANALYZE)")
    return n_rows
