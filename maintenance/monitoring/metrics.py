"""Overviews as metrics in Prometheus' text format. Pure, except for writing the file."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest, write_to_textfile
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from maintenance.engine.findings import Severity
from maintenance.errors import UsageError
from maintenance.formatting import visible_lines
from maintenance.monitoring.health import Level, assess_health
from maintenance.monitoring.models import History, Load, Overview, View
from maintenance.redis_client.models import CacheFacts, hit_rate
from maintenance.subjects.partitions.inventory import TableInventory

PREFIX = "maintenance_"

FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "up": ("1 if the database server could be observed, else 0.", ()),
    "store_up": ("1 if the store could be read, else 0.", ()),
    "verdict": ("Health verdict: 0 all is well, 1 look today, 2 act now.", ()),
    "alerts_standing": ("Open alerts.", ("severity",)),
    "alert_since_timestamp_seconds": (
        "Time since which an alert is open; quiet if muted or acknowledged.",
        ("severity", "kind", "object", "quiet"),
    ),
    "partitions": ("Number of partitions of a table.", ("table",)),
    "partitions_ahead": ("Partitions for whole periods after the current one.", ("table",)),
    "partitions_ahead_wanted": ("Partitions ahead wanted by the policy (premake).", ("table",)),
    "partitions_expired": ("Partitions older than the retention period.", ("table",)),
    "partitions_heap_bytes": ("Heap size of all partitions, from the last ANALYZE.", ("table",)),
    "partitions_rows": ("Rows of all partitions, from the last ANALYZE.", ("table",)),
    "partitions_covered_until_timestamp_seconds": (
        "Time up to which partitions exist; later rows go to the default partition or fail.",
        ("table",),
    ),
    "matview_max_age_seconds": ("Maximum age of a view's content, from the policy.", ("view",)),
    "matview_fresh_as_of_timestamp_seconds": (
        "Time up to which a view's content is known to be complete.",
        ("view",),
    ),
    "matview_refresh_duration_seconds": ("Duration of the last successful refresh.", ("view",)),
    "matview_rows": ("Rows of a view after its last successful refresh.", ("view",)),
    "stale_rows": ("Computed rows older than max_age.", ("table",)),
    "stale_rows_seen_timestamp_seconds": ("Time of the last check of computed rows.", ("table",)),
    "runs_last_day": ("Runs started in the last 24 hours.", ()),
    "runs_failed_last_day": ("Failed runs of the last 24 hours.", ()),
    "last_run_end_timestamp_seconds": ("Time when the last run finished.", ()),
    "last_run_failed": ("1 if the last finished run failed, else 0.", ()),
    "actions_last_day": ("Actions of runs started in the last 24 hours.", ("kind", "outcome")),
    "actions_last_day_seconds": (
        "Duration of the actions of the last 24 hours.",
        ("kind", "outcome"),
    ),
    "own_statements_last_day_seconds": (
        "Time spent in our own statements in the last 24 hours.",
        (),
    ),
    "workload_seen_timestamp_seconds": ("Time of the last workload observation.", ()),
    "connections_ratio": ("Used connections as a share of those available.", ()),
    "connections_peak_ratio": (
        "Peak of the used connections in the last day, as a share of those available.",
        (),
    ),
    "connections": ("Connections in use at the last observation, by state.", ("state",)),
    "rollback_ratio": (
        "Share of the transactions rolled back between the last two observations.",
        (),
    ),
    "statements_last_day": ("Calls of the application's statements, last day.", ()),
    "statements_mean_last_day_seconds": ("Mean time of the application's calls, last day.", ()),
    "statements_slow_last_day": (
        "Statements whose 95th percentile was above workload.slow_query, last day.",
        (),
    ),
    "oldest_transaction_peak_seconds": ("Longest open transaction of the last day.", ()),
    "blocked_last_day_seconds": ("Time in which sessions waited for locks, last day.", ()),
    "wraparound_ratio": ("Age of the oldest transaction ID as a share of the limit.", ()),
    "buffer_hit_ratio": ("Buffer cache hit ratio between the last two observations.", ()),
    "replication_lag_bytes": ("Replication lag of the slowest replica.", ()),
    "database_size_bytes": ("Size of the database.", ()),
    "table_size_bytes": ("Size of the largest tables, with indexes and TOAST.", ("table",)),
    "limit_used_ratio": (
        "Share in use of the limits that are used most; at 1 statements fail.",
        ("limit", "object"),
    ),
    "bloat_seen_timestamp_seconds": ("Time of the last bloat observation.", ()),
    "empty_bytes": ("Space that a rewrite would free (bloat).", ("what",)),
    "cache_keys": ("Keys in the Redis cache.", ()),
    "cache_keys_without_ttl": ("Keys in the Redis cache without expiry.", ()),
    "cache_memory_bytes": ("Memory used by the Redis cache.", ()),
    "cache_hit_ratio": ("Hit ratio of the Redis cache between the last two observations.", ()),
}
"""Help text and labels (after `database`) by name without the prefix. All are gauges."""


MOST_ALERTS = 100
"""Maximum number of alerts with a series of their own, most urgent first; all are counted."""

SUFFIX = ".prom"


class Sample(NamedTuple):
    """One sample: the family's name without its prefix, the value and the labels."""

    family: str
    value: float
    labels: tuple[str, ...] = ()


