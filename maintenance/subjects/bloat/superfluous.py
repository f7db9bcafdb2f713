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


def duplicated(findings: Iterable[Finding]) -> frozenset[str]:
    """Return the quoted names of indexes that have a duplicate and are the ones to keep.

    Of two equal indexes the older one is kept, and a rebuild would make it the younger one: so the
    duplicate has to be dropped first.
    """
    return frozenset(
        str(kept)
        for finding in findings
        if finding.kind is FindingKind.INDEX_DUPLICATE and (kept := finding.data.get("covered_by"))
    )


def has_duplicate(index: ObservedIndex, stock: BloatSnapshot) -> bool:
    """Whether this index, or the whole that it is a part of, is to be kept and has a duplicate."""
    return not stock.duplicated.isdisjoint((str(index.relation), *index.ancestors))


def advice_against(index: ObservedIndex, stock: BloatSnapshot) -> str | None:
    """Return the kind of a finding that advises to drop this index, or the whole of its parts."""
    names = (str(index.relation), *index.ancestors)
    return next((stock.superfluous[name] for name in names if name in stock.superfluous), None)
