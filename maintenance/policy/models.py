"""A policy: everything one file says about one database."""

import hashlib
import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator

from maintenance.policy.alerts import AlertsPolicy, RedisStreamSink
from maintenance.policy.base import Fault, Section, raise_faults, refused
from maintenance.policy.database import (
    DatabasePolicy,
    LocksPolicy,
    ObservePolicy,
    RedisPolicy,
    SchedulesPolicy,
    StorePolicy,
)
from maintenance.policy.matviews import MatviewPolicy, StaleAnalyticsPolicy
from maintenance.policy.partitions import PartitionPolicy, collisions
from maintenance.policy.thresholds import (
    BloatPolicy,
    IndexesPolicy,
    ParallelPolicy,
    StatisticsPolicy,
    WorkloadPolicy,
)


class Policy(Section):
    """What the owner of a database wants.

    A subject that changes the database acts only if its section is there: `statistics`,
    `indexes`, `bloat` and `workload` are None without one. Lists are empty without one.
    """

    database: DatabasePolicy
    """The maintained database."""
    store: StorePolicy = StorePolicy()
    """Where our own history lives."""
    redis: RedisPolicy | None = None
    """The application's cache."""
    locks: LocksPolicy = LocksPolicy()
    """How long a lock may be waited for."""
    partitions: Annotated[tuple[PartitionPolicy, ...], Field(strict=False)] = ()
    """Partitioned tables."""
    matviews: Annotated[tuple[MatviewPolicy, ...], Field(strict=False)] = ()
    """Materialized views."""
    stale_analytics: Annotated[tuple[StaleAnalyticsPolicy, ...], Field(strict=False)] = ()
    """Tables of computed rows."""
    statistics: StatisticsPolicy | None = None
    """When a table is analyzed."""
    parallel: ParallelPolicy = ParallelPolicy()
    """Connections at work side by side."""
    indexes: IndexesPolicy | None = None
    """Indexes that should exist, and advice on those that do."""
    bloat: BloatPolicy | None = None
    """How much of a relation may be empty."""
    workload: WorkloadPolicy | None = None
    """From where on the load is a finding."""
    schedules: SchedulesPolicy = SchedulesPolicy()
    """When the jobs run."""
    observe: ObservePolicy = ObservePolicy()
    """What looking may cost."""
    alerts: AlertsPolicy = AlertsPolicy()
    """Whom findings are told, and when."""

    _path: Path = PrivateAttr(default=Path())
    _hash: str = PrivateAttr(default="")

    @property
    def path(self) -> Path:
        """The file, as it was named."""
        return self._path

    @property
    def hash(self) -> str:
        """SHA-256 of what the policy means, in hex.

        The same for every spelling and order of the same content, wherever the file lies; a
        url counts by its label, as the content of an environment variable does not count.
        """
        return self._hash

    @property
    def sections(self) -> frozenset[str]:
        """The sections that the file has, empty ones too."""
        return frozenset(self.model_fields_set)

    def model_post_init(self, context: Any) -> None:
        """Take the file from whoever loads it, and the hash of what it says."""
        loading: dict[str, Any] = context or {}
        self._path = loading.get("path", Path())
        # Paths count as they are written, so that the hash is the same on every machine.
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

    @field_validator("alerts", mode="after")
    @classmethod
    def _check_streams(cls, alerts: AlertsPolicy, info: ValidationInfo) -> AlertsPolicy:
        if info.data.get("redis", ...) is None:
            raise_faults("alerts", _unreachable_streams(alerts))
        return alerts


def _repeated(section: str, key: str, names: Sequence[Hashable]) -> list[Fault]:
    first = {name: index for index, name in reversed(list(enumerate(names)))}
    return [
        ((index, key), refused("each once", f"also at {section}[{first[name]}].{key}"))
        for index, name in enumerate(names)
        if first[name] != index
    ]


def _unreachable_streams(alerts: AlertsPolicy) -> list[Fault]:
    error = refused("a redis section with its url, or another sink")
    streams = [n for n, sink in enumerate(alerts.sinks) if isinstance(sink, RedisStreamSink)]
    return [(("sinks", index), error) for index in streams]


def _digest(policy: Policy, written: dict[str, str]) -> str:
    content = policy.model_dump(mode="json", by_alias=True, context=written)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
