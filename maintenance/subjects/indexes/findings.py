"""Convert verdicts on indexes to findings: the issue, its cost, the DROP and the restore."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import PAGE_BYTES, readable_size, readable_span
from maintenance.policy import Policy
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.advice import IssueKind, Verdict
from maintenance.subjects.indexes.blind_spots import blind_spot_findings
from maintenance.subjects.indexes.ddl import drop, restore
from maintenance.subjects.indexes.definition_checks import (
    MAX_ENTRY_BYTES,
    distinct_values,
    entry_bytes,
)
from maintenance.subjects.indexes.observation import IndexesObservation
from maintenance.subjects.indexes.trees import n_writes

_REINDEX_LEFTOVERS = ("_ccnew", "_ccold")


class Reason(NamedTuple):
    """The reason of a verdict; `code` if one issue has several reasons."""

    text: str
    value: float | None = None
    threshold: float | None = None
    code: str | None = None


def reason(verdict: Verdict, limits: IndexesPolicy, seen: IndexesObservation) -> Reason:
    """Return the reason of a verdict."""
    return _REASONS[verdict.charge](verdict, limits, seen)


def _invalid(verdict: Verdict, _limits: IndexesPolicy, _seen: IndexesObservation) -> Reason:
    index = verdict.tree.root
    if index.is_partitioned:
        text = "invalid: some partitions have no attached index; create and attach them"
        return Reason(text, code="parts_lacking")
    if index.relation.name.rstrip("0123456789").endswith(_REINDEX_LEFTOVERS):
        text = "left by an interrupted REINDEX CONCURRENTLY: maintained on writes but not usable"
        return Reason(text, code="reindex_leftover")
    also = ", and may still enforce uniqueness" if index.is_unique else ""
    text = f"build incomplete: maintained on writes but not usable{also}"
    return Reason(text, code="build_incomplete")


def _duplicate(verdict: Verdict, _limits: IndexesPolicy, _seen: IndexesObservation) -> Reason:
    assert verdict.by is not None, "superfluous by another one"
    return Reason(f"duplicate of {verdict.by.relation}, which is kept")


def _redundant(verdict: Verdict, _limits: IndexesPolicy, _seen: IndexesObservation) -> Reason:
    assert verdict.by is not None, "superfluous by another one"
    return Reason(f"redundant: covered by {verdict.by.relation}, which is kept")


def _unused(verdict: Verdict, limits: IndexesPolicy, seen: IndexesObservation) -> Reason:
    scans, last = verdict.evidence.scans, verdict.evidence.last_scan_at
    n_servers = len(seen.witnesses)
    where = f"all {n_servers} servers" if n_servers > 1 else "the server"
    when = f", last used on {last:%Y-%m-%d}" if last else ""
    text = f"unused: {scans} scans in {readable_span(limits.unused.window)} on {where}{when}"
    if verdict.serves:
        keys = ", ".join(key.name for key in verdict.serves)
        text += f"; without it, a DELETE in the referenced table of {keys} scans this whole table"
    return Reason(text, scans, limits.unused.max_scans)


def _few_values(verdict: Verdict, limits: IndexesPolicy, seen: IndexesObservation) -> Reason:
    distinct = round(distinct_values(verdict.tree, seen.catalog) or 0)
    most = limits.low_cardinality.max_distinct
    return Reason(f"only {distinct} distinct keys, so it is rarely useful", distinct, most)


def _predicate_in_key(
    verdict: Verdict, _limits: IndexesPolicy, _seen: IndexesObservation
) -> Reason:
    names = ", ".join(verdict.keys)
    return Reason(f"its predicate makes {names} constant; remove it from the keys")


def _wide(verdict: Verdict, _limits: IndexesPolicy, seen: IndexesObservation) -> Reason:
    index = verdict.tree.root
    width = entry_bytes(index, seen.catalog.tables[index.table_oid])
    text = (
        f"entries take {width} bytes on average, and a row with an entry larger than"
        f" {MAX_ENTRY_BYTES} bytes is refused; index a hash or a part of the value"
    )
    return Reason(text, width, MAX_ENTRY_BYTES)


_REASONS: Mapping[IssueKind, Callable[[Verdict, IndexesPolicy, IndexesObservation], Reason]] = {
    IssueKind.INVALID: _invalid,
    IssueKind.DUPLICATE: _duplicate,
    IssueKind.REDUNDANT: _redundant,
    IssueKind.UNUSED: _unused,
    IssueKind.LOW_CARDINALITY: _few_values,
    IssueKind.PREDICATE_IN_KEY: _predicate_in_key,
    IssueKind.WIDE_KEY: _wide,
}


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
    keep = verdict.charge in {IssueKind.PREDICATE_IN_KEY, IssueKind.WIDE_KEY}
    advice = "" if keep else f"; to drop it, run {data['drop']}"
    message = f"{name}: {why.text} ({cost}){advice}"
    kind = _KINDS[verdict.charge]
    return Finding(kind, Severity.WARN, name, message, why.value, why.threshold, data)


def _data(verdict: Verdict, seen: IndexesObservation) -> dict[str, Any]:
    index = verdict.tree.root
    table = seen.catalog.tables[index.table_oid]
    last = verdict.evidence.last_scan_at
    definition = seen.definitions.get(index.oid)
    return {
        "table": str(table.relation),
        "covered_by": str(verdict.by.relation) if verdict.by is not None else None,
        "size_bytes": verdict.tree.pages * PAGE_BYTES,
        "writes_per_day": seen.witnesses[0].per_day(n_writes(verdict.tree, seen.catalog)),
        "scans": verdict.evidence.scans if verdict.evidence.is_complete else None,
        "last_used_at": last.isoformat() if last else None,
        "partitions": len(verdict.tree.leaves) if index.is_partitioned else None,
        "drop": drop(index, table),
        "restore": list(restore(index, table, definition)) if definition else None,
    }
