"""Why a verdict was given: a sentence, what was measured, and its threshold."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from maintenance.indexes.seen import Seen
from maintenance.indexes.suspects import MAX_ENTRY_BYTES, distinct_values, entry_bytes
from maintenance.indexes.verdicts import Charge, Verdict
from maintenance.policy.health import IndexesPolicy
from maintenance.sizes import readable_span

_REINDEX_LEFTOVERS = ("_ccnew", "_ccold")


class Reason(NamedTuple):
    """What a verdict rests on; `code` where one charge has several reasons."""

    text: str
    value: float | None = None
    threshold: float | None = None
    code: str | None = None


def reason(verdict: Verdict, limits: IndexesPolicy, seen: Seen) -> Reason:
    """Say why a verdict was given."""
    return _REASONS[verdict.charge](verdict, limits, seen)


def _invalid(verdict: Verdict, _limits: IndexesPolicy, _seen: Seen) -> Reason:
    index = verdict.tree.root
    if index.is_partitioned:
        text = "invalid: partitions lack their part of it; build and attach those"
        return Reason(text, code="parts_lacking")
    if index.relation.name.rstrip("0123456789").endswith(_REINDEX_LEFTOVERS):
        text = "invalid, left by a REINDEX CONCURRENTLY that did not end; written and never read"
        return Reason(text, code="reindex_leftover")
    also = ", and may keep rows apart all the same" if index.is_unique else ""
    text = f"invalid: its build did not end; written and never read{also}"
    return Reason(text, code="build_incomplete")


def _duplicate(verdict: Verdict, _limits: IndexesPolicy, _seen: Seen) -> Reason:
    assert verdict.by is not None, "superfluous by another one"
    return Reason(f"the same as {verdict.by.relation}, which stays")


def _redundant(verdict: Verdict, _limits: IndexesPolicy, _seen: Seen) -> Reason:
    assert verdict.by is not None, "superfluous by another one"
    return Reason(f"{verdict.by.relation} finds all that it finds, and stays")


def _unused(verdict: Verdict, limits: IndexesPolicy, seen: Seen) -> Reason:
    scans, last = verdict.evidence.scans, verdict.evidence.last_scan_at
    n_servers = len(seen.witnesses)
    where = f"all {n_servers} servers" if n_servers > 1 else "the server"
    when = f", last used on {last:%Y-%m-%d}" if last else ""
    text = f"{scans} scans in {readable_span(limits.unused.window)} on {where}{when}"
    if verdict.serves:
        keys = ", ".join(key.name for key in verdict.serves)
        text += f"; without it, a delete in the other table of {keys} reads all of this one"
    return Reason(text, scans, limits.unused.max_scans)


def _few_values(verdict: Verdict, limits: IndexesPolicy, seen: Seen) -> Reason:
    distinct = round(distinct_values(verdict.tree, seen.catalog) or 0)
    most = limits.low_cardinality.max_distinct
    return Reason(f"only {distinct} different keys, so it seldom helps", distinct, most)


def _predicate_in_key(verdict: Verdict, _limits: IndexesPolicy, _seen: Seen) -> Reason:
    names = ", ".join(verdict.keys)
    return Reason(f"its predicate makes {names} constant; leave that out of the keys")


def _wide(verdict: Verdict, _limits: IndexesPolicy, seen: Seen) -> Reason:
    index = verdict.tree.root
    width = entry_bytes(index, seen.catalog.tables[index.table_oid])
    text = (
        f"an entry takes {width} bytes on average, and a row whose entry takes more than"
        f" {MAX_ENTRY_BYTES} is refused; index a hash or a part of the value"
    )
    return Reason(text, width, MAX_ENTRY_BYTES)


_REASONS: Mapping[Charge, Callable[[Verdict, IndexesPolicy, Seen], Reason]] = {
    Charge.INVALID: _invalid,
    Charge.DUPLICATE: _duplicate,
    Charge.REDUNDANT: _redundant,
    Charge.UNUSED: _unused,
    Charge.LOW_CARDINALITY: _few_values,
    Charge.PREDICATE_IN_KEY: _predicate_in_key,
    Charge.WIDE_KEY: _wide,
}
