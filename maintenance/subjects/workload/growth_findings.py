"""Findings on growth: tables and a database that grow too fast, a disk that will be full. Pure.

A load is not growth: it is reported once as information, and not extrapolated.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import readable_size
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.subjects.workload.growth import LEAST_BYTES, Growth, growth, has_changed
from maintenance.subjects.workload.models import WorkloadSnapshot
from maintenance.trend import Reach, Step

FORECAST = timedelta(weeks=4)
"""A disk that will be full later is not reported."""


def growth_findings(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot, now: datetime
) -> Iterator[Finding]:
    """Yield the findings on growth of tables, of the database and on the server's disk."""
    found = [*_tables(section, load, now)]
    yield from found
    for finding in _database(database, section, load, now):
        # A load of the database is that of its tables.
        if finding.severity is not Severity.INFO or not found:
            yield finding


def _tables(section: WorkloadPolicy, load: WorkloadSnapshot, now: datetime) -> Iterator[Finding]:
    for size in load.sizes:
        name = str(size.relation)
        before = load.sizes_before.get(name, ())
        if has_changed(before, size.size_bytes):
            yield from _grown(
                name, size.n_partitions, growth(before, now, size.size_bytes), section
            )


def _database(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot, now: datetime
) -> Iterator[Finding]:
    before = [(look.taken_at, look.size_bytes) for look in load.looks if look.size_bytes]
    grown = growth(before, now, load.size_bytes) if load.size_bytes else None
    if load.free_bytes is None:
        yield from _grown(database, 0, grown, section)
        return
    left = load.free_bytes - section.disk_growth.free_disk
    full = grown.reaches(max(left, 0)) if grown is not None else None
    if left < 0 or (full is not None and full.at < now + FORECAST):
        yield _disk(database, section, load.free_bytes, grown, full)
    else:
        yield from _grown(database, 0, grown, section)


def _disk(
    database: str,
    section: WorkloadPolicy,
    free_bytes: int,
    grown: Growth | None,
    full: Reach | None,
) -> Finding:
    limit = section.disk_growth.free_disk
    is_below = free_bytes <= limit
    when = f", at the present rate less than wanted {_dates(full)}" if full and not is_below else ""
    return Finding(
        FindingKind.DISK_GROWTH,
        Severity.ERROR if is_below else Severity.WARN,
        database,
        f"{database}: {readable_size(free_bytes)} free on the server's disk{when}, wanted at least"
        f" {readable_size(limit)}; free disk space, or shorten retention",
        value=free_bytes,
        threshold=limit,
        data={
            "full_at": full.at.isoformat() if full else None,
            "earliest": full.earliest.isoformat() if full else None,
            "latest": full.latest.isoformat() if full and full.latest else None,
            **_data(grown),
        },
    )


def _dates(full: Reach) -> str:
    if full.latest is None:
        return f"on {full.at:%Y-%m-%d} (earliest {full.earliest:%Y-%m-%d}, perhaps never)"
    if full.earliest.date() == full.latest.date():
        return f"on {full.at:%Y-%m-%d}"
    return f"on {full.at:%Y-%m-%d} ({full.earliest:%Y-%m-%d} to {full.latest:%Y-%m-%d})"


def _grown(
    name: str, n_partitions: int, grown: Growth | None, section: WorkloadPolicy
) -> Iterator[Finding]:
    limit = section.disk_growth.fraction_per_week
    if grown is None:
        return
    if grown.fraction_a_week > limit and grown.bytes_a_week >= LEAST_BYTES:
        yield _grows(name, n_partitions, grown, limit)
    elif grown.load is not None and grown.load.rise > limit * grown.week_ago:
        yield _loaded(name, n_partitions, grown, grown.load, limit)


def _grows(name: str, n_partitions: int, grown: Growth, limit: float) -> Finding:
    trend = grown.trend
    low, high = grown.in_month(trend.low), grown.in_month(trend.high)
    spread = f" ({readable_size(low)} to {readable_size(high)})" if high > low else ""
    doubt = "" if grown.is_known else "; it was seen only twice, so it may have been a single load"
    return Finding(
        FindingKind.DISK_GROWTH,
        Severity.WARN if grown.is_known else Severity.INFO,
        name,
        f"{_sized(name, n_partitions, grown)}, growing by {grown.fraction_a_week:.0%}"
        f" ({readable_size(grown.bytes_a_week)}) per week since {trend.since:%Y-%m-%d}, wanted at"
        f" most {limit:.0%}; at this rate {readable_size(grown.in_month(trend.per_day))}{spread} in"
        f" a month{doubt}",
        value=round(grown.fraction_a_week, 3),
        threshold=limit,
        data={
            **_data(grown),
            "in_a_month_bytes": round(grown.in_month(trend.per_day)),
            "in_a_month_low_bytes": round(low),
            "in_a_month_high_bytes": round(high),
            "n_partitions": n_partitions,
        },
    )


def _loaded(name: str, n_partitions: int, grown: Growth, load: Step, limit: float) -> Finding:
    is_over = load.until < grown.trend.until
    outlook = (
        "a single load; it has not grown like that since"
        if is_over
        else "the next observation shows whether that was a single load"
    )
    return Finding(
        FindingKind.DISK_GROWTH,
        Severity.INFO,
        name,
        f"{_sized(name, n_partitions, grown)}, {readable_size(load.rise)} of it added between"
        f" {load.since:%Y-%m-%d %H:%M} and {load.until:%Y-%m-%d %H:%M}: {outlook}",
        value=round(grown.fraction_a_week, 3),
        threshold=limit,
        data={**_data(grown), "n_partitions": n_partitions},
    )


def _sized(name: str, n_partitions: int, grown: Growth) -> str:
    parts = f" in {n_partitions} partitions" if n_partitions else ""
    return f"{name}: {readable_size(grown.trend.value)}{parts}"


def _data(grown: Growth | None) -> dict[str, Any]:
    """Return the numbers of a trend, per week."""
    if grown is None:
        return {}
    trend = grown.trend
    load = trend.step
    return {
        "bytes_a_week": round(grown.bytes_a_week),
        "low_bytes_a_week": round(trend.low * 7),
        "high_bytes_a_week": round(trend.high * 7),
        "since": trend.since.isoformat(),
        "n_looks": trend.n_looks,
        "load": {
            "since": load.since.isoformat(),
            "until": load.until.isoformat(),
            "bytes": round(load.rise),
            "is_over": load.until < trend.until,
        }
        if load is not None
        else None,
    }
