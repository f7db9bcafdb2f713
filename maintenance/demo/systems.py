"""The example systems of the demo: their databases, history and rows."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg

from maintenance.alerts.store import note_processed, unprocessed_runs
from maintenance.demo.data import Connection, first_month
from maintenance.demo.jobs import ROLLED_OUT
from maintenance.demo.postgres import PostgresServer
from maintenance.demo.scales import MONTHS, SYSTEMS, fill, is_filled
from maintenance.engine.scope import Request
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError, UsageError
from maintenance.partition_set.expected import current_period
from maintenance.partition_set.expiry import kept_since
from maintenance.periods import Period, periods_between
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.notify import notify
from maintenance.policy import PartitionPolicy, Policy, load_policy
from maintenance.server.session import to_error
from maintenance.server.sql_library import data_root
from maintenance.subjects.partitions import PARTITIONS

NAMES = SYSTEMS

EXPIRED = timedelta(days=62)
"""The age, beyond retention, of the oldest rows: some months are there to be archived."""

WAVES_APART = timedelta(days=7)

_ADAPTED = {
    "learning_platform": (("  replicas:", "  # The demo has no replica.\n  # replicas:"),),
    "nova": (("larger_than: 10 GB", "larger_than: 10 MB"),),
    "proposals": (
        ("three years at hand", "two years at hand"),
        ("keep: 36", "keep: 24"),
        ("    start: 2024-01\n", ""),
    ),
}
"""What differs in the demo's copy of a policy: there is one server, and the rows are fewer and not
older than two years and some months."""


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

    def prepare(self, now: datetime) -> bool:
        """Create missing tables, partitions of past months and rows.

        Each step is one transaction or may be repeated, so that a killed run can be continued.

        Returns:
            Whether rows were written; not if there were some already.

        Raises:
            MaintenanceError: a partition could not be created, or the server rejected a statement.
        """
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                _load_schema(connection, data_root() / "sql/systems" / self.name / "schema.sql")
                if is_filled(connection, self.name):
                    return False  # and months that were retired since then do not come back
                months = [self._make_past(part, now) for part in self._partitioned()]
                wanted = {"months": min(months)} if months else {}
                return fill(connection, self.name, "demo", now=now, **wanted)
        except psycopg.Error as exc:
            raise to_error(exc, f"database {self.name}") from exc

    def alert(self, environ: Mapping[str, str]) -> None:
        """Raise alerts for what the main job has found, without waiting for the sensor.

        Args:
            environ: the variables that the policy names.

        Raises:
            MaintenanceError: the store could not be used.
        """
        notify(Target(self.policy, environ))

    def _partitioned(self) -> Iterator[PartitionPolicy]:
        """Yield the sections of tables that are partitioned from the beginning."""
        return (each for each in self.policy.partitions or () if each.convert == "never")

    def _make_past(self, section: PartitionPolicy, now: datetime) -> int:
        """Create the partitions up to now, and return the number of their months.

        If they expire, some are older than the policy keeps them.
        """
        before = now - EXPIRED if section.retention else now
        first = _past(section, before)[0].start
        for moment in dict.fromkeys((before, now)):
            request = Request(section.table, tuple(period.key for period in _past(section, moment)))
            report = pipeline.apply(
                Target(self.policy, self.environment),
                now=moment,
                only=[PARTITIONS.name],
                request=request,
            )
            if not report.ok:
                raise MaintenanceError("\n".join(finding.message for finding in report.findings))
        self._take_findings_as_known()
        return (now.year - first.year) * 12 + now.month - first.month + 1

    def _take_findings_as_known(self) -> None:
        """Raise no alert for what the past months lack: the main job follows at once."""
        with Target(self.policy, self.environment).store() as store:
            runs = unprocessed_runs(store, self.name)
            note_processed(store, [run.id for run in runs])


def chosen(names: Sequence[str]) -> Sequence[str]:
    """Return the example systems to show: all, if none is named.

    Raises:
        UsageError: there is no such system.
    """
    for name in names:
        if name not in NAMES:
            raise UsageError(
                f"--system {name}: no such example system, wanted one of {', '.join(NAMES)}"
            )
    return [name for name in NAMES if name in names] or NAMES


def load(data: Path, names: Iterable[str] = NAMES) -> list[Policy]:
    """Load the policies of example systems, copied into the demo's folder to try changes there.

    A copy that is there already stays as it is.

    Raises:
        UsageError: a policy is invalid, or does not use a variable for its database.
    """
    folder = data / "policies"
    folder.mkdir(exist_ok=True)
    _link(data / "sql", data_root() / "sql")
    policies = [load_policy(_copied(name, folder)) for name in names]
    for policy in policies:
        if policy.database.url.env is None:
            raise UsageError(
                f"{policy.path}: database.url: found a literal, wanted {{env: VARIABLE}}",
                hint="the demo works only on its own databases",
                reason="literal_url",
            )
    return policies


def _copied(name: str, folder: Path) -> Path:
    copy = folder / f"{name}.yaml"
    if not copy.exists():
        text = (data_root() / "policies" / copy.name).read_text()
        for written, wanted in _ADAPTED.get(name, ()):
            text = text.replace(written, wanted)
        copy.write_text(_with_waves(text, name, datetime.now(UTC).date()))
    return copy


def _with_waves(text: str, name: str, today: date) -> str:
    """Return a policy in which the waves of its indexes begin one a week, but for those built.

    Until then what is missing of them is no warning, and any of them can be chosen.
    """
    declarations = (data_root() / "sql/systems" / name / "indexes.sql").read_text()
    numbers = sorted(set(map(int, re.findall(r"(?m)^-- wave: (\d+)", declarations))))
    built = ROLLED_OUT.get(name, [])
    left = enumerate((number for number in numbers if number not in built), start=1)
    days = ", ".join(f"{number}: {today + n * WAVES_APART}" for n, number in left)
    return re.sub(r"(?m)^  declared: .*$", rf"\g<0>\n  waves: {{{days}}}", text)


def _link(link: Path, target: Path) -> None:
    """Let a link lead to a folder that may have moved since the last start."""
    if link.is_symlink() and link.readlink() == target:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(target)


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
    first = max(filter(None, (section.start, floor)), default=first_month(now, MONTHS["demo"]))
    return list(periods_between(first, current_period(section, now)))


def _load_schema(connection: Connection, schema: Path) -> None:
    loaded = "SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'public' LIMIT 1"
    if connection.execute(loaded).fetchone() is None:
        connection.execute(schema.read_bytes())  # several statements sent as one: all or none
