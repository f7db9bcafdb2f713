"""Metadata of bloat, workload and capacity: tables of the largest, numbers to plot, charts."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from maintenance.formatting import readable_size
from maintenance.orchestration.charts import bars, lines
from maintenance.orchestration.markdown import code, table
from maintenance.policy import Policy
from maintenance.server.query_text import shown
from maintenance.server.session import Connection
from maintenance.subjects.bloat.history import newest_look, trend
from maintenance.subjects.capacity.history import newest
from maintenance.subjects.workload.connection_findings import CONNECTIONS
from maintenance.subjects.workload.facts import TABLES
from maintenance.subjects.workload.history import largest, moments, months
from maintenance.subjects.workload.sample_history import samples_since
from maintenance.subjects.workload.statement_history import Statement, heaviest
from maintenance.subjects.workload.targets import Targets, targets_of

Metadata = dict[str, Any]

WORST = 20
SAMPLES_SHOWN = timedelta(days=7)
_SECONDS = {
    "wait for a lock": "longest_wait_s",
    "idle in transaction": "longest_idle_s",
    "transaction": "oldest_transaction_s",
    "statement": "longest_statement_s",
}
_MEGABYTE = 2**20


def bloat_metadata(policy: Policy, store: Connection) -> Metadata:
    """Return the newest bloat observation and its trend."""
    database = policy.database.name
    _, kept = newest_look(store, database)
    days = trend(store, database)
    rows = (
        (
            code(each.object),
            each.kind,
            readable_size(each.size_bytes),
            f"{each.fraction:.0%}" if each.fraction is not None else "unknown",
            readable_size(each.empty_bytes),
            each.method,
        )
        for each in kept[:WORST]
    )
    series = {
        "tables": [(day.taken_at, day.tables_bytes / _MEGABYTE) for day in days],
        "indexes": [(day.taken_at, day.indexes_bytes / _MEGABYTE) for day in days],
    }
    return {
        "relations": len(kept),
        "unknown": sum(each.fraction is None for each in kept),
        "empty_megabytes": round(sum(each.empty_bytes for each in kept) / _MEGABYTE, 1),
        "worst": table(("relation", "kind", "size:", "bloat:", "to free:", "method"), rows),
        "trend": lines(f"{database}: bloat", "MB", series),
    }


def capacity_metadata(policy: Policy, store: Connection) -> Metadata:
    """Return the limits of the newest observation, the nearest first."""
    kept = newest(store, policy.database.name)
    rows = (
        (
            each.cliff,
            code(each.object),
            f"{each.used:,.0f}",
            f"{each.ceiling:,.0f}",
            f"{each.share:.1%}",
        )
        for each in kept[:WORST]
    )
    return {
        "nearest": round(kept[0].share, 4) if kept else 0.0,
        "limits": table(("limit", "object", "in use:", "at most:", "share:"), rows),
    }


def workload_metadata(policy: Policy, store: Connection) -> Metadata:
    """Return the newest workload observation and its trend."""
    database = policy.database.name
    looks = moments(store, database)
    metadata: Metadata = {}
    if looks:
        last = looks[-1]
        metadata["connections"] = round(last.connections, 4)
        metadata["wraparound"] = round(last.wraparound, 4)
        if last.hit_rate is not None:
            metadata["buffer_hit_rate"] = round(last.hit_rate, 4)
        if last.size_bytes is not None:
            metadata["megabytes"] = round(last.size_bytes / _MEGABYTE, 1)
        if last.replication_lag_bytes is not None:
            metadata["replication_lag_megabytes"] = last.replication_lag_bytes / _MEGABYTE
    rates = [(look.taken_at, look.hit_rate) for look in looks if look.hit_rate is not None]
    used = [(look.taken_at, look.connections) for look in looks]
    by_month = {month: size / _MEGABYTE for month, size in months(store, database).items()}
    metadata["hit_rates"] = lines(
        f"{database}: buffer hit rate, connections used",
        "share",
        {"buffer hit rate": rates, "connections": used},
    )
    metadata["size_by_month"] = bars(f"{database}: size by month", "MB", by_month)
    metadata.update(_samples(store, database))
    metadata["statements"] = _statements(store, database)
    if (targets := targets_of(policy)).by_query:
        metadata["targets"] = _targets(store, database, targets)
    metadata["tables"] = _tables(store, database)
    return metadata


def live_metadata(facts: Mapping[str, Any]) -> Metadata:
    """Return the connections and the sizes of tables that the run has just observed."""
    metadata: Metadata = {}
    if found := facts.get(CONNECTIONS):
        rows = (
            (
                str(each["n"]),
                *(code(each[name] or "") for name in ("role", "application", "client", "database")),
                each["state"] or "",
                {True: "yes", False: "no", None: ""}[each["is_encrypted"]],
            )
            for each in found[:WORST]
        )
        columns = ("connections:", "role", "application", "client", "database", "state", "TLS")
        metadata["connections_by_client"] = table(columns, rows)
    if found := facts.get(TABLES):
        names = ("size_bytes", "heap_bytes", "index_bytes")
        rows = ((code(each["table"]), *(readable_size(each[n]) for n in names)) for each in found)
        metadata["largest_tables"] = table(("table", "size:", "rows alone:", "indexes:"), rows)
    return metadata


def _samples(store: Connection, database: str) -> Metadata:
    """Return the samples of the last week as charts; nothing without samples."""
    since = datetime.now(UTC) - SAMPLES_SHOWN
    samples = samples_since(store, database, since)
    if not samples:
        return {}
    peak = max(samples, key=lambda sample: sample.pool)
    times: dict[str, list[tuple[datetime, float]]] = {}
    for name, column in _SECONDS.items():
        found = [(each.taken_at, getattr(each, column)) for each in samples]
        times[name] = [(at, value) for at, value in found if value is not None]
    pool = [(each.taken_at, each.pool) for each in samples]
    return {
        "pool_peak": round(peak.pool, 4),
        "pool_peak_at": dg.MetadataValue.timestamp(peak.taken_at),
        "pool": lines(f"{database}: connections in use", "share", {"connections": pool}),
        "sessions": lines(f"{database}: longest at each sample", "seconds", times),
    }


def _statements(store: Connection, database: str) -> dg.MarkdownMetadataValue:
    rows = map(_statement, heaviest(store, database, datetime.now(UTC), WORST))
    return table(_STATEMENT, rows)


def _targets(store: Connection, database: str, targets: Targets) -> dg.MarkdownMetadataValue:
    """Return how long the declared queries with a target took, those above it first."""
    found = heaviest(store, database, datetime.now(UTC), _ALL)
    measured = [(target, each) for each in found if (target := targets.of(each.text))]
    rows = [
        (code(target.query), code(each.server), f"{target.limit_ms:,.0f} ms", *_times(each))
        for target, each in sorted(measured, key=lambda pair: pair[0].limit_ms - _usual(pair[1]))
    ]
    called = {target.query for target, _ in measured}
    rows += [
        (code(target.query), "", f"{target.limit_ms:,.0f} ms", "", "", "not called")
        for target in sorted(targets.by_query.values())
        if target.query not in called
    ]
    return table(("query", "server", "target:", "p95 (estimated):", "mean:", "calls:"), rows)


_ALL = 100_000


def _usual(each: Statement) -> float:
    """Return what is compared with a target, in milliseconds."""
    return each.mean_ms if each.p95_ms is None else each.p95_ms


def _times(each: Statement) -> tuple[str, str, str]:
    p95 = f"{each.p95_ms:,.1f} ms" if each.p95_ms is not None else ""
    return p95, f"{each.mean_ms:,.2f} ms", f"{each.calls:,}"


_STATEMENT = (
    "query",
    "server",
    "calls:",
    "per s:",
    "total:",
    "share:",
    "mean:",
    "p95 (estimated):",
    "longest:",
    "rows per call:",
    "blocks read:",
    "temporary files:",
    "WAL:",
    "text",
)


def _statement(each: Statement) -> tuple[str, ...]:
    return (
        code(each.statement),
        code(each.server),
        f"{each.calls:,}",
        f"{each.calls_per_second:,.2f}" if each.calls_per_second is not None else "",
        f"{each.total_ms / 1000:,.1f} s",
        f"{each.time_share:.1%}",
        f"{each.mean_ms:,.2f} ms",
        f"{each.p95_ms:,.1f} ms" if each.p95_ms is not None else "",
        f"{each.worst_ms:,.1f} ms" if each.worst_ms is not None else "",
        f"{each.rows_per_call:,.1f}",
        f"{each.blocks_read:,}",
        readable_size(each.temp_bytes) if each.temp_bytes is not None else "unknown",
        readable_size(each.wal_bytes) if each.wal_bytes is not None else "unknown",
        code(shown(each.text)),
    )


def _tables(store: Connection, database: str) -> dg.MarkdownMetadataValue:
    rows = (
        (
            code(each.object),
            str(each.n_partitions or ""),
            readable_size(each.size_bytes),
            readable_size(max(each.grown_in_a_week or 0, 0)),
        )
        for each in largest(store, database, WORST)
    )
    return table(("table", "partitions:", "size:", "growth in a week:"), rows)
