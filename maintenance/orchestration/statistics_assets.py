"""The statistics asset: what was analyzed, why, and how long it took."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from maintenance.engine.runner import Outcome, Result
from maintenance.maintain import Report
from maintenance.orchestration.checks import check_results, check_specs
from maintenance.orchestration.metadata import Metadata, cost_metadata
from maintenance.orchestration.resources import Maintainer, fail_if_undone
from maintenance.policy import Policy
from maintenance.statistics import STATISTICS

GROUP = "statistics"

LISTED = 100
"""So many tables are listed, the most pressing first; the others are counted."""


def statistics_key(policy: Policy) -> dg.AssetKey:
    """Return the key `<db>/statistics`."""
    return dg.AssetKey([policy.database.name, "statistics"])


def statistics_asset(policy: Policy) -> dg.AssetsDefinition:
    """Make the asset that analyzes what has to be."""
    key = statistics_key(policy)
    kinds = STATISTICS.finding_kinds

    @dg.asset(
        key=key,
        # ANALYZE follows attach and detach.
        deps=[dg.AssetKey([policy.database.name, "partition_inventory"])]
        if policy.partitions
        else [],
        group_name=GROUP,
        check_specs=check_specs(key, kinds),
        pool=f"{policy.database.name}_work",
        kinds={"postgres"},
        tags={"database": policy.database.name},
        description=(
            "Every table and partitioned parent that changed beyond the policy, or has no"
            " statistics, is analyzed, worst first, inside the time budget. What autovacuum is at"
            " work on is left to it.\n\n"
            "**When red:** the failed check names the table or the right that is missing, with"
            " the GRANT to run."
        ),
    )
    def statistics(
        context: dg.AssetExecutionContext, maintainer: Maintainer
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        report = maintainer.apply(context, policy, STATISTICS.name)
        yield from check_results(key, kinds, report.findings)
        fail_if_undone(report)
        yield dg.MaterializeResult(asset_key=key, metadata=statistics_metadata(report))

    return statistics


def statistics_metadata(report: Report) -> Metadata:
    """Return what was done: a table to read, and numbers to plot."""
    done = [result for result in report.results if result.outcome is Outcome.DONE]
    return {
        "analyzed": len(done),
        "left_over": sum(result.outcome is Outcome.SKIPPED for result in report.results),
        "skipped": len(report.plan.skipped),
        "seconds": round(sum(result.duration_ms for result in done) / 1000, 3),
        "what": dg.MetadataValue.md(_listed(report)),
        **cost_metadata(report),
    }


def _listed(report: Report) -> str:
    if not report.results and not report.plan.skipped:
        return "all statistics are right"
    lines = [
        "| table | why | outcome | rows before | rows after | ms |",
        "|---|---|---|--:|--:|--:|",
    ]
    lines += [_line(result) for result in report.results[:LISTED]]
    lines += [f"| `{_plain(s.object)}` | {s.reason} | skipped | | | |" for s in report.plan.skipped]
    more = len(report.results) - LISTED
    return "\n".join([*lines, f"\nand {more} more"] if more > 0 else lines)


def _line(result: Result) -> str:
    before, after = (result.detail.get(when, {}).get("rows") for when in ("before", "after"))
    shown = " | ".join(
        "" if rows is None or rows < 0 else f"{rows:,.0f}" for rows in (before, after)
    )
    why = result.error or result.action.reason
    return (
        f"| `{_plain(result.action.object)}` | {_plain(why)} | {result.outcome} | {shown} |"
        f" {result.duration_ms:,.0f} |"
    )


def _plain(text: str) -> str:
    """Keep a hostile name from breaking the table."""
    return " ".join(text.replace("|", "\\|").replace("`", "'").split())
