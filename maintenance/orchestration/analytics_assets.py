"""Assets of stale analytics and of the Redis cache."""

from collections.abc import Iterator

import dagster as dg

from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Finding, FindingKind
from maintenance.formatting import readable_size
from maintenance.names import QualifiedName
from maintenance.orchestration.maintainer import MAINTAINER
from maintenance.orchestration.markdown import code, table
from maintenance.orchestration.matview_assets import matview_key, source_key
from maintenance.orchestration.metadata import Metadata
from maintenance.orchestration.naming import asset_key
from maintenance.orchestration.subject_asset import AssetResult, Frame, face, subject_asset
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from maintenance.redis_client.models import CacheFacts
from maintenance.subjects.redis import CACHING
from maintenance.subjects.stale_analytics import STALE_ANALYTICS

_MEGABYTE = 2**20


def analytics_key(policy: Policy) -> dg.AssetKey:
    """Return the asset key `<db>/stale_analytics`."""
    return asset_key(policy, "stale_analytics")


def tables_watched(policy: Policy) -> set[QualifiedName]:
    """Return the tables with computed rows, and their activity tables."""
    sections = policy.stale_analytics
    activity = {section.activity.table for section in sections if section.activity}
    return activity | {section.table for section in sections}


def analytics_asset(policy: Policy) -> dg.AssetsDefinition:
    """Build the asset that reports stale computed rows and recalculates them."""
    arguments = face(
        policy,
        analytics_key(policy),
        group="analytics",
        deps=[source_key(policy, table) for table in sorted(tables_watched(policy))],
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=max(section.max_age for section in policy.stale_analytics)
        ),
        about=(
            "Computed rows that are older than `max_age` although their activity is newer."
            " Materializing recalculates them in small batches if the policy has a recalculation."
        ),
        when_red="the failed check names the table and the number of stale rows.",
    )
    frame = Frame(policy, STALE_ANALYTICS, arguments)
    return subject_asset(frame, lambda report: _analytics(policy, report))


def _analytics(policy: Policy, report: Report) -> Metadata:
    before = _stale(report.plan.findings)
    left = _stale(report.findings)
    done = {r.action.object: r.detail for r in report.results if r.outcome is Outcome.DONE}
    names = sorted((str(s.table) for s in policy.stale_analytics), key=lambda n: -left.get(n, 0))
    rows = [
        (
            code(name),
            f"{before.get(name, 0):,}",
            f"{done.get(name, {}).get('keys', 0):,}",
            f"{left.get(name, 0):,}",
        )
        for name in names
    ]
    ages = [float(f.data["oldest_age_s"] or 0) for f in report.plan.findings if _is_stale(f)]
    return {
        "tables": table(("table", "stale before:", "recalculated:", "stale now:"), rows),
        "stale_rows": sum(before.values()),
        "stale_rows_left": sum(left.values()),
        "rows_recalculated": sum(int(detail.get("keys", 0)) for detail in done.values()),
        "oldest_hours": round(max(ages, default=0.0) / 3600, 1),
    }


def _is_stale(finding: Finding) -> bool:
    return finding.kind is FindingKind.ANALYTICS_STALE


def _stale(findings: tuple[Finding, ...]) -> dict[str, int]:
    return {f.object: int(f.value or 0) for f in findings if _is_stale(f)}


def cache_key(policy: Policy) -> dg.AssetKey:
    """Return the asset key `<db>/redis`."""
    return asset_key(policy, "redis")


def cache_asset(policy: Policy) -> dg.AssetsDefinition:
    """Build the asset that monitors the Redis cache and retries pending cache invalidations."""
    arguments = face(
        policy,
        cache_key(policy),
        group="health",
        kinds=("redis",),
        deps=[matview_key(policy, view.name) for view in policy.matviews if view.invalidates],
        about=(
            "The application's Redis cache: hit rate since the last observation, memory, evictions,"
            " keys without expiry. Materializing also retries pending cache invalidations."
        ),
        when_red="the failed check says whether Redis is unreachable or the hit rate is low.",
    )
    frame = Frame(policy, CACHING, arguments)

    def look(context: dg.AssetExecutionContext) -> Iterator[AssetResult]:
        before = MAINTAINER.cache_facts(policy)
        report = MAINTAINER.apply(context, policy, CACHING.name)
        yield from frame.results(
            report, lambda: _cache(report, before, MAINTAINER.cache_facts(policy))
        )

    return frame.asset(look)


def _cache(report: Report, before: CacheFacts | None, now: CacheFacts | None) -> Metadata:
    told = sum(int(result.detail.get("keys_removed", 0)) for result in report.results)
    metadata: Metadata = {"keys_removed": told}
    if now is None or now == before:
        return metadata
    metadata |= {
        "keys": now.n_keys,
        "keys_without_ttl": now.n_without_ttl,
        "used_memory_megabytes": round(now.used_memory_bytes / _MEGABYTE, 1),
        "used_memory": readable_size(now.used_memory_bytes),
        "version": now.version,
    }
    if before is not None and before.server_run == now.server_run:
        lookups = now.n_lookups - before.n_lookups
        metadata |= {"lookups": lookups, "evicted": now.evicted - before.evicted}
        if lookups > 0:
            metadata["hit_rate"] = round((now.hits - before.hits) / lookups, 4)
    return metadata
