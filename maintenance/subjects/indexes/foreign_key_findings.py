"""Report the foreign keys of a database that no index serves, as one finding."""

from collections.abc import Mapping, Sequence
from typing import Any

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import PAGE_BYTES, counted_noun, listed, readable_size
from maintenance.names import QualifiedName, is_helper, quote
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.foreign_keys import UnservedKey
from maintenance.subjects.indexes.key_indexes import KeyIndex, candidates, key_indexes
from maintenance.subjects.indexes.models import Catalog
from maintenance.subjects.indexes.observation import IndexesObservation
from maintenance.subjects.indexes.usage import ServerUsage

MAX_LISTED = 500
"""Foreign keys in the data of a finding; further ones are only counted."""

MAX_STATEMENTS = 2_000
"""Statements in the data of a finding, of all keys; the first key has all of its own."""

_FEW = 3
"""Foreign keys that a message names."""


def foreign_key_findings(
    database: str,
    limits: IndexesPolicy,
    seen: IndexesObservation,
    table: QualifiedName | None = None,
) -> list[Finding]:
    """Return one finding for all foreign keys without an index, if there are any.

    Its value is the number of those that are a warning: rows of the referenced table are deleted,
    and each DELETE reads much of the referencing table. A key that a skip scan serves is none.

    Args:
        database: its name in the policy.
        limits: `unused.min_size` or `low_cardinality.min_rows` is much.
        seen: the observation.
        table: only keys of this table.
    """
    reported = reported_keys(seen.advice.unindexed, seen.catalog)
    keys = reported[:MAX_LISTED]
    indexes = key_indexes(keys, seen.catalog, seen.taken)
    told = _limited(
        [
            _facts(key, index, limits, seen)
            for key, index in zip(keys, indexes, strict=True)
            if table in {None, seen.catalog.tables[key.key.table_oid].relation}
        ]
    )
    if not told:
        return []
    n_keys = len(reported) if table is None else len(told)
    n_skipped = (
        sum(key.searches is not None for key in reported)
        if table is None
        else sum(fact["searches"] is not None for fact in told)
    )
    return [_finding(database, told, n_keys, n_skipped)]


