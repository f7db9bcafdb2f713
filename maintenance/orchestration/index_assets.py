"""The asset that watches how indexes are used, and says which are not worth their cost."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from maintenance.engine.findings import Finding, FindingKind
from maintenance.indexes import INDEXES
from maintenance.orchestration.checks import check_results, check_specs
from maintenance.orchestration.markdown import code, sql, table
from maintenance.orchestration.resources import Maintainer, fail_if_undone
from maintenance.policy import Policy
from maintenance.sizes import readable_size

GROUP = "health"
WORST = 20
"""How many findings the table shows, by size."""

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
    """Return the key `<db>/index_usage`."""
    return dg.AssetKey([policy.database.name, "index_usage"])


def index_usage_asset(policy: Policy) -> dg.AssetsDefinition:
    """Make the asset that looks at all indexes, and remembers how often each was used."""
    key = usage_key(policy)
    kinds = INDEXES.finding_kinds

    @dg.asset(
        key=key,
        group_name=GROUP,
        check_specs=check_specs(key, kinds),
        pool=f"{policy.database.name}_work",
        kinds={"postgres"},
        tags={"database": policy.database.name},
        description=(
            "How often each index was used on the primary and its replicas, and which indexes are"
            " superfluous or unfit. Nothing is changed; each finding bears the statement that"
            " would end it, and the one that would undo that.\n\n"
            "**When red:** open the failed check; its text names the index, what it costs and what"
            " to do. It is not urgent, unless an invalid index slows writes down."
        ),
    )
    def index_usage(
        context: dg.AssetExecutionContext, maintainer: Maintainer
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        report = maintainer.apply(context, policy, INDEXES.name)
        yield from check_results(key, kinds, report.findings)
        fail_if_undone(report)
        yield dg.MaterializeResult(asset_key=key, metadata=advice_metadata(report.findings))

    return index_usage


def advice_metadata(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the worst findings as a table, and numbers to plot."""
    charged = [finding for finding in findings if finding.kind in _SUPERFLUOUS]
    judged = [finding for finding in findings if finding.kind in _SUPERFLUOUS + _UNFIT]
    metadata: dict[str, Any] = {
        "superfluous_indexes": len(charged),
        "superfluous_megabytes": round(sum(map(_size, charged)) / _MEGABYTE, 1),
        "superfluous_writes_per_day": round(sum(f.data["writes_per_day"] for f in charged)),
        **{kind.value: sum(f.kind is kind for f in judged) for kind in _SUPERFLUOUS + _UNFIT},
    }
    worst = sorted(judged, key=lambda finding: (-_size(finding), finding.object))[:WORST]
    if worst:
        undo = [statement for f in worst for statement in f.data.get("restore") or ()]
        metadata["worst"] = table(_HEAD, map(_row, worst))
        metadata["to_drop"] = sql([f.data["drop"] for f in worst if f.kind in _SUPERFLUOUS])
        metadata["to_bring_back"] = sql(undo)
    return metadata


_HEAD = ("what", "index or key", "table", "size:", "written a day:", "scans:", "stays for it")


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


def _size(finding: Finding) -> int:
    return int(finding.data["size_bytes"])
