"""Which servers a policy is about, and how carefully they are touched."""

from typing import Annotated, Literal

from pydantic import Field

from maintenance.policy.base import Section, as_written
from maintenance.policy.quantities import Duration, KeepSpan, Timeout
from maintenance.policy.secrets import PostgresUrl, RedisUrl, at
from maintenance.policy.values import Cron, DatabaseName, Owner, SearchPath, Text

Replica = Annotated[PostgresUrl, at("database.replicas")]


class DatabasePolicy(Section):
    """The maintained database."""

    name: DatabaseName
    """Names it in asset keys, paths and messages."""
    url: Annotated[PostgresUrl, at("database.url")]
    """The primary."""
    replicas: Annotated[tuple[Replica, ...], Field(strict=False)] = ()
    """Standbys whose index usage counts too."""
    owners: Annotated[tuple[Owner, ...], Field(strict=False)] = ()
    """Who is shown in Dagster as the owner of its assets."""
    optional_replicas: bool = True
    """A missing replica variable is a finding, not an error."""
    search_path: SearchPath = "public"
    """For the owner's SQL and for statements that move rows."""


class StorePolicy(Section):
    """Where our own history lives."""

    url: Annotated[PostgresUrl | None, at("store.url")] = None
    """Default: the maintained database."""
    schema_: Annotated[Literal["maintenance"], Field(alias="schema")] = "maintenance"
    """Where in it; no other is served yet."""
    owner: Text | None = None
    """The role that may own the schema and what is in it, beside the one that connects."""
    keep: KeepSpan = as_written("13 months")
    """How long history is kept."""


class RedisPolicy(Section):
    """The application's cache."""

    url: Annotated[RedisUrl, at("redis.url")]
    """Where it is."""


class LocksPolicy(Section):
    """How long a lock may be waited for."""

    lock_timeout: Timeout = as_written("50 ms")
    """For modes that block writers or queue them."""
    patient_lock_timeout: Timeout = as_written("3 seconds")
    """For SHARE UPDATE EXCLUSIVE, which queues no writer and must outlast autovacuum."""
    give_up_after: Duration = as_written("10 minutes")
    """Retries until then, then a finding and a failed action."""


class SchedulesPolicy(Section):
    """When the jobs run, in UTC."""

    nightly: Cron = "0 2 * * *"
    """All unpartitioned assets."""
    monthly: Cron = "0 1 20 * *"
    """The months ahead."""
    retention: Cron = "0 3 2 * *"
    """What has expired."""
    weekly: Cron = "0 4 * * 0"
    """The review."""
    digest: Cron = "0 6 * * *"
    """The page that says whether to worry."""


class ObservePolicy(Section):
    """What looking may cost."""

    time_cap: Timeout = as_written("10 seconds")
    """For each observation."""
