"""Verdicts as findings: what is wrong, what it costs, how to end it and how to undo that."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.indexes.models import ForeignKey
from maintenance.indexes.reasons import reason
from maintenance.indexes.seen import Seen
from maintenance.indexes.sight import sight_findings
from maintenance.indexes.statements import create_for, drop, restore
from maintenance.indexes.trees import n_writes
from maintenance.indexes.usage import Witness
from maintenance.indexes.verdicts import Charge, Verdict
from maintenance.names import quote
from maintenance.policy import Policy
from maintenance.policy.health import IndexesPolicy
from maintenance.sizes import PAGE_BYTES, readable_size

_KINDS: Mapping[Charge, FindingKind] = {
    Charge.INVALID: FindingKind.INDEX_INVALID,
    Charge.DUPLICATE: FindingKind.INDEX_DUPLICATE,
    Charge.REDUNDANT: FindingKind.INDEX_REDUNDANT,
    Charge.UNUSED: FindingKind.INDEX_UNUSED,
    Charge.LOW_CARDINALITY: FindingKind.INDEX_LOW_CARDINALITY,
    Charge.PREDICATE_IN_KEY: FindingKind.INDEX_PREDICATE_IN_KEY,
    Charge.WIDE_KEY: FindingKind.INDEX_WIDE_KEY,
}
_DAY_S = 86_400


def findings(policy: Policy, limits: IndexesPolicy, seen: Seen, now: datetime) -> Iterator[Finding]:
    """Yield what the owner should know, in the order of the catalog."""
    for verdict in seen.judgement.verdicts:
        yield _finding(verdict, limits, seen)
    for key in seen.judgement.unindexed:
        yield _unindexed(key, limits, seen)
    yield from sight_findings(policy, limits, seen, now)


def _finding(verdict: Verdict, limits: IndexesPolicy, seen: Seen) -> Finding:
    why = reason(verdict, limits, seen)
    name = str(verdict.tree.root.relation)
    data: dict[str, Any] = {**_data(verdict, seen), "reason": why.code}
    size = readable_size(data["size_bytes"])
    cost = f"{size}, {data['writes_per_day']:,.0f} entries written a day"
    keep = verdict.charge in {Charge.PREDICATE_IN_KEY, Charge.WIDE_KEY}
    advice = "" if keep else f"; to drop it: {data['drop']}"
    message = f"{name}: {why.text} ({cost}){advice}"
    kind = _KINDS[verdict.charge]
    return Finding(kind, Severity.WARN, name, message, why.value, why.threshold, data)


def _data(verdict: Verdict, seen: Seen) -> dict[str, Any]:
    index = verdict.tree.root
    table = seen.catalog.tables[index.table_oid]
    last = verdict.evidence.last_scan_at
    definition = seen.definitions.get(index.oid)
    return {
        "table": str(table.relation),
        "covered_by": str(verdict.by.relation) if verdict.by is not None else None,
        "size_bytes": verdict.tree.pages * PAGE_BYTES,
        "writes_per_day": _per_day(n_writes(verdict.tree, seen.catalog), seen.witnesses[0]),
        "scans": verdict.evidence.scans if verdict.evidence.is_complete else None,
        "last_used_at": last.isoformat() if last else None,
        "partitions": len(verdict.tree.leaves) if index.is_partitioned else None,
        "drop": drop(index, table),
        "restore": list(restore(index, table, definition)) if definition else None,
    }


def _per_day(count: int, primary: Witness) -> float:
    """Spread a counter over the days that it has counted; less than one counts as one."""
    if primary.usage is None:
        return 0.0
    counted = primary.usage.taken_at - primary.usage.epoch.began_at
    return round(count / max(1.0, counted.total_seconds() / _DAY_S), 1)


def _unindexed(key: ForeignKey, limits: IndexesPolicy, seen: Seen) -> Finding:
    table = seen.catalog.tables[key.table_oid]
    name = f"{table.relation}.{quote(key.name)}"
    size_bytes = max(0, table.pages) * PAGE_BYTES
    # A partitioned table has rows, once it is analyzed, and no size of its own.
    many = limits.low_cardinality.min_rows
    is_large = size_bytes >= limits.unused.min_size or table.rows >= many
    columns, create = ", ".join(key.names), create_for(key, table)
    return Finding(
        FindingKind.FK_UNINDEXED,
        Severity.WARN if is_large else Severity.INFO,
        name,
        f"{name}: no index begins with ({columns}), so a delete or a new key in {key.referenced}"
        f" reads all of {table.relation}; to have one: {create}",
        value=table.rows if table.rows >= 0 else None,
        threshold=many,
        data={"table": str(table.relation), "size_bytes": size_bytes, "create": create},
    )
