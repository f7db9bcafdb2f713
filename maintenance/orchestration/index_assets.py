"""The asset that records index usage and reports redundant, unused and invalid indexes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from maintenance.engine.findings import Finding, FindingKind
from maintenance.engine.scope import Request
from maintenance.formatting import readable_size
from maintenance.names import quote
from maintenance.orchestration.markdown import code, plain, sql, table
from maintenance.orchestration.metadata import Metadata
from maintenance.orchestration.naming import asset_key
from maintenance.orchestration.rollout_assets import service_metadata
from maintenance.orchestration.subject_asset import Frame, face, subject_asset
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from maintenance.subjects.indexes import INDEXES

GROUP = "health"
WORST = 20
"""Number of findings in the table, the largest first."""

_SUPERFLUOUS = (
    FindingKind.INDEX_INVALID,
    FindingKind.INDEX_DUPLICATE,
    FindingKind.INDEX_REDUNDANT,
    FindingKind.INDEX_UNUSED,
    FindingKind.INDEX_LOW_CARDINALITY,
)
_UNFIT = (FindingKind.INDEX_PREDICATE_IN_KEY, FindingKind.INDEX_WIDE_KEY, FindingKind.FK_UNINDEXED)
_MEGABYTE = 2**20


def usage_key(policy: Policy) -> dg.AssetKey:
    """Return the asset key `<db>/index_usage`."""
    return asset_key(policy, "index_usage")


def index_usage_asset(policy: Policy) -> dg.AssetsDefinition:
    """Build the asset that records how often each index is used and gives advice."""
    arguments = face(
        policy,
        usage_key(policy),
        group=GROUP,
        about=(
            "Use of each index on the primary and its replicas, with advice: redundant, unused and"
            " invalid indexes, and foreign keys without an index. Nothing is changed; each"
            " finding has the statement to run and the one that reverts it."
        ),
        when_red=(
            "the failed check names the index, its cost and the statement to run. Not urgent,"
            " except for an invalid index, which slows down writes."
        ),
    )
    declared = frozenset(k for k in FindingKind if k.spec.is_of_declaration)
    frame = Frame(policy, INDEXES, arguments, left_out=declared)
    return subject_asset(frame, _describe, Request(rollout=False))


def _describe(report: Report) -> Metadata:
    return {
        **advice_metadata(report.findings),
        **review_metadata(report.findings),
        **service_metadata(report.facts),
    }


def review_metadata(findings: Sequence[Finding]) -> Metadata:
    """Return the verdicts on the indexes that runs built a week ago, as a table."""
    reviewed = [f for f in findings if f.kind is FindingKind.INDEX_REVIEW]
    if not reviewed:
        return {}
    rows = [_reviewed(each) for each in sorted(reviewed, key=lambda each: each.object)]
    return {"reviews": table(_REVIEW_HEAD, rows)}


_REVIEW_HEAD = ("index", "verdict", "scans:", "queries that use it", "times faster:", "expected")


def _reviewed(finding: Finding) -> Sequence[str]:
    data = finding.data
    ratio = data["ratio"]
    return (
        code(finding.object),
        plain(data["verdict"]),
        f"{data['scans']:,}",
        f"{data['queries_using']} of {data['queries']}",
        f"{ratio:g}" if ratio is not None else "not proven",
        f"{data['expected']:g}x: {data['expectation']}" if data["expected"] is not None else "",
    )


def advice_metadata(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the largest findings as a table, and numbers to plot."""
    charged = [f for f in findings if f.kind in _SUPERFLUOUS and f.data["drop"]]
    advised = [
        each
        for finding in findings
        if finding.kind in _SUPERFLUOUS + _UNFIT
        for each in _each_key(finding)
    ]
    metadata: dict[str, Any] = {
        "superfluous_indexes": len(charged),
        "superfluous_megabytes": round(sum(map(_size, charged)) / _MEGABYTE, 1),
        "superfluous_writes_per_day": round(sum(f.data["writes_per_day"] for f in charged)),
        **{kind.value: sum(f.kind is kind for f in advised) for kind in _SUPERFLUOUS + _UNFIT},
        FindingKind.FK_UNINDEXED.value: sum(f.data.get("n_foreign_keys", 0) for f in findings),
    }
    worst = sorted(advised, key=lambda finding: (-_size(finding), finding.object))[:WORST]
    if worst:
        to_drop = [f for f in worst if f.kind in _SUPERFLUOUS and f.data["drop"]]
        metadata["worst"] = table(_HEAD, map(_row, worst))
        if to_drop:
            undo = [statement for f in to_drop for statement in f.data.get("restore") or ()]
            metadata["to_drop"] = sql([f.data["drop"] for f in to_drop])
            metadata["to_bring_back"] = sql(undo)
    keys = [f for f in advised if f.kind is FindingKind.FK_UNINDEXED][:WORST]
    if keys:
        metadata["to_create"] = sql([each for key in keys for each in key.data["create"]])
    return metadata


_HEAD = ("kind", "index or key", "table", "size:", "written a day:", "scans:", "covered by")


def _row(finding: Finding) -> Sequence[str]:
    data = finding.data
    writes, scans = data.get("writes_per_day"), data.get("scans")
    return (
        finding.kind.value,
        code(finding.object),
        code(data["table"]),
        readable_size(_size(finding)),
        "" if writes is None else f"{writes:,.0f}",
        "" if scans is None else f"{scans:,}",
        code(data.get("covered_by")),
    )


def _each_key(finding: Finding) -> Sequence[Finding]:
    """Return one finding for each foreign key of one that lists them; others as they are."""
    keys = finding.data.get("foreign_keys")
    if keys is None:
        return [finding]
    return [
        replace(finding, object=f"{key['table']}.{quote(key['constraint'])}", data=key)
        for key in keys
    ]


def _size(finding: Finding) -> int:
    return int(finding.data["size_bytes"])
