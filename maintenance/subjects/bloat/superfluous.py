"""Indexes that advice of the same run tells to drop, so that a rebuild would be wasted. Pure."""

from collections.abc import Iterable, Mapping

from maintenance.engine.findings import Finding, FindingKind
from maintenance.subjects.bloat.models import BloatSnapshot, ObservedIndex

_ADVISE_TO_DROP = frozenset(
    {
        FindingKind.INDEX_INVALID,
        FindingKind.INDEX_DUPLICATE,
        FindingKind.INDEX_REDUNDANT,
        FindingKind.INDEX_UNUSED,
        FindingKind.INDEX_LOW_CARDINALITY,
    }
)


def advised_drops(findings: Iterable[Finding]) -> Mapping[str, str]:
    """Return the kind of the finding that calls an index superfluous, by its quoted name."""
    return {
        finding.object: finding.kind.value
        for finding in findings
        if finding.kind in _ADVISE_TO_DROP
    }


def advice_against(index: ObservedIndex, stock: BloatSnapshot) -> str | None:
    """Return the kind of a finding that advises to drop this index, or the whole of its parts."""
    names = (str(index.relation), *index.ancestors)
    return next((stock.superfluous[name] for name in names if name in stock.superfluous), None)