def exposition(overviews: Sequence[Overview]) -> str:
    """Return all overviews as one page in Prometheus' text format."""
    return generate_latest(_registry(overviews)).decode()


def write_textfile(overviews: Sequence[Overview], path: Path) -> None:
    """Write the page to a file for node_exporter atomically.

    Raises:
        UsageError: node_exporter ignores files of that name, or the file can't be written.
    """
    if path.suffix != SUFFIX:
        raise UsageError(f"{path}: the name must end in {SUFFIX} for node_exporter")
    try:
        write_to_textfile(str(path), _registry(overviews))
    except OSError as exc:
        raise UsageError(f"{path}: can't be written: {exc.strerror}") from exc


def samples(overview: Overview) -> Iterator[Sample]:
    """Yield every sample of an overview; unknown values are left out."""
    yield Sample("up", overview.blind is None)
    yield Sample("store_up", overview.history is not None)
    yield Sample("verdict", tuple(Level).index(assess_health(overview).level))
    yield from chain.from_iterable(map(_table, overview.tables))
    if overview.history is not None:
        yield from _alerts(overview, overview.history)
        yield from chain.from_iterable(map(_view, overview.history.views))
        yield from _past(overview.history)
        yield from _server(overview.history)
        yield from _load(overview.history.load)
        yield from _cache(overview.history.cache)


def _registry(overviews: Sequence[Overview]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Collected(overviews))
    return registry


