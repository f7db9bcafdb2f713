"""The reasons of verdicts on indexes: the fact, its consequence, and the repair of invalid ones."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from maintenance.formatting import PAGE_BYTES, readable_size, readable_span
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.definition_checks import (
    MAX_ENTRY_BYTES,
    distinct_values,
    entry_bytes,
    leading_values,
)
from maintenance.subjects.indexes.models import ForeignKey
from maintenance.subjects.indexes.observation import IndexesObservation
from maintenance.subjects.indexes.part_repair import Repair, repair
from maintenance.subjects.indexes.verdicts import IssueKind, KeptFor, Verdict

_REINDEX_LEFTOVERS = ("_ccnew", "_ccold")


class Reason(NamedTuple):
    """The reason of a verdict; `code` if one issue has several reasons."""

    text: str
    value: float | None = None
    threshold: float | None = None
    code: str | None = None


def reason(verdict: Verdict, limits: IndexesPolicy, seen: IndexesObservation) -> Reason:
    """Return the reason of a verdict."""
    found = _REASONS[verdict.charge](verdict, limits, seen)
    return found._replace(code=verdict.kept_for.value) if verdict.kept_for is not None else found


def _invalid(verdict: Verdict, _limits: IndexesPolicy, seen: IndexesObservation) -> Reason:
    index = verdict.tree.root
    if index.is_partitioned:
        return _invalid_parts(repair(verdict.tree, seen.catalog))
    if index.relation.name.rstrip("0123456789").endswith(_REINDEX_LEFTOVERS):
        text = "left by an interrupted REINDEX CONCURRENTLY: maintained on writes but not usable"
        return Reason(text, code="reindex_leftover")
    also = ", and may still enforce uniqueness" if index.is_unique else ""
    text = f"build incomplete: maintained on writes but not usable{also}"
    return Reason(text, code="build_incomplete")


def _invalid_parts(found: Repair) -> Reason:
    statements = "; ".join(found.statements)
    if found.code == "parts_unknown":
        text = "invalid; what it lacks is unknown while a partition is locked"
    elif found.code == "parts_lacking":
        text = "invalid: some partitions have no attached index; create and attach them"
    elif found.code == "parts_invalid":
        text = f"invalid: indexes attached to it are invalid; to repair them, run {statements}"
    else:
        text = (
            "invalid, although all partitions have a valid attached index; constraints and"
            f" ON CONFLICT can't use it; to make it valid, attach one again: run {statements}"
        )
    return Reason(text, code=found.code)


def _duplicate(verdict: Verdict, limits: IndexesPolicy, seen: IndexesObservation) -> Reason:
    assert verdict.by is not None, "superfluous by another one"
    return Reason(f"duplicate of {verdict.by.relation}{_kept(verdict, limits, seen)}")


def _redundant(verdict: Verdict, limits: IndexesPolicy, seen: IndexesObservation) -> Reason:
    assert verdict.by is not None, "superfluous by another one"
    return Reason(f"redundant: covered by {verdict.by.relation}{_kept(verdict, limits, seen)}")


def _kept(verdict: Verdict, _limits: IndexesPolicy, _seen: IndexesObservation) -> str:
    """Return the size of the covering index, and why both stay if they do."""
    here, there = verdict.tree.pages * PAGE_BYTES, verdict.by_pages * PAGE_BYTES
    sizes = f" ({readable_size(there)} against {readable_size(here)})" if here and there else ""
    if verdict.kept_for is KeptFor.READS:
        return (
            f"{sizes}, but only this one is scanned: {verdict.evidence.observed:,} scans against"
            " 0; keep it, and see whether the other one is reported as unused"
        )
    if verdict.kept_for is KeptFor.EVIDENCE:
        return f"{sizes}; keep both until it is known whether that one is used"
    if verdict.kept_for is KeptFor.SIZE:
        return (
            f"{sizes}, which is much larger, so scans by it cost more; keep this one if it is read"
        )
    return f", which is kept{sizes}"


def _unused(verdict: Verdict, limits: IndexesPolicy, seen: IndexesObservation) -> Reason:
    scans, last = verdict.evidence.scans, verdict.evidence.last_scan_at
    n_servers = len(seen.witnesses)
    where = f"all {n_servers} servers" if n_servers > 1 else "the server"
    when = f", last used on {last:%Y-%m-%d}" if last else ""
    text = f"unused: {scans} scans in {readable_span(limits.unused.window)} on {where}{when}"
    if verdict.kept_for is KeptFor.FOREIGN_KEY:
        text += (
            f"; kept, because no other index serves the foreign key {_names(verdict.serves)}:"
            " without it, a DELETE in the referenced table scans this whole table"
        )
    return Reason(text + _skip_scans(verdict, limits, seen), scans, limits.unused.max_scans)


def _skip_scans(verdict: Verdict, limits: IndexesPolicy, seen: IndexesObservation) -> str:
    index = verdict.tree.root
    if verdict.skip_scans:
        others = ", ".join(str(other.relation) for other in verdict.skip_scans)
        return f"; {others} serves conditions on its first column too, by skip scans"
    n_values = leading_values(verdict.tree, seen.catalog)
    if n_values is None or n_values > limits.low_cardinality.max_distinct or not index.keys[1:]:
        return ""
    if not seen.catalog.has_skip_scan or index.method != "btree":
        return ""
    return (
        f"; its first column has {n_values:,.0f} values, so skip scans could use it for conditions"
        " on the second; they would be counted as scans"
    )


def _names(keys: Iterable[ForeignKey]) -> str:
    return ", ".join(dict.fromkeys(key.name for key in keys))


def _few_values(verdict: Verdict, limits: IndexesPolicy, seen: IndexesObservation) -> Reason:
    distinct = round(distinct_values(verdict.tree, seen.catalog) or 0)
    most = limits.low_cardinality.max_distinct
    text = (
        f"only {distinct} distinct keys, none of them rare, and no scan in"
        f" {readable_span(limits.unused.window)}"
    )
    return Reason(text, distinct, most)


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
