"""Convert verdicts on indexes to findings: the issue, its cost, the DROP and the restore."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import PAGE_BYTES, readable_size
from maintenance.policy import Policy
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.blind_spots import blind_spot_findings
from maintenance.subjects.indexes.ddl import drop, locks_all, restore
from maintenance.subjects.indexes.drop_plan import MUCH_LARGER
from maintenance.subjects.indexes.observation import IndexesObservation
from maintenance.subjects.indexes.part_repair import repair
from maintenance.subjects.indexes.reasons import reason
from maintenance.subjects.indexes.trees import n_writes
from maintenance.subjects.indexes.verdicts import IssueKind, Verdict

_KINDS: Mapping[IssueKind, FindingKind] = {
    IssueKind.INVALID: FindingKind.INDEX_INVALID,
    IssueKind.DUPLICATE: FindingKind.INDEX_DUPLICATE,
    IssueKind.REDUNDANT: FindingKind.INDEX_REDUNDANT,
    IssueKind.UNUSED: FindingKind.INDEX_UNUSED,
    IssueKind.LOW_CARDINALITY: FindingKind.INDEX_LOW_CARDINALITY,
    IssueKind.PREDICATE_IN_KEY: FindingKind.INDEX_PREDICATE_IN_KEY,
    IssueKind.WIDE_KEY: FindingKind.INDEX_WIDE_KEY,
}


def findings(
    policy: Policy, limits: IndexesPolicy, seen: IndexesObservation, now: datetime
) -> Iterator[Finding]:
    """Yield the findings, in the order of the catalog."""
    for verdict in seen.advice.verdicts:
        yield _finding(verdict, limits, seen)
    yield from blind_spot_findings(policy, limits, seen, now)


def _finding(verdict: Verdict, limits: IndexesPolicy, seen: IndexesObservation) -> Finding:
    why = reason(verdict, limits, seen)
    name = str(verdict.tree.root.relation)
    data: dict[str, Any] = {**_data(verdict, seen), "reason": why.code}
    size = readable_size(data["size_bytes"])
    cost = f"{size}, {data['writes_per_day']:,.0f} entries written per day"
    advice = _advice(verdict, data) if data["drop"] else ""
    message = f"{name}: {why.text} ({cost}){advice}"
    severity = _severity(verdict, limits)
    return Finding(_KINDS[verdict.charge], severity, name, message, why.value, why.threshold, data)


def _advice(verdict: Verdict, data: Mapping[str, Any]) -> str:
    """Return the drop, with what it takes away and blocks."""
    loses = ", ".join(verdict.loses)
    lost = f"; the planner's statistics of {loses} go with it" if loses else ""
    locks = ""
    if data["locks_writers"]:
        parts = " and its partitions" if verdict.tree.root.is_partitioned else ""
        locks = (
            f"; this blocks all access to {data['table']}{parts} while it waits and runs: set"
            " lock_timeout first"
        )
    return f"{lost}; to drop it, run {data['drop']}{locks}"


def _severity(verdict: Verdict, limits: IndexesPolicy) -> Severity:
    """Return a warning where something is wrong, or where much is to gain without a cost."""
    if verdict.charge is IssueKind.INVALID:
        return Severity.WARN
    pages = verdict.tree.pages
    is_minor = (
        verdict.kept_for is not None
        or verdict.charge is IssueKind.LOW_CARDINALITY
        or pages * PAGE_BYTES < limits.unused.min_size
        or verdict.by_pages >= MUCH_LARGER * pages
    )
    return Severity.INFO if is_minor else Severity.WARN


def _data(verdict: Verdict, seen: IndexesObservation) -> dict[str, Any]:
    index = verdict.tree.root
    table = seen.catalog.tables[index.table_oid]
    last = verdict.evidence.last_scan_at
    definition = seen.definitions.get(index.oid)
    is_broken_whole = verdict.charge is IssueKind.INVALID and index.is_partitioned
    return {
        "oid": index.oid,
        "table": str(table.relation),
        "covered_by": str(verdict.by.relation) if verdict.by is not None else None,
        "covered_by_size_bytes": verdict.by_pages * PAGE_BYTES or None,
        "size_bytes": verdict.tree.pages * PAGE_BYTES,
        "writes_per_day": seen.witnesses[0].per_day(n_writes(verdict.tree, seen.catalog)),
        "scans": verdict.evidence.scans if verdict.evidence.is_complete else None,
        "last_used_at": last.isoformat() if last else None,
        "partitions": len(verdict.tree.leaves) if index.is_partitioned else None,
        "skip_scan_by": [str(other.relation) for other in verdict.skip_scans],
        "drop": drop(index, table) if verdict.is_drop else None,
        "locks_writers": verdict.is_drop and locks_all(index),
        "loses_statistics_of": list(verdict.loses),
        "restore": list(restore(index, table, definition)) if definition else None,
        "repair": list(repair(verdict.tree, seen.catalog).statements) if is_broken_whole else None,
    }
