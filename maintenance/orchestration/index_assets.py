"""The asset that watches how indexes are used, and says which are not worth their cost."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from maintenance.engine.findings import Finding, FindingKind
from maintenance.formatting import readable_size
from maintenance.orchestration.markdown import code, sql, table
from maintenance.orchestration.subject_asset import Frame, face, subject_asset
from maintenance.policy import Policy
from maintenance.subjects.indexes import INDEXES

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
    arguments = face(
        policy,
        usage_key(policy),
        group=GROUP,
        about=(
            "How often each index was used on the primary and its replicas, and which indexes are"
            " superfluous or unfit. Nothing is changed; each finding bears the statement that"
            " would end it, and the one that would undo that."
        ),
        when_red=(
            "open the failed check; its text names the index, what it costs and what to do. It is"
            " not urgent, unless an invalid index slows writes down."
        ),
    )
    frame = Frame(policy, INDEXES, arguments)
    return subject_asset(frame, lambda _, report: advice_metadata(report.findings))


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
