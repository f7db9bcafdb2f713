"""The retention asset: shows the plan when launched by hand, applies it on schedule."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from maintenance.engine.findings import FindingKind
from maintenance.engine.scope import Request
from maintenance.formatting import readable_size
from maintenance.orchestration.maintainer import MAINTAINER
from maintenance.orchestration.markdown import code, plain, table
from maintenance.orchestration.metadata import Metadata, actions_metadata
from maintenance.orchestration.naming import asset_key
from maintenance.orchestration.partition_assets import GROUP, inventory_key
from maintenance.orchestration.run_mode import Mode
from maintenance.orchestration.subject_asset import AssetResult, Frame, face
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from maintenance.subjects.retention import RETENTION


class RetentionConfig(dg.Config):
    """Mode and limit for runs launched by hand; the launchpad shows the descriptions."""

    mode: Mode = Field(
        default=Mode.PLAN, description="PLAN is a dry run, APPLY archives, detaches and drops."
    )
    max_per_run: int = Field(
        default=0,
        description="Maximum number of partitions per table in this run; 0: as in the policy.",
    )


def retention_key(policy: Policy) -> dg.AssetKey:
    """Return the asset key `<db>/retention`."""
    return asset_key(policy, "retention")


def run_config(policy: Policy, mode: Mode) -> dg.RunConfig:
    """Return the configuration of a run of the retention asset."""
    return dg.RunConfig(
        ops={retention_key(policy).to_python_identifier(): RetentionConfig(mode=mode)}
    )


def retention_asset(policy: Policy) -> dg.AssetsDefinition:
    """Build the asset that archives, detaches and drops expired partitions."""
    arguments = face(
        policy,
        retention_key(policy),
        group=GROUP,
        pool="ddl",
        deps=[inventory_key(policy)],
        about=(
            "Expired partitions are archived, detached and dropped, as the policy says. A run"
            " launched by hand only shows the plan; set `mode: APPLY` to apply it, which also"
            " approves what it retires. A scheduled run retires nothing from a table until that"
            " was approved."
        ),
        when_red=(
            "the failed check or the last error of the run names the partition and the reason."
            " No partition is dropped before its archive is verified, if the policy archives it."
        ),
    )
    frame = Frame(policy, RETENTION, arguments)

    def retire(context: dg.AssetExecutionContext, config: RetentionConfig) -> Iterator[AssetResult]:
        request = _request(config)
        act = MAINTAINER.apply if config.mode is Mode.APPLY else MAINTAINER.plan
        report = act(context, policy, RETENTION.name, request)
        yield from frame.results(
            report,
            lambda: {
                "mode": config.mode.value,
                **unapproved_metadata(report),
                **contents_metadata(report),
                **actions_metadata(report),
            },
        )

    return frame.asset(retire)


def unapproved_metadata(report: Report) -> Metadata:
    """Return what is held until approved: a table, and the rows and bytes to plot."""
    found = [f for f in report.findings if f.kind is FindingKind.RETENTION_UNAPPROVED]
    if not found:
        return {}
    rows = [
        (
            code(f.object),
            plain(f.data["action"]),
            plain(", ".join(f.data["periods"])),
            _known(f.data["rows"], "~{:,}".format),
            _known(f.data["bytes"], readable_size),
            code(f.data["command"]),
        )
        for f in found
    ]
    head = ("table", "action", "periods", "rows:", "size:", "to approve")
    return {
        "held_until_approved": table(head, rows),
        "held_rows": sum(f.data["rows"] or 0 for f in found),
        "held_bytes": sum(f.data["bytes"] or 0 for f in found),
    }


def contents_metadata(report: Report) -> Metadata:
    """Return what the partitions hold that the run retires: a table, and numbers to plot."""
    going = {a.object: a.detail for a in report.plan.actions if "rows_estimate" in a.detail}
    if not going:
        return {}
    rows = [
        (
            code(name),
            _known(detail["rows_estimate"], "~{:,}".format),
            _known(detail["size_bytes"], readable_size),
            _known(detail["oldest"], plain),
            _known(detail["newest"], plain),
            plain(detail["archive"] or "none"),
        )
        for name, detail in going.items()
    ]
    head = ("partition", "rows:", "size:", "oldest key", "newest key", "archive")
    return {
        "expired": table(head, rows),
        "expired_rows": sum(detail["rows_estimate"] or 0 for detail in going.values()),
        "expired_bytes": sum(detail["size_bytes"] or 0 for detail in going.values()),
    }


def _known(value: Any, shown: Callable[[Any], str]) -> str:
    return shown(value) if value is not None else "unknown"


def _request(config: RetentionConfig) -> Request:
    """Return the request of a run; the launchpad accepts any number."""
    if config.max_per_run < 0:
        raise dg.Failure(
            description=f"max_per_run: found {config.max_per_run}, wanted 0 or more",
            allow_retries=False,
        )
    return Request(max_per_run=config.max_per_run or None)