def _limited(facts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out the statements of the last keys, where there are too many for one finding."""
    left, told = MAX_STATEMENTS, list[Mapping[str, Any]]()
    for fact in facts:
        fits = not told or len(fact["create"]) <= left
        told.append(fact if fits else {**fact, "create": []})
        left -= len(told[-1]["create"])
    return told


def reported_keys(unindexed: Sequence[UnservedKey], catalog: Catalog) -> list[UnservedKey]:
    """Return the keys to report: those of tables that runs make for themselves are left out."""
    tables = catalog.tables
    return [key for key in unindexed if not is_helper(str(tables[key.key.table_oid].relation))]


def names_to_check(unindexed: Sequence[UnservedKey], catalog: Catalog) -> set[str]:
    """Return names for new indexes; which of them are taken must be known for the findings."""
    return candidates(reported_keys(unindexed, catalog)[:MAX_LISTED], catalog)


def _finding(
    database: str, told: Sequence[Mapping[str, Any]], n_keys: int, n_skipped: int
) -> Finding:
    """Return the finding on keys of which some are served by skip scans, and the others by none."""
    urgent = [fact for fact in told if fact["severity"] == Severity.WARN.value]
    worst = urgent or [fact for fact in told if fact["searches"] is None] or told
    names = listed(map(_named, worst), _FEW, "; ")
    what = f"{counted_noun(n_keys - n_skipped, 'foreign key')} without an index"
    skipped = f"{counted_noun(n_skipped, 'foreign key')} served only by a skip scan"
    if n_skipped == n_keys:
        what = skipped
        which = f": {names}. Each DELETE of a referenced row takes that many searches; no urgency"
    elif urgent:
        why = "because referenced rows are deleted and each DELETE reads much"
        which = f"; {len(urgent)} matter{'s' * (len(urgent) == 1)} now, {why}: {names}"
    else:
        which = f": {names}. Not urgent: no DELETE of referenced rows is known to read much"
    if 0 < n_skipped < n_keys:
        what += f" and {skipped}"
    return Finding(
        FindingKind.FK_UNINDEXED,
        Severity.WARN if urgent else Severity.INFO,
        database,
        f"{database}: {what}{which}. {_remedy(worst, told)}",
        value=len(urgent),
        threshold=0,
        data={
            "foreign_keys": list(told),
            "n_foreign_keys": n_keys,
            "n_skip_scanned": n_skipped,
            "size_bytes": sum(fact["size_bytes"] for fact in told),
        },
    )


def _named(fact: Mapping[str, Any]) -> str:
    name = f"{fact['table']}.{quote(fact['constraint'])}"
    deletes = fact["deletes_per_day"]
    often = f", {deletes:,.0f} rows deleted per day in {fact['referenced']}" if deletes else ""
    if fact["searches"] is not None:
        return f"{name} ({counted_noun(fact['searches'], 'search')}{often})"
    rows = fact["rows_read"]
    reads = "an unknown part" if rows is None else counted_noun(rows, "row")
    return f"{name} (reads {reads} of {readable_size(fact['size_bytes'])}{often})"


def _remedy(worst: Sequence[Mapping[str, Any]], told: Sequence[Mapping[str, Any]]) -> str:
    """Return the first statements to run, and where the others are."""
    first = next((fact for fact in worst if fact["create"]), worst[0])
    statements = first["create"]
    parts: list[str] = []
    if len(statements) == 1:
        only_skipped = first["searches"] is not None
        when = "If its searches are too slow" if only_skipped else "For the first"
        parts.append(f"{when}, run {statements[0]}")
    if sum(len(fact["create"]) for fact in told) > 1:
        parts.append("All statements are in the keys' data (create): run plan --json")
    if any(fact["locks_writers"] for fact in worst):
        parts.append(
            "CREATE INDEX ON ONLY takes a short SHARE lock on the partitioned table, and writers"
            " wait while it waits: set lock_timeout for it and retry"
        )
    return ". ".join(parts)


def _facts(
    unserved: UnservedKey, index: KeyIndex, limits: IndexesPolicy, seen: IndexesObservation
) -> Mapping[str, Any]:
    key, primary = unserved.key, seen.witnesses[0]
    return {
        "table": str(seen.catalog.tables[key.table_oid].relation),
        "constraint": key.name,
        "columns": list(key.names),
        "referenced": str(key.referenced),
        "severity": _severity(unserved, limits, primary).value,
        "rows": round(unserved.rows),
        "size_bytes": unserved.pages * PAGE_BYTES,
        "rows_read": _rounded(unserved.rows_read),
        "searches": _rounded(unserved.searches),
        "deletes": unserved.deletes if _is_counting(primary) else None,
        "deletes_per_day": primary.per_day(unserved.deletes) if _is_counting(primary) else None,
        # an upper bound: an UPDATE that leaves the key as it is searches nothing
        "updates_per_day": primary.per_day(unserved.updates) if _is_counting(primary) else None,
        "partitions": _partitions(unserved, seen),
        "index": str(index.relation),
        "create": list(index.statements),
        "n_statements": len(index.statements),
        "locks_writers": index.locks_writers,
    }


def _severity(unserved: UnservedKey, limits: IndexesPolicy, primary: ServerUsage) -> Severity:
    """A warning if rows are deleted, and what each DELETE reads is known to be much."""
    if unserved.rows_read is None or unserved.pages_read is None:
        return Severity.INFO
    is_much = (
        unserved.pages_read * PAGE_BYTES >= limits.unused.min_size
        or unserved.rows_read >= limits.low_cardinality.min_rows
    )
    has_deletes = unserved.deletes > 0 and _is_counting(primary)
    return Severity.WARN if is_much and has_deletes else Severity.INFO


def _partitions(unserved: UnservedKey, seen: IndexesObservation) -> int | None:
    """Return the number of leaves that lack an index; None if the table has no partitions."""
    table = seen.catalog.tables[unserved.key.table_oid]
    return len(unserved.parts) if table.kind == "p" else None


def _is_counting(primary: ServerUsage) -> bool:
    return primary.usage is not None and primary.usage.is_counting


def _rounded(number: float | None) -> int | None:
    return round(number) if number is not None else None
