"""Findings as asset checks: red stands where the trouble is."""

from collections.abc import Collection, Iterator, Sequence

import dagster as dg

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.runbook import entry

LISTED = 50
"""How many objects a check names before it only counts the others."""

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
            description=f"Red when {kind.value} is found.\n\n{entry(kind)}",
        )
        for kind in sorted(kinds)
    ]


def check_results(
    asset: dg.AssetKey, kinds: Collection[FindingKind], findings: Sequence[Finding]
) -> Iterator[dg.AssetCheckResult]:
    """Yield a result for every kind: passed where nothing of it, or only information, stands."""
    for kind in sorted(kinds):
        found = [finding for finding in findings if finding.kind is kind]
        yield _result(asset, kind, found)


def _result(asset: dg.AssetKey, kind: FindingKind, found: Sequence[Finding]) -> dg.AssetCheckResult:
    worst = _worst(found)
    listed = found[:LISTED]
    lines = [finding.message for finding in listed]
    if len(found) > LISTED:
        lines.append(f"and {len(found) - LISTED:,} more")
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=kind.value,
        passed=worst in (None, Severity.INFO),
        severity=_SEVERITIES[worst or Severity.WARN],
        description="\n".join(lines) or "nothing of this kind",
        metadata={
            "objects": len(found),
            **{
                finding.object: f"value {finding.value}, threshold {finding.threshold}"
                for finding in listed
                if finding.value is not None
            },
        },
    )


def _worst(found: Sequence[Finding]) -> Severity | None:
    ranked = [Severity.ERROR, Severity.WARN, Severity.INFO]
    return min((f.severity for f in found), key=ranked.index, default=None)
