"""Assets of partitioned tables: one per table, partitioned by period, and the inventory."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

import dagster as dg

from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.scope import Request
from maintenance.formatting import visible
from maintenance.orchestration.conversion_metadata import LiveProgress, show_conversions
from maintenance.orchestration.maintainer import MAINTAINER, fail_if_undone, is_held
from maintenance.orchestration.markdown import code
from maintenance.orchestration.metadata import (
    Metadata,
    inventory_metadata,
    period_metadata,
    shared_metadata,
)
from maintenance.orchestration.naming import asset_key
from maintenance.orchestration.partitions_defs import partition_set, partitions_key
from maintenance.orchestration.subject_asset import AssetResult, Frame, face, make_asset
from maintenance.pipeline.run import Report
from maintenance.policy import PartitionPolicy, Policy
from maintenance.subjects.conversion import CONVERSION
from maintenance.subjects.partitions import PARTITIONS

GROUP = "partitions"


def partitions_asset(
    policy: Policy, section: PartitionPolicy, now: datetime
) -> dg.AssetsDefinition:
    """Build the asset that creates the partitions of periods if they are missing."""
    arguments = face(
        policy,
        partitions_key(policy, section),
        group=GROUP,
        pool="ddl",
        kinds=("postgres", "table"),
        partitions_def=partition_set(section, now),
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"dagster/table_name": str(section.table), "key": section.column},
        about=(
            f"Partitions of {code(str(section.table))}, interval"
            f" {section.interval.value}, premake {section.premake}. Materializing a period"
            " creates its partition; an existing partition is not changed."
        ),
        when_red=(
            "the last error of the run names the blocking lock or conflicting object. Nothing is"
            " half created: remove the cause and run it again."
        ),
    )

    def ensure_partitions(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        keys = tuple(context.partition_keys)
        report = MAINTAINER.apply(context, policy, PARTITIONS.name, Request(section.table, keys))
        present = period_metadata(policy, section, report)
        present |= shared_metadata(policy, section, report, set(keys) - present.keys())
        there = {key: present[key] for key in keys if key in present}
        fail_if_undone(report)
        if len(there) < len(keys) and (is_held(report) or awaits_conversion(section, report)):
            show_present(context, arguments["key"], there)
            return
        for key, metadata in there.items():
            context.add_asset_metadata(metadata, partition_key=key)
        fail_if_absent(report, set(keys) - present.keys())
        yield dg.MaterializeResult(asset_key=arguments["key"])

    return make_asset(policy, {**arguments, "output_required": False}, ensure_partitions)


def awaits_conversion(section: PartitionPolicy, report: Report) -> bool:
    """Whether the table is to become partitioned later, so that it has no partitions yet."""
    return any(
        finding.kind is FindingKind.NOT_PARTITIONED
        and finding.object == str(section.table)
        and finding.severity is not Severity.ERROR
        for finding in report.findings
    )


def show_present(
    context: dg.AssetExecutionContext, key: dg.AssetKey, present: Mapping[str, Metadata]
) -> None:
    """Materialize only the periods that exist, in a run whose other periods have to wait."""
    for period, metadata in present.items():
        context.log_event(
            dg.AssetMaterialization(asset_key=key, partition=period, metadata=metadata)
        )


def inventory_key(policy: Policy) -> dg.AssetKey:
    """Return the asset key `<db>/partition_inventory`."""
    return asset_key(policy, "partition_inventory")


def inventory_asset(policy: Policy) -> dg.AssetsDefinition:
    """Build the asset that shows all partitions of the catalog and creates missing ones."""
    arguments = face(
        policy,
        inventory_key(policy),
        group=GROUP,
        pool="ddl",
        deps=[partitions_key(policy, section) for section in policy.partitions],
        about=(
            "All partitions as they are in the catalog now, whatever earlier runs reported. Missing"
            " periods up to the horizon are created. A table with `convert: online` that is not"
            " partitioned yet is converted, step by step as the log shows."
        ),
        when_red=(
            "the failed check names the table, the value and the threshold, and says what to do."
        ),
    )
    frame = Frame(policy, PARTITIONS, arguments, further=CONVERSION.finding_kinds)

    def take_stock(context: dg.AssetExecutionContext) -> Iterator[AssetResult]:
        live = LiveProgress(policy, context)
        report = MAINTAINER.apply(
            context, policy, PARTITIONS.name, first=[CONVERSION.name], also=live
        )
        show_conversions(policy, context, report)
        for event in repaired(policy, report):
            context.log_event(event)
        yield from frame.results(report, lambda: inventory_metadata(policy, report))

    return frame.asset(take_stock)


def repaired(policy: Policy, report: Report) -> Iterator[dg.AssetMaterialization]:
    """Yield a materialization on the table's asset for every period that the run created."""
    sections = {str(section.table): section for section in policy.partitions}
    for result in report.results:
        if result.outcome is Outcome.DONE and result.action.table in sections:
            yield dg.AssetMaterialization(
                asset_key=partitions_key(policy, sections[result.action.table]),
                partition=result.action.period,
                description=result.action.reason,
                metadata={"state": "created", "partition": visible(result.action.object)},
            )


def fail_if_absent(report: Report, keys: Collection[str]) -> None:
    """Fail the run if a period has no partition although no action failed.

    Raises:
        dagster.Failure: with the findings that give the reason.
    """
    if keys:
        reasons = "\n".join(finding.message for finding in report.findings)
        raise dg.Failure(
            description=f"no partition exists for {', '.join(sorted(keys))}\n{reasons}",
            allow_retries=False,
        )
