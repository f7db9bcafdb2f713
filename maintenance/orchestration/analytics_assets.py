"""The assets of stale analytics and of the application's cache."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from maintenance.analytics import STALE_ANALYTICS
from maintenance.cache.facts import CacheFacts
from maintenance.caching import CACHING
from maintenance.engine.findings import Finding, FindingKind
from maintenance.engine.runner import Outcome
from maintenance.maintain import Report
from maintenance.names import QualifiedName
from maintenance.orchestration.checks import check_results, check_specs
from maintenance.orchestration.matview_assets import matview_key, source_key
from maintenance.orchestration.metadata import Metadata, actions_metadata
from maintenance.orchestration.resources import Maintainer, fail_if_undone
from maintenance.policy import Policy
from maintenance.sizes import readable_size

_MEGABYTE = 2**20


def analytics_key(policy: Policy) -> dg.AssetKey:
    """Return the key `<db>/stale_analytics`."""
    return dg.AssetKey([policy.database.name, "stale_analytics"])


def tables_watched(policy: Policy) -> set[QualifiedName]:
    """Return the tables of computed rows, and those of their activity."""
    sections = policy.stale_analytics
    activity = {section.activity.table for section in sections if section.activity}
    return activity | {section.table for section in sections}


def analytics_asset(policy: Policy) -> dg.AssetsDefinition:
    """Make the asset that shows stale computed rows, and recalculates them."""
    key, kinds = analytics_key(policy), STALE_ANALYTICS.finding_kinds
    tables = sorted(tables_watched(policy))

    @dg.asset(
        key=key,
        deps=[source_key(policy, table) for table in tables],
        group_name="analytics",
        check_specs=check_specs(key, kinds),
        pool=f"{policy.database.name}_work",
        kinds={"postgres"},
        tags={"database": policy.database.name},
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=max(section.max_age for section in policy.stale_analytics)
        ),
        description=(
            "Computed rows that are older than the policy allows though their activity is newer."
            " Materializing recalculates them in small batches, where the policy says how.\n\n"
            "**When red:** the failed check names the table, and how many rows are stale."
        ),
    )
    def stale_analytics(
        context: dg.AssetExecutionContext, maintainer: Maintainer
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        report = maintainer.apply(context, policy, STALE_ANALYTICS.name)
        yield from check_results(key, kinds, report.findings)
        fail_if_undone(report)
        yield dg.MaterializeResult(asset_key=key, metadata=_analytics(policy, report))

    return stale_analytics


def _analytics(policy: Policy, report: Report) -> Metadata:
    before = _stale(report.plan.findings)
    left = _stale(report.findings)
    done = {r.action.object: r.detail for r in report.results if r.outcome is Outcome.DONE}
    lines = ["| table | stale before | recalculated | stale now |", "|---|--:|--:|--:|"]
    for section in policy.stale_analytics:
        name = str(section.table)
        keys = done.get(name, {}).get("keys", 0)
        lines.append(f"| `{name}` | {before.get(name, 0):,} | {keys:,} | {left.get(name, 0):,} |")
    ages = [float(f.data["oldest_age_s"] or 0) for f in report.plan.findings if _is_stale(f)]
    return {
        "tables": dg.MetadataValue.md("\n".join(lines)),
        "stale_rows": sum(before.values()),
        "stale_rows_left": sum(left.values()),
        "rows_recalculated": sum(int(detail.get("keys", 0)) for detail in done.values()),
        "oldest_hours": round(max(ages, default=0.0) / 3600, 1),
        **({"sql": actions_metadata(report)["sql"]} if report.plan.actions else {}),
    }


def _is_stale(finding: Finding) -> bool:
    return finding.kind is FindingKind.ANALYTICS_STALE


def _stale(findings: tuple[Finding, ...]) -> dict[str, int]:
    return {f.object: int(f.value or 0) for f in findings if _is_stale(f)}


def cache_key(policy: Policy) -> dg.AssetKey:
    """Return the key `<db>/redis`."""
    return dg.AssetKey([policy.database.name, "redis"])


def cache_asset(policy: Policy) -> dg.AssetsDefinition:
    """Make the asset that shows how the application's cache does, and tells it what it is owed."""
    key, kinds = cache_key(policy), CACHING.finding_kinds

    @dg.asset(
        key=key,
        deps=[matview_key(policy, view.name) for view in policy.matviews if view.invalidates],
        group_name="health",
        check_specs=check_specs(key, kinds),
        pool=f"{policy.database.name}_work",
        kinds={"redis"},
        tags={"database": policy.database.name},
        description=(
            "The application's cache: hit rate since the last look, memory, evictions, keys that"
            " never expire. Invalidations that it could not be told before are told now.\n\n"
            "**When red:** the failed check says whether it is unreachable, or of little use."
        ),
    )
    def redis(
        context: dg.AssetExecutionContext, maintainer: Maintainer
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        before = maintainer.cache_facts(policy)
        report = maintainer.apply(context, policy, CACHING.name)
        yield from check_results(key, kinds, report.findings)
        fail_if_undone(report)
        now = maintainer.cache_facts(policy)
        yield dg.MaterializeResult(asset_key=key, metadata=_cache(report, before, now))

    return redis


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
