"""Archive assets: one per table, partitioned by period."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import dagster as dg

from maintenance.archives import Manifest, list_archives
from maintenance.engine.executor import Outcome
from maintenance.engine.scope import Request
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError
from maintenance.formatting import readable_size
from maintenance.names import slug
from maintenance.orchestration.maintainer import MAINTAINER, fail_if_undone, is_held
from maintenance.orchestration.markdown import code
from maintenance.orchestration.metadata import Metadata
from maintenance.orchestration.naming import asset_key
from maintenance.orchestration.partition_assets import GROUP, show_present
from maintenance.orchestration.partitions_defs import partition_set, partitions_key
from maintenance.orchestration.subject_asset import face, make_asset
from maintenance.policy import Archive, PartitionPolicy, Policy
from maintenance.subjects.retention import RETENTION


def archives_key(policy: Policy, section: PartitionPolicy) -> dg.AssetKey:
    """Return the asset key of a table's archives: `<db>/archives/<table>`."""
    return asset_key(policy, "archives", slug(section.table))


def archives_asset(
    policy: Policy, section: PartitionPolicy, archive: Archive, now: datetime
) -> dg.AssetsDefinition:
    """Build the asset that archives periods and verifies each archive by reading it back.

    For a period whose partition was dropped, it shows the archive verified by an earlier run.
    """
    arguments = face(
        policy,
        archives_key(policy, section),
        group=GROUP,
        kinds=("postgres", archive.format),
        deps=[partitions_key(policy, section)],
        partitions_def=partition_set(section, now),
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"dagster/table_name": str(section.table)},
        about=(
            f"Archives of {code(str(section.table))}. Materializing a period writes its rows to the"
            " archive, reads them back and compares them; the partition is not dropped. An existing"
            " archive is verified again."
        ),
        when_red=(
            "the last error of the run gives the reason from the archive storage or the table; an"
            " incomplete archive is never left under its final name."
        ),
    )

    def archives(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        keys = tuple(context.partition_keys)
        report = MAINTAINER.apply(
            context, policy, RETENTION.name, Request(section.table, archives=keys)
        )
        present = _manifests(policy, section, archive)
        proven = {r.action.period for r in report.results if r.outcome is Outcome.DONE}
        there = {
            key: _metadata(present[key]) | {"verified": key in proven}
            for key in keys
            if key in present
        }
        fail_if_undone(report)
        absent = sorted(set(keys) - present.keys())
        if is_held(report) and absent:
            show_present(context, arguments["key"], there)
            return
        for key, metadata in there.items():
            context.add_asset_metadata(metadata, partition_key=key)
        if absent:
            raise dg.Failure(
                description=f"no partition and no archive of {', '.join(absent)}",
                allow_retries=False,
            )
        yield dg.MaterializeResult(asset_key=arguments["key"])

    return make_asset(policy, {**arguments, "output_required": False}, archives)


def _manifests(policy: Policy, section: PartitionPolicy, archive: Archive) -> dict[str, Manifest]:
    try:
        key = Target(policy).sealing_key(archive)
        found = list_archives(archive.url, policy.database.name, section.table, key)
    except MaintenanceError as exc:
        raise dg.Failure(description=str(exc), allow_retries=True) from None
    return {period: manifest for period, manifest in found if isinstance(manifest, Manifest)}


def _metadata(manifest: Manifest) -> Metadata:
    data, content = manifest.data, manifest.content
    return {
        "dagster/partition_row_count": content.n_rows,
        "size_bytes": data.size_bytes,
        "size": readable_size(data.size_bytes),
        "format": data.format,
        "sha256": content.sha256,
        "written_at": dg.MetadataValue.timestamp(manifest.written_at),
    }
