"""Connections, locks, schedules and observation limits of a policy."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from maintenance.errors import ProblemReason
from maintenance.policy.base import Section, as_written, refused
from maintenance.policy.paths import MarkerFile
from maintenance.policy.quantities import Duration, HistorySpan, RecordSpan, Timeout, WatchInterval
from maintenance.policy.secrets import PostgresUrl, RedisUrl, at
from maintenance.policy.values import Cron, DatabaseName, Mode, Owner, SearchPath, Text

Replica = Annotated[PostgresUrl, at("database.replicas")]


class DatabasePolicy(Section):
    """The maintained database."""

    name: DatabaseName
    """Name in asset keys, paths and messages."""
    url: Annotated[PostgresUrl, at("database.url")]
    """URL of the primary."""
    replicas: Annotated[tuple[Replica, ...], Field(strict=False)] = ()
    """URLs of standbys whose index usage is also counted."""
    owners: Annotated[tuple[Owner, ...], Field(strict=False)] = ()
    """Owners of its assets, shown in Dagster."""
    optional_replicas: bool = True
    """Whether a replica's missing variable is a finding instead of an error."""
    search_path: SearchPath = "public"
    """search_path for the owner's SQL and for statements that move rows."""
    mode: Mode = "act"
    """Mode of the whole policy: with report, nothing is changed; a section can't override it."""


class StorePolicy(Section):
    """The store: history of runs, findings and alerts."""

    url: Annotated[PostgresUrl | None, at("store.url")] = None
    """URL of the store; default: the maintained database."""
    schema_: Annotated[Literal["maintenance"], Field(alias="schema")] = "maintenance"
    """Schema of the store; only `maintenance` is supported."""
    owner: Text | None = None
    """Role that may own the schema and its objects, besides the connecting role."""
    keep: HistorySpan = as_written("13 months")
    """Retention of the history."""


class DagsterPolicy(Section):
    """What Dagster recorded of the jobs of this database, in its own storage."""

    keep: RecordSpan = as_written("90 days")
    """How long ended runs are kept with their events, check results and output, and ticks."""


class BackupPolicy(Section):
    """What shows that there is a recent backup; without it nothing is rolled out or retired."""

    file: MarkerFile | None = None
    """A file that is written after each backup; when it was changed is when that was."""
    wal_archive: bool = False
    """Whether the server must be archiving WAL, the last of it within `max_age`."""
    max_age: Duration = as_written("25 hours")
    """Maximum age of the backup."""

    @model_validator(mode="after")
    def _check_evidence(self) -> Self:
        if self.file is None and not self.wal_archive:
            raise refused(
                "file, or wal_archive: true",
                "the database does not know whether it was backed up",
                reason=ProblemReason.MISSING,
            )
        return self


class RedisPolicy(Section):
    """The application's Redis cache."""

    url: Annotated[RedisUrl, at("redis.url")]
    """URL of the server."""
    ttl: Annotated[dict[str, Duration], Field(strict=False)] = Field(default_factory=dict)
    """Longest time to live of keys, by their pattern as in SCAN."""


class LocksPolicy(Section):
    """Limits of lock waits."""

    lock_timeout: Timeout = as_written("50 ms")
    """lock_timeout for lock modes that block writers or make them queue."""
    patient_lock_timeout: Timeout = as_written("3 seconds")
    """lock_timeout for SHARE UPDATE EXCLUSIVE, which blocks no writer but waits for autovacuum."""
    give_up_after: Duration = as_written("10 minutes")
    """Deadline of lock retries; afterwards the action fails with a finding."""


class SchedulesPolicy(Section):
    """Cron schedules of the jobs, in UTC."""

    nightly: Cron = "0 2 * * *"
    """Nightly job: all checks and repairs."""
    monthly: Cron = "0 1 20 * *"
    """Creation of partitions up to the horizon."""
    retention: Cron = "0 3 2 * *"
    """Retention of expired partitions."""
    weekly: Cron = "0 4 * * 0"
    """Weekly index review."""
    index_rollout: Cron | Literal["never"] = "never"
    """Rollout of declared indexes; never: it is launched by hand."""
    digest: Cron = "0 6 * * *"
    """Daily health summary."""
    watch_interval: WatchInterval = as_written("1 minute")
    """Time between two samples of connections, transactions, locks and lag; or `never`."""


class ObservePolicy(Section):
    """Limits of observations."""

    time_cap: Timeout = as_written("10 seconds")
    """statement_timeout of each observation."""
