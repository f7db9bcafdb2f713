"""Overviews as numbers in Prometheus' text format. Pure, but for the file it may write."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest, write_to_textfile
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from maintenance.cache.facts import CacheFacts, hit_rate
from maintenance.engine.findings import Severity
from maintenance.errors import UsageError
from maintenance.formatting import visible_lines
from maintenance.overview.families import FAMILIES, PREFIX
from maintenance.overview.models import History, Overview, View
from maintenance.overview.verdict import Level, judge
from maintenance.partitions.inventory import TableInventory

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
    yield Sample("verdict", tuple(Level).index(judge(overview).level))
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
    if view.age.right_until is not None:
        yield _moment("matview_right_until_timestamp_seconds", view.age.right_until, of)
    if view.refresh is not None:
        yield Sample("matview_refresh_duration_seconds", view.refresh.duration_s, of)
        if view.refresh.n_rows is not None:
            yield Sample("matview_rows", view.refresh.n_rows, of)


def _past(history: History) -> Iterator[Sample]:
    doings = history.doings
    yield Sample("runs_last_day", doings.n_runs)
    yield Sample("runs_failed_last_day", doings.n_failed)
    yield Sample("own_statements_last_day_seconds", doings.own_seconds)
    if doings.last_ended_at is not None:
        yield _moment("last_run_end_timestamp_seconds", doings.last_ended_at)
        yield Sample("last_run_failed", doings.last_failed)
    for deeds in doings.deeds:
        yield Sample("actions_last_day", deeds.n, (deeds.kind, deeds.outcome))
        yield Sample("actions_last_day_seconds", deeds.seconds, (deeds.kind, deeds.outcome))
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
