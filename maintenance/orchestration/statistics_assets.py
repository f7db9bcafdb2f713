"""The statistics asset: analyzed tables, with reason and duration."""

import dagster as dg

from maintenance.engine.executor import Outcome, Result
from maintenance.orchestration.markdown import code, plain, table
from maintenance.orchestration.metadata import Metadata
from maintenance.orchestration.naming import asset_key
from maintenance.orchestration.partition_assets import inventory_key
from maintenance.orchestration.subject_asset import Frame, face, subject_asset
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from maintenance.subjects.statistics import STATISTICS

LISTED = 100
"""Number of tables listed, the most urgent first; the others are counted."""

_HEAD = ("table", "why", "outcome", "rows before:", "rows after:", "took:")


def statistics_key(policy: Policy) -> dg.AssetKey:
    """Return the asset key `<db>/statistics`."""
    return asset_key(policy, "statistics")


def statistics_asset(policy: Policy) -> dg.AssetsDefinition:
    """Build the asset that analyzes tables with stale or missing statistics."""
    arguments = face(
        policy,
        statistics_key(policy),
        group="statistics",
        # After the inventory: ANALYZE conflicts with attach and detach.
        deps=[inventory_key(policy)] if policy.partitions else [],
        # The last of the steps that can start, since a refresh makes statistics stale. With a
        # dependency, one failed view would keep all tables from being analyzed.
        op_tags={"dagster/priority": "-1"},
        about=(
            "Analyzes tables and partitioned tables whose statistics are missing or older than the"
            " policy allows, most urgent first, within the time budget. Tables that autovacuum is"
            " processing are skipped."
        ),
        when_red=(
            "the failed check names the table, or the missing privilege with the GRANT to run."
        ),
    )
    return subject_asset(Frame(policy, STATISTICS, arguments), statistics_metadata)


def statistics_metadata(report: Report) -> Metadata:
    """Return the analyzed tables: a table to read, and numbers to plot."""
    done = [result for result in report.results if result.outcome is Outcome.DONE]
    return {
        "analyzed": len(done),
        "left_over": sum(result.outcome is Outcome.SKIPPED for result in report.results),
        "skipped": len(report.plan.skipped),
        "seconds": round(sum(result.duration_ms for result in done) / 1000, 3),
        "what": _listed(report),
    }


def _listed(report: Report) -> dg.MarkdownMetadataValue:
    if not report.results and not report.plan.skipped:
        return dg.MetadataValue.md("all statistics are up to date")
    rows = [_row(result) for result in report.results[:LISTED]]
    rows += [(code(s.object), plain(s.reason), "skipped", "", "", "") for s in report.plan.skipped]
    more = len(report.results) - LISTED
    return table(_HEAD, rows, f"and {more} more" if more > 0 else "")


def _row(result: Result) -> tuple[str, ...]:
    before, after = (result.detail.get(when, {}).get("rows") for when in ("before", "after"))
    shown = ("" if rows is None or rows < 0 else f"{rows:,.0f}" for rows in (before, after))
    why = plain(result.error or result.action.reason)
    took = f"{result.duration_ms:,.0f} ms"
    return code(result.action.object), why, result.outcome.value, *shown, took
