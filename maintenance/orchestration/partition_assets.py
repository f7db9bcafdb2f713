"""The assets of partitioned tables: a period each, and the inventory that tells the truth."""

from collections.abc import Collection, Iterator
from datetime import datetime

import dagster as dg

from maintenance.engine.executor import Outcome
from maintenance.engine.scope import Request
from maintenance.formatting import visible
from maintenance.names import slug
from maintenance.orchestration.markdown import code
from maintenance.orchestration.metadata import inventory_metadata, period_metadata, shared_metadata
from maintenance.orchestration.partitions_defs import partition_set
from maintenance.orchestration.resources import Maintainer, fail_if_undone
from maintenance.orchestration.subject_asset import Frame, Told, face, make_asset
from maintenance.pipeline.run import Report
from maintenance.policy import PartitionPolicy, Policy
from maintenance.subjects.partitions import PARTITIONS

GROUP = "partitions"


def partitions_key(policy: Policy, section: PartitionPolicy) -> dg.AssetKey:
    """Return the key of a table's partitions: `<db>/partitions/<table>`."""
    return dg.AssetKey([policy.database.name, "partitions", slug(section.table)])


def partitions_asset(
    policy: Policy, section: PartitionPolicy, now: datetime
) -> dg.AssetsDefinition:
    """Make the asset whose materialization ensures that the physical partitions exist."""
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
            f"Partitions of {code(str(section.table))}, one for each period of"
            f" {section.interval.value}, {section.premake} ahead of now. Materializing a period"
            " makes sure that its partition exists; one that exists is left alone."
        ),
        when_red=(
            "the run's last error says which lock was busy or what stands in the way; nothing is"
            " half made, so run it again once that is mended."
        ),
    )

    def ensure_partitions(context: dg.AssetExecutionContext, maintainer: Maintainer) -> None:
        keys = tuple(context.partition_keys)
        report = maintainer.apply(context, policy, PARTITIONS.name, Request(section.table, keys))
        present = period_metadata(policy, section, report)
        present |= shared_metadata(policy, section, report, set(keys) - present.keys())
        for key in present.keys() & set(keys):
            context.add_asset_metadata(present[key], partition_key=key)
        fail_if_undone(report)
        fail_if_absent(report, set(keys) - present.keys())

    return make_asset(arguments, ensure_partitions)


def inventory_key(policy: Policy) -> dg.AssetKey:
    """Return the key `<db>/partition_inventory`."""
    return dg.AssetKey([policy.database.name, "partition_inventory"])


def inventory_asset(policy: Policy) -> dg.AssetsDefinition:
    """Make the asset that shows what the catalog holds, and repairs what is missing."""
    arguments = face(
        policy,
        inventory_key(policy),
        group=GROUP,
        pool="ddl",
        deps=[partitions_key(policy, section) for section in policy.partitions],
        about=(
            "Every partition as the catalog has it, not as past runs left it green. Missing"
            " periods up to the horizon are created on the way."
        ),
        when_red=(
            "open the failed check; its text names table, value and threshold, and what to do."
        ),
    )
    frame = Frame(policy, PARTITIONS, arguments)

    def take_stock(context: dg.AssetExecutionContext, maintainer: Maintainer) -> Iterator[Told]:
        report = maintainer.apply(context, policy, PARTITIONS.name)
        for event in repaired(policy, report):
            context.log_event(event)
        yield from frame.tell(report, lambda: inventory_metadata(policy, report))

    return frame.asset(take_stock)


def repaired(policy: Policy, report: Report) -> Iterator[dg.AssetMaterialization]:
    """Yield a materialization for every period that the run created, on its table's asset."""
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
    """Fail for periods without a partition although no action failed: the table is unfit.

    Raises:
        dagster.Failure: with the findings that say why.
    """
    if keys:
        reasons = "\n".join(finding.message for finding in report.findings)
        raise dg.Failure(
            description=f"no partition holds {', '.join(sorted(keys))}\n{reasons}",
            allow_retries=False,
        )
