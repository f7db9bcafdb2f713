"""Compare the newest recorded bloat with the current policy."""

from collections.abc import Iterator, Sequence

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import readable_size
from maintenance.policy.thresholds import BloatPolicy
from maintenance.subjects.bloat.findings import SETTLED
from maintenance.subjects.bloat.history import Kept


def too_empty(kept: Sequence[Kept], section: BloatPolicy) -> Iterator[Finding]:
    """Yield the findings of a run on the recorded bloat, most bloat first."""
    for each in kept:
        is_index = each.kind == "index"
        most = section.index_fraction if is_index else section.table_fraction
        if each.fraction is not None and each.fraction > most:
            settled = is_index and (each.fraction <= SETTLED or each.is_superfluous)
            yield Finding(
                FindingKind.INDEX_BLOAT if is_index else FindingKind.TABLE_BLOAT,
                Severity.INFO if settled else Severity.WARN,
                each.object,
                f"{each.object}: bloat {each.fraction:.0%} of {readable_size(each.size_bytes)}"
                f" ({each.method}), wanted at most {most:.0%}",
                value=round(each.fraction, 3),
                threshold=most,
                subject="bloat",
            )