class _Collected(Collector):
    def __init__(self, overviews: Sequence[Overview]) -> None:
        self._overviews = overviews

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return every family that has a sample."""
        families: dict[str, GaugeMetricFamily] = {}
        for overview in self._overviews:
            for name, value, labels in samples(overview):
                family = families.setdefault(name, _family(name))
                family.add_metric([overview.database, *map(visible_lines, labels)], float(value))
        return families.values()


def _family(name: str) -> GaugeMetricFamily:
    about, labels = FAMILIES[name]
    return GaugeMetricFamily(f"{PREFIX}{name}", about, labels=["database", *labels])


def _table(table: TableInventory) -> Iterator[Sample]:
    of = (table.table,)
    expired = sum(each.retention == "expired" for each in table.partitions)
    yield Sample("partitions", len(table.partitions), of)
    yield Sample("partitions_ahead", table.ahead, of)
    yield Sample("partitions_ahead_wanted", table.premake, of)
    yield Sample("partitions_expired", expired, of)
    yield Sample("partitions_heap_bytes", table.size_bytes, of)
    yield Sample("partitions_rows", table.n_rows, of)
    yield _moment("partitions_covered_until_timestamp_seconds", table.covered_until, of)


def _alerts(overview: Overview, history: History) -> Iterator[Sample]:
    for severity in (Severity.ERROR, Severity.WARN):
        standing = sum(alert.severity is severity for alert in history.alerts)
        yield Sample("alerts_standing", standing, (severity.value,))
    for alert in history.alerts[:MOST_ALERTS]:
        quiet = alert.is_muted(overview.now) or alert.is_acknowledged(overview.now)
        of = (alert.severity.value, alert.identity.kind.value, alert.identity.object)
        yield _moment("alert_since_timestamp_seconds", alert.since, (*of, str(quiet).lower()))


def _view(view: View) -> Iterator[Sample]:
    of = (str(view.age.name),)
    yield Sample("matview_max_age_seconds", view.age.max_age.total_seconds(), of)
    if view.age.fresh_as_of is not None:
        yield _moment("matview_fresh_as_of_timestamp_seconds", view.age.fresh_as_of, of)
    if view.refresh is not None:
        yield Sample("matview_refresh_duration_seconds", view.refresh.duration_s, of)
        if view.refresh.n_rows is not None:
            yield Sample("matview_rows", view.refresh.n_rows, of)


def _past(history: History) -> Iterator[Sample]:
    activity = history.activity
    yield Sample("runs_last_day", activity.n_runs)
    yield Sample("runs_failed_last_day", activity.n_failed)
    yield Sample("own_statements_last_day_seconds", activity.own_seconds)
    if activity.last_ended_at is not None:
        yield _moment("last_run_end_timestamp_seconds", activity.last_ended_at)
        yield Sample("last_run_failed", activity.last_failed)
    for past_actions in activity.past_actions:
        yield Sample("actions_last_day", past_actions.n, (past_actions.kind, past_actions.outcome))
        yield Sample(
            "actions_last_day_seconds",
            past_actions.seconds,
            (past_actions.kind, past_actions.outcome),
        )
    for seen in history.computed:
        yield Sample("stale_rows", seen.n_stale, (seen.table_name,))
        yield _moment("stale_rows_seen_timestamp_seconds", seen.seen_at, (seen.table_name,))


def _server(history: History) -> Iterator[Sample]:
    for moment in history.moments[-1:]:
        numbers = {
            "connections_ratio": moment.connections,
            "wraparound_ratio": moment.wraparound,
            "buffer_hit_ratio": moment.hit_rate,
            "rollback_ratio": moment.rollback_rate,
            "database_size_bytes": moment.size_bytes,
            "replication_lag_bytes": moment.replication_lag_bytes,
        }
        yield _moment("workload_seen_timestamp_seconds", moment.taken_at)
        yield from (Sample(n, value) for n, value in numbers.items() if value is not None)
        others = moment.n_connections - moment.n_active - moment.n_idle_in_transaction
        yield Sample("connections", moment.n_active, ("active",))
        yield Sample("connections", moment.n_idle_in_transaction, ("idle in transaction",))
        yield Sample("connections", max(others, 0), ("idle",))
    for table in history.largest:
        yield Sample("table_size_bytes", table.size_bytes, (table.object,))
    for limit in history.limits:
        yield Sample("limit_used_ratio", limit.share, (limit.cliff, limit.object))
    if history.emptiness is not None:
        yield _moment("bloat_seen_timestamp_seconds", history.emptiness.seen_at)
        yield Sample("empty_bytes", history.emptiness.tables_bytes, ("tables",))
        yield Sample("empty_bytes", history.emptiness.indexes_bytes, ("indexes",))


def _load(load: Load | None) -> Iterator[Sample]:
    if load is None:
        return
    if load.pool is not None:
        yield Sample("connections_peak_ratio", load.pool.share)
    if load.statements is not None:
        yield Sample("statements_last_day", load.statements.calls)
        yield Sample("statements_mean_last_day_seconds", load.statements.mean_ms / 1000)
        yield Sample("statements_slow_last_day", load.statements.n_slow)
    if load.peaks is not None:
        yield Sample("blocked_last_day_seconds", load.peaks.blocked_s)
        if load.peaks.oldest_transaction_s is not None:
            yield Sample("oldest_transaction_peak_seconds", load.peaks.oldest_transaction_s)


def _cache(looks: Sequence[CacheFacts]) -> Iterator[Sample]:
    for newest in looks[-1:]:
        yield Sample("cache_keys", newest.n_keys)
        yield Sample("cache_keys_without_ttl", newest.n_without_ttl)
        yield Sample("cache_memory_bytes", newest.used_memory_bytes)
        rate = hit_rate(looks[0], newest)
        if rate is not None:
            yield Sample("cache_hit_ratio", rate)


def _moment(family: str, at: datetime, labels: tuple[str, ...] = ()) -> Sample:
    return Sample(family, at.timestamp(), labels)
