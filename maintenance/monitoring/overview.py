"""Collect the overview of a database: no plans, no relation sizes, nothing per table."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from maintenance.alerts.models import Alert
from maintenance.alerts.store import standing_alerts
from maintenance.catalog.observe import observe
from maintenance.engine.findings import Severity
from maintenance.engine.subject import Subject
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError, UsageError
from maintenance.monitoring.freshness import ages, first_dues
from maintenance.monitoring.models import Emptiness, History, Load, Overview, View
from maintenance.monitoring.upcoming import coming
from maintenance.monitoring.work_done import read_work
from maintenance.policy import Policy, WorkloadPolicy
from maintenance.redis_client.models import CacheFacts
from maintenance.server.session import Connection
from maintenance.store import newest_refreshes
from maintenance.store.activity import activity, observed_subjects
from maintenance.store.past_actions import Span
from maintenance.store.pauses import read_pause
from maintenance.store.staleness import read_staleness
from maintenance.subjects.bloat import BLOAT
from maintenance.subjects.bloat.history import newest_look
from maintenance.subjects.capacity import CAPACITY
from maintenance.subjects.capacity.history import newest as newest_limits
from maintenance.subjects.indexes import INDEXES
from maintenance.subjects.matviews import MATVIEWS
from maintenance.subjects.matviews.dependencies import declared_reads
from maintenance.subjects.partitions import PARTITIONS
from maintenance.subjects.partitions.inventory import TableInventory, inventory
from maintenance.subjects.redis import CACHING
from maintenance.subjects.redis.history import newest_cache_looks
from maintenance.subjects.retention import RETENTION
from maintenance.subjects.stale_analytics import STALE_ANALYTICS
from maintenance.subjects.statistics import STATISTICS
from maintenance.subjects.workload import WORKLOAD
from maintenance.subjects.workload.history import largest, moments
from maintenance.subjects.workload.sample_history import peaks, pool_peak
from maintenance.subjects.workload.statement_history import totals_of_the_day, worst_of_the_day

LOOK_BACK = timedelta(hours=24)
"""Length of the activity summary: includes one nightly run."""

MOST_FAILURES = 5
MOST_TABLES = 10
MOST_LIMITS = 10
MOST_ACTIONS = 1000
_SUBJECTS: tuple[Subject[Any], ...] = (
    PARTITIONS,
    RETENTION,
    MATVIEWS,
    STALE_ANALYTICS,
    STATISTICS,
    INDEXES,
    BLOAT,
    WORKLOAD,
    CAPACITY,
    CACHING,
)
_RANKS = tuple(reversed(Severity))


def observe_overview(policy: Policy, *, now: datetime | None = None) -> Overview:
    """Collect the overview of a database; what can't be read is reported in it.

    Args:
        policy: the policy of the database.
        now: the current time, aware; the clock's if None.

    Raises:
        UsageError: an environment variable is missing, or a url is invalid.
    """
    moment = now or datetime.now(UTC)
    tables, blind = _tables(policy, moment)
    with Target(policy).optional_store() as store:
        history = _history(policy, store, moment) if store is not None else None
    return Overview(
        policy.database.name,
        moment,
        history,
        tables,
        blind,
        coming(policy, tables, moment),
        policy.database.mode,
    )


def _tables(policy: Policy, now: datetime) -> tuple[tuple[TableInventory, ...], str | None]:
    """Return the inventory of partitioned tables, or the reason why it can't be read."""
    try:
        with Target(policy).database("overview") as connection:
            relations = PARTITIONS.relations(policy)
            snapshot = observe(connection, relations, time_cap=policy.observe.time_cap)
    except UsageError:
        raise
    except MaintenanceError as exc:
        return (), exc.with_hint
    stock = inventory(policy, snapshot, now)
    return tuple(sorted(stock, key=lambda each: each.covered_until)), None


def _history(policy: Policy, store: Connection, now: datetime) -> History:
    name = policy.database.name
    ledger = newest_refreshes(store, name)
    views = ages(policy, declared_reads(policy), ledger, first_dues(store, policy, ledger))
    alerts = standing_alerts(store, name).values()
    return History(
        alerts=tuple(sorted(alerts, key=_urgency)),
        views=tuple(View(age, ledger.get(str(age.name))) for age in views),
        computed=tuple(read_staleness(store, name)),
        activity=activity(store, name, now - LOOK_BACK, MOST_FAILURES),
        moments=tuple(moments(store, name)),
        largest=tuple(largest(store, name, MOST_TABLES)),
        emptiness=_emptiness(store, name),
        cache=_cache(store, name) if policy.redis else (),
        unobserved=_unobserved(policy, observed_subjects(store, name)),
        pause=read_pause(store, name),
        load=_load(policy, store, now),
        limits=tuple(newest_limits(store, name)[:MOST_LIMITS]),
        work=read_work(store, name, Span(now - LOOK_BACK, now), MOST_ACTIONS),
    )


def _load(policy: Policy, store: Connection, now: datetime) -> Load:
    name, since = policy.database.name, now - LOOK_BACK
    found = peaks(store, name, since)
    slow_ms = (policy.workload or WorkloadPolicy()).slow_query.total_seconds() * 1000
    return Load(
        pool_peak(store, name, since),
        policy.workload.connections if policy.workload else None,
        found if found.n_samples else None,
        worst_of_the_day(store, name, now),
        totals_of_the_day(store, name, now, slow_ms),
    )


def _unobserved(policy: Policy, observed: Collection[str]) -> tuple[str, ...]:
    enabled = [subject.name for subject in _SUBJECTS if subject.is_enabled(policy)]
    if not any(section.retention for section in policy.partitions):
        enabled = [name for name in enabled if name != RETENTION.name]
    return tuple(name for name in enabled if name not in observed)


def _urgency(alert: Alert) -> tuple[int, datetime]:
    return _RANKS.index(alert.severity), alert.since


def _emptiness(store: Connection, name: str) -> Emptiness | None:
    seen_at, kept = newest_look(store, name)
    if seen_at is None:
        return None
    indexes = sum(each.empty_bytes for each in kept if each.kind == "index")
    return Emptiness(seen_at, sum(each.empty_bytes for each in kept) - indexes, indexes)


def _cache(store: Connection, name: str) -> tuple[CacheFacts, ...]:
    return tuple(reversed(newest_cache_looks(store, name, 2)))
