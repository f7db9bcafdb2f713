"""Overviews as numbers in Prometheus' text format. Pure, but for the file it may write."""

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
from maintenance.monitoring.models import History, Overview, View
from maintenance.redis_client.models import CacheFacts, hit_rate
from maintenance.subjects.partitions.inventory import TableInventory

PREFIX = "maintenance_"

FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "up": ("Whether the server could be looked at.", ()),
    "store_up": ("Whether the history of runs could be read.", ()),
    "verdict": ("Whether to worry: 0 all is well, 1 look today, 2 act now.", ()),
    "alerts_standing": ("Alerts that stand.", ("severity",)),
    "alert_since_timestamp_seconds": (
        "Since when an alert stands; quiet if it is muted or acknowledged.",
        ("severity", "kind", "object", "quiet"),
    ),
    "partitions": ("Partitions of a table.", ("table",)),
    "partitions_ahead": ("Whole periods beyond the current one that exist.", ("table",)),
    "partitions_ahead_wanted": ("Whole periods ahead that the policy asks for.", ("table",)),
    "partitions_expired": ("Partitions that retention may retire.", ("table",)),
    "partitions_heap_bytes": ("Heaps of all partitions, as last analyzed.", ("table",)),
    "partitions_rows": ("Rows of all partitions, as last analyzed.", ("table",)),
    "partitions_covered_until_timestamp_seconds": (
        "From then on a row has no partition, or only the default one.",
        ("table",),
    ),
    "matview_max_age_seconds": ("How old the content of a view may be.", ("view",)),
    "matview_fresh_as_of_timestamp_seconds": (
        "Up to when a view is known to show everything.",
        ("view",),
    ),
    "matview_refresh_duration_seconds": ("How long the newest refresh took.", ("view",)),
    "matview_rows": ("Rows of a view after its newest refresh.", ("view",)),
    "stale_rows": ("Computed rows that are older than they may be.", ("table",)),
    "stale_rows_seen_timestamp_seconds": ("When computed rows were last looked at.", ("table",)),
    "runs_last_day": ("Runs that began within 24 hours.", ()),
    "runs_failed_last_day": ("Those of them that failed.", ()),
    "last_run_end_timestamp_seconds": ("When the newest run ended.", ()),
    "last_run_failed": ("Whether the newest run that ended failed.", ()),
    "actions_last_day": ("Actions of runs that began within 24 hours.", ("kind", "outcome")),
    "actions_last_day_seconds": ("How long these actions took.", ("kind", "outcome")),
    "own_statements_last_day_seconds": ("How long our own statements took.", ()),
    "workload_seen_timestamp_seconds": ("When the server's load was last looked at.", ()),
    "connections_ratio": ("Connections used, of those that can be.", ()),
    "wraparound_ratio": ("The age of the oldest transaction id, of what it may reach.", ()),
    "buffer_hit_ratio": ("Blocks found in memory between the newest two looks.", ()),
    "replication_lag_bytes": ("How far the replica that is furthest behind is behind.", ()),
    "database_size_bytes": ("Size of the database.", ()),
    "table_size_bytes": ("The largest tables, with indexes and TOAST.", ("table",)),
    "bloat_seen_timestamp_seconds": ("When bloat was last looked at.", ()),
    "empty_bytes": ("What a rewrite of what was looked at would give back.", ("what",)),
    "cache_keys": ("Keys in the application's cache.", ()),
    "cache_keys_without_ttl": ("Those of them that never expire.", ()),
    "cache_memory_bytes": ("Memory that the cache uses.", ()),
    "cache_hit_ratio": ("Lookups that found their key, between the newest two looks.", ()),
}
"""By name without the prefix: what it is, and its labels after `database`. All are gauges."""


MOST_ALERTS = 100
"""So many alerts have a series of their own, the worst; all of them are counted."""

SUFFIX = ".prom"


class Sample(NamedTuple):
    """One number: the family's name without its prefix, and labels after the database's name."""

    family: str
    value: float
    labels: tuple[str, ...] = ()


def exposition(overviews: Sequence[Overview]) -> str:
    """Write all overviews as one page of Prometheus' text format."""
    return generate_latest(_registry(overviews)).decode()


def write_textfile(overviews: Sequence[Overview], path: Path) -> None:
    """Write the page to a file for node_exporter, which never sees a part of it.

    Raises:
        UsageError: node_exporter would not read a file of that name, or it can't be written.
    """
    if path.suffix != SUFFIX:
        raise UsageError(f"{path}: wanted a name that ends in {SUFFIX}, as node_exporter does")
    try:
        write_to_textfile(str(path), _registry(overviews))
    except OSError as exc:
        raise UsageError(f"{path}: {exc.strerror}, wanted a file to write") from exc


def samples(overview: Overview) -> Iterator[Sample]:
    """Yield every number of an overview; what is not known has none."""
    yield Sample("up", overview.blind is None)
    yield Sample("store_up", overview.history is not None)
    yield Sample("verdict", tuple(Level).index(assess_health(overview).level))
    yield from chain.from_iterable(map(_table, overview.tables))
    if overview.history is not None:
        yield from _alerts(overview, overview.history)
        yield from chain.from_iterable(map(_view, overview.history.views))
        yield from _past(overview.history)
        yield from _server(overview.history)
        yield from _cache(overview.history.cache)


def _registry(overviews: Sequence[Overview]) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_Collected(overviews))
    return registry


class _Collected(Collector):
    def __init__(self, overviews: Sequence[Overview]) -> None:
        self._overviews = overviews

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return every family that has a number."""
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
            "database_size_bytes": moment.size_bytes,
            "replication_lag_bytes": moment.replication_lag_bytes,
        }
        yield _moment("workload_seen_timestamp_seconds", moment.taken_at)
        yield from (Sample(n, value) for n, value in numbers.items() if value is not None)
    for table in history.largest:
        yield Sample("table_size_bytes", table.size_bytes, (table.object,))
    if history.emptiness is not None:
        yield _moment("bloat_seen_timestamp_seconds", history.emptiness.seen_at)
        yield Sample("empty_bytes", history.emptiness.tables_bytes, ("tables",))
        yield Sample("empty_bytes", history.emptiness.indexes_bytes, ("indexes",))


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
