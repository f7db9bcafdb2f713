"""Compare indexes with what the policy expects of them under `indexes.expected`. Pure."""

from collections.abc import Iterator
from datetime import datetime

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.formatting import PAGE_BYTES, readable_size
from maintenance.policy.declarations import IndexDeclaration
from maintenance.policy.thresholds import ExpectedIndex, IndexesPolicy
from maintenance.subjects.indexes.models import Catalog, Index
from maintenance.subjects.indexes.observation import IndexesObservation
from maintenance.subjects.indexes.usage import evidence

_NO_LIMIT = 1.0


def expectation_findings(
    limits: IndexesPolicy, seen: IndexesObservation, now: datetime
) -> Iterator[Finding]:
    """Yield a finding for each expected index that is missing, too large, or scanned too rarely.

    A declared one that is missing or invalid is a finding of its declaration. One that is locked is
    not judged. Where its scans in the window are not known of each server,
    that is said instead.

    Args:
        limits: the expected indexes, and `unused.window`.
        seen: the observation.
        now: the end of the window.
    """
    by_name = {index.relation: index for index in seen.catalog.indexes}
    hidden = {name for names in seen.catalog.blind.values() for name in names}
    declared = {each.relation for each in limits.declarations if isinstance(each, IndexDeclaration)}
    for wanted in limits.expected:
        index = by_name.get(wanted.index)
        if index is not None and (index.is_valid or wanted.index not in declared):
            yield from _of_index(wanted, index, limits, seen, now)
        elif index is None and wanted.index not in hidden | declared:
            text = "does not exist; create it again, or take it out of indexes.expected"
            yield _finding(wanted, Severity.ERROR, "missing", text)


def _of_index(
    wanted: ExpectedIndex,
    index: Index,
    limits: IndexesPolicy,
    seen: IndexesObservation,
    now: datetime,
) -> Iterator[Finding]:
    table = seen.catalog.tables.get(index.table_oid)
    name = str(table.relation) if table is not None else None
    if not index.is_valid and not index.is_building:
        text = "is invalid, so no query uses it; drop it and create it again"
        yield _finding(wanted, Severity.ERROR, "invalid", text, table=name)
        return
    share = _share(index, seen.catalog)
    if wanted.of_table < _NO_LIMIT and share is not None and share > wanted.of_table:
        size = readable_size(_pages(index, seen.catalog) * PAGE_BYTES)
        text = (
            f"has {size}, {share:.0%} of its table {name}, expected at most {wanted.of_table:.0%};"
            " see whether it is bloated, or expect more"
        )
        yield _finding(wanted, Severity.WARN, "size", text, share, wanted.of_table, table=name)
    scans = _scans(index, seen, since=now - limits.unused.window)
    days = limits.unused.window.days
    if scans is None and wanted.scans:
        yield _unknown(wanted, days, name)
    elif scans is not None and scans < wanted.scans:
        text = (
            f"was scanned {scans:,} times in {days} days, expected at least {wanted.scans:,}; see"
            " which index the queries use instead"
        )
        yield _finding(wanted, Severity.WARN, "scans", text, scans, wanted.scans, table=name)


def _parts(index: Index, catalog: Catalog) -> Iterator[Index]:
    """Yield an index and, of a partitioned one, those of the partitions."""
    yield index
    for other in catalog.indexes if index.is_partitioned else ():
        if other.parent == index.oid:
            yield from _parts(other, catalog)


def _pages(index: Index, catalog: Catalog) -> int:
    return sum(each.pages for each in _parts(index, catalog))


def _share(index: Index, catalog: Catalog) -> float | None:
    """Return the size of an index, as a share of its table's; None if that is empty or unknown."""
    tables = [catalog.tables.get(each.table_oid) for each in _parts(index, catalog)]
    pages = sum(table.pages for table in tables if table is not None)
    return _pages(index, catalog) / pages if pages else None


def _scans(index: Index, seen: IndexesObservation, since: datetime) -> int | None:
    """Return the most that an index was scanned on all servers; None if not known of each."""
    oids = [each.oid for each in _parts(index, seen.catalog) if not each.is_partitioned]
    found = evidence(seen.witnesses, oids, since)
    return found.scans if found.is_complete and found.existed else None


def _unknown(wanted: ExpectedIndex, days: int, table: str | None) -> Finding:
    return Finding(
        FindingKind.INDEX_EVIDENCE_INSUFFICIENT,
        Severity.INFO,
        str(wanted.index),
        f"{wanted.index}: how often it was scanned in {days} days is not known of each server, so"
        f" that it is not compared with the expected {wanted.scans:,}",
        threshold=days,
        data={
            "table": table,
            UNKNOWN: {FindingKind.INDEX_NOT_AS_EXPECTED.value: [str(wanted.index)]},
        },
    )


def _finding(
    wanted: ExpectedIndex,
    severity: Severity,
    reason: str,
    text: str,
    value: float | None = None,
    threshold: float | None = None,
    *,
    table: str | None = None,
) -> Finding:
    return Finding(
        FindingKind.INDEX_NOT_AS_EXPECTED,
        severity,
        str(wanted.index),
        f"{wanted.index}: {text}",
        value=value,
        threshold=threshold,
        data={"reason": reason, "table": table},
    )
