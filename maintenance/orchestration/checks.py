"""Findings as asset checks."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import dagster as dg

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.runbook_reader import entry
from maintenance.formatting import readable_number
from maintenance.orchestration.markdown import code, plain, table

Metadata = dict[str, Any]

LISTED = 50
"""Number of objects that a check names before it counts the others."""

_RANKS = (Severity.ERROR, Severity.WARN, Severity.INFO)
_SEVERITIES = {
    Severity.ERROR: dg.AssetCheckSeverity.ERROR,
    Severity.WARN: dg.AssetCheckSeverity.WARN,
    Severity.INFO: dg.AssetCheckSeverity.WARN,
}


def check_specs(asset: dg.AssetKey, kinds: Collection[FindingKind]) -> list[dg.AssetCheckSpec]:
    """Return one check for every kind of finding that an asset can produce."""
    return [
        dg.AssetCheckSpec(
            name=kind.value,
            asset=asset,
            description=f"Fails if there is a finding of kind `{kind.value}`.\n\n{entry(kind)}",
        )
        for kind in sorted(kinds)
    ]


def check_results(
    asset: dg.AssetKey, kinds: Collection[FindingKind], findings: Sequence[Finding]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield a result for every kind: passed if there is no finding or only severity info."""
    for kind in sorted(kinds):
        found = [finding for finding in findings if finding.kind is kind]
        yield _result(asset, kind, found)


def _result(
    asset: dg.AssetKey, kind: FindingKind, found: Sequence[Finding]
) -> dg.AssetCheckEvaluation:
    ranked = sorted(found, key=lambda finding: _RANKS.index(finding.severity))
    worst = ranked[0].severity if ranked else None
    lines = [finding.message for finding in ranked[:LISTED]]
    if len(found) > LISTED:
        lines.append(f"and {len(found) - LISTED:,} more")
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=kind.value,
        passed=worst in (None, Severity.INFO),
        severity=_SEVERITIES[worst or Severity.WARN],
        description="\n".join(lines) or "no findings",
        metadata=_metadata(ranked),
    )


def _metadata(ranked: Sequence[Finding]) -> Metadata:
    """Return the values of the most severe finding, and a table of all, most severe first."""
    metadata: Metadata = {"objects": len(ranked)}
    if ranked:
        numbers = {"value": ranked[0].value, "threshold": ranked[0].threshold}
        metadata |= {name: float(n) for name, n in numbers.items() if isinstance(n, int | float)}
        metadata["found"] = table(_HEAD, map(_row, ranked[:LISTED]))
    return metadata


_HEAD = ("severity", "object", "value:", "threshold:")


def _row(finding: Finding) -> tuple[str, ...]:
    numbers = (readable_number(finding.value), readable_number(finding.threshold))
    return finding.severity.value, code(finding.object), *map(plain, numbers)
