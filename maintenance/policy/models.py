"""The model of a policy file: all settings of one database."""

import hashlib
import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator

from maintenance.errors import ProblemReason
from maintenance.policy.alerts import AlertsPolicy, RedisStreamSink
from maintenance.policy.base import Fault, Section, Switched, raise_faults, refused
from maintenance.policy.database import (
    BackupPolicy,
    DagsterPolicy,
    DatabasePolicy,
    LocksPolicy,
    ObservePolicy,
    RedisPolicy,
    SchedulesPolicy,
    StorePolicy,
)
from maintenance.policy.declarations import meaning
from maintenance.policy.matviews import MatviewPolicy, StaleAnalyticsPolicy
from maintenance.policy.partitions import PartitionPolicy, collisions
from maintenance.policy.placement import STANDALONE, Placement
from maintenance.policy.thresholds import (
    BloatPolicy,
    CapacityPolicy,
    IndexesPolicy,
    ParallelPolicy,
    StatisticsPolicy,
    WorkloadPolicy,
)
from maintenance.policy.values import SettingValue


class Policy(Section):
    """The policy of one database.

    A subject that changes the database acts only if its section exists: `statistics` is None
    without it, lists are empty. Subjects that only look, `indexes`, `bloat`, `workload` and
    `capacity`, report without a section; None means that they are switched off.
    """

    extends: Annotated[str | None, Field(exclude=True)] = None
    """A file in the same folder whose settings apply where this file has none."""
    database: DatabasePolicy
    """The maintained database."""
    store: StorePolicy = StorePolicy()
    """The store: history of runs, findings and alerts."""
    dagster: Annotated[DagsterPolicy | None, Switched] = DagsterPolicy()
    """How long Dagster keeps what it recorded of the jobs; or off."""
    backup: BackupPolicy | None = None
    """What shows that there is a recent backup, before a rollout and a retention."""
    redis: RedisPolicy | None = None
    """The application's Redis cache."""
    locks: LocksPolicy = LocksPolicy()
    """Limits of lock waits."""
    partitions: Annotated[tuple[PartitionPolicy, ...], Field(strict=False)] = ()
    """Partitioned tables."""
    matviews: Annotated[tuple[MatviewPolicy, ...], Field(strict=False)] = ()
    """Materialized views."""
    stale_analytics: Annotated[tuple[StaleAnalyticsPolicy, ...], Field(strict=False)] = ()
    """Tables with computed rows."""
    statistics: StatisticsPolicy | None = None
    """Thresholds of ANALYZE and VACUUM."""
    parallel: ParallelPolicy = ParallelPolicy()
    """Number of parallel connections."""
    indexes: Annotated[IndexesPolicy | None, Switched] = IndexesPolicy()
    """Wanted indexes, and advice on existing ones; or off."""
    bloat: Annotated[BloatPolicy | None, Switched] = BloatPolicy()
    """Thresholds of bloat, and rebuilds; or off."""
    workload: Annotated[WorkloadPolicy | None, Switched] = WorkloadPolicy()
    """Thresholds of the workload; or off."""
    capacity: Annotated[CapacityPolicy | None, Switched] = CapacityPolicy()
    """Limits that end writes when they are reached; or off."""
    settings: Annotated[dict[str, SettingValue], Field(strict=False)] = Field(default_factory=dict)
    """Settings of the server that new sessions of the database must have, by name."""
    schedules: SchedulesPolicy = SchedulesPolicy()
    """Cron schedules of the jobs, in UTC."""
    observe: ObservePolicy = ObservePolicy()
    """Limits of observations."""
    alerts: AlertsPolicy = AlertsPolicy()
    """Alert settings."""

    _path: Path = PrivateAttr(default=Path())
    _hash: str = PrivateAttr(default="")
    _placement: Placement = PrivateAttr(default=STANDALONE)

    @property
    def path(self) -> Path:
        """The file, as given."""
        return self._path

    @property
    def hash(self) -> str:
        """SHA-256 of the policy's meaning, in hex.

        Independent of spelling, order and location of the file. A URL counts by its label; the
        value of an environment variable does not count.
        """
        return self._hash

    @property
    def placement(self) -> Placement:
        """What its definitions are called in Dagster; not part of the file."""
        return self._placement

    def placed(self, placement: Placement) -> Self:
        """Return the same policy, for another Dagster project."""
        copy = self.model_copy()
        copy._placement = placement  # noqa: SLF001 (of this class)
        return copy

    @property
    def sections(self) -> frozenset[str]:
        """The sections present in the file, including empty ones."""
        return frozenset(self.model_fields_set)

    def model_post_init(self, context: Any) -> None:
        """Take the file name from the loader, and compute the hash."""
        loading: dict[str, Any] = context or {}
        self._path = loading.get("path", Path())
        # Paths count as written, so that the hash is the same on every machine.
        self._hash = _digest(self, loading.get("written", {}))

    @field_validator("partitions", mode="after")
    @classmethod
    def _check_partitions(cls, tables: tuple[PartitionPolicy, ...]) -> tuple[PartitionPolicy, ...]:
        repeated = _repeated("partitions", "table", [each.table for each in tables])
        raise_faults("partitions", [*repeated, *collisions(tables)])
        return tables

    @field_validator("matviews", mode="after")
    @classmethod
    def _check_matviews(cls, views: tuple[MatviewPolicy, ...]) -> tuple[MatviewPolicy, ...]:
        raise_faults("matviews", _repeated("matviews", "name", [each.name for each in views]))
        return views

    @field_validator("stale_analytics", mode="after")
    @classmethod
    def _check_stale_analytics(
        cls, tables: tuple[StaleAnalyticsPolicy, ...]
    ) -> tuple[StaleAnalyticsPolicy, ...]:
        repeated = _repeated("stale_analytics", "table", [each.table for each in tables])
        raise_faults("stale_analytics", repeated)
        return tables

    @field_validator("settings", mode="after")
    @classmethod
    def _check_settings(cls, wanted: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if wanted and info.data.get("capacity", ...) is None:
            raise refused(
                "no settings here, or capacity not off",
                "the subject capacity compares them",
                reason=ProblemReason.CONFLICT,
            )
        return wanted

    @field_validator("alerts", mode="after")
    @classmethod
    def _check_streams(cls, alerts: AlertsPolicy, info: ValidationInfo) -> AlertsPolicy:
        if info.data.get("redis", ...) is None:
            raise_faults("alerts", _unreachable_streams(alerts))
        return alerts


def _repeated(section: str, key: str, names: Sequence[Hashable]) -> list[Fault]:
    first = {name: index for index, name in reversed(list(enumerate(names)))}
    return [
        (
            (index, key),
            refused(
                "each once",
                f"also at {section}[{first[name]}].{key}",
                reason=ProblemReason.DUPLICATE_NAME,
            ),
        )
        for index, name in enumerate(names)
        if first[name] != index
    ]


def _unreachable_streams(alerts: AlertsPolicy) -> list[Fault]:
    wanted = "a redis section with its url, or another sink"
    error = refused(wanted, reason=ProblemReason.CONFLICT)
    streams = [n for n, sink in enumerate(alerts.sinks) if isinstance(sink, RedisStreamSink)]
    return [(("sinks", index), error) for index in streams]


def _digest(policy: Policy, written: dict[str, str]) -> str:
    content = policy.model_dump(mode="json", by_alias=True, context=written)
    if policy.indexes is not None and policy.indexes.declarations:
        content["declared"] = [repr(meaning(each)) for each in policy.indexes.declarations]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
