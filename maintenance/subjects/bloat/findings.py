"""Findings on bloat: above the threshold, unknown, not measurable."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from maintenance.engine.findings import (
    Finding,
    FindingKind,
    Severity,
)
from maintenance.engine.scope import Request
from maintenance.formatting import readable_size
from maintenance.names import QualifiedName
from maintenance.policy import Policy
from maintenance.policy.thresholds import BloatPolicy
from maintenance.subjects.bloat.backoff import Backoff, backoff_of
from maintenance.subjects.bloat.models import (
    Bloat,
    BloatSnapshot,
    Extension,
    Leftover,
    Method,
    Observed,
    ObservedIndex,
    Past,
)
from maintenance.subjects.bloat.rewrite import rewrite
from maintenance.subjects.bloat.superfluous import advice_against, has_duplicate
from maintenance.subjects.bloat.unknown_findings import name_of, unknown_findings
from maintenance.subjects.bloat.upserts import can_fail_upserts, fails_upserts

SETTLED = 0.3
"""A btree with random inserts stays below this fraction, and returns to it after a rebuild."""
TREND = timedelta(days=7)


class _Rebuilding(NamedTuple):
    """The way to free the space of a relation.

    Attributes:
        text: for the message.
        data: for the finding's data.
    """

    text: str
    data: dict[str, Any]


_UPSERTS = "up to PostgreSQL 18 INSERT … ON CONFLICT of the application can fail during the rebuild"


def findings(
    policy: Policy, section: BloatPolicy, stock: BloatSnapshot, now: datetime, request: Request
) -> Iterator[Finding]:
    """Yield relations above the threshold, those with unknown bloat, and missing extensions."""
    seen = [each for each in (*stock.tables, *stock.indexes) if request.includes(each.table)]
    for each in seen:
        threshold = (
            section.index_fraction if isinstance(each, ObservedIndex) else section.table_fraction
        )
        bloat = stock.bloat[each.oid]
        if bloat.fraction is not None and bloat.fraction > threshold:
            past = stock.past.get(str(each.relation), ())
            state = _rebuilding(each, section, stock, now)
            yield _too_empty(each, bloat, bloat.fraction, threshold, past, now, state)
    unknown = [each for each in seen if stock.bloat[each.oid].method is Method.UNKNOWN]
    yield from unknown_findings(policy.database.name, unknown, stock)
    yield from (_failed(each, error) for each in seen if (error := stock.failed.get(each.oid)))
    yield from missing_extension(policy.database.name, stock.extension)
    if stock.not_unique:
        yield _misnamed(policy.database.name, stock.not_unique)


def _misnamed(database: str, names: Sequence[QualifiedName]) -> Finding:
    listed = ", ".join(map(str, names))
    return Finding(
        FindingKind.NO_SUCH_TABLE,
        Severity.WARN,
        f"{database}/bloat",
        f"{database}: bloat.reindex_unique has entries that are not existing unique indexes:"
        f" {listed}; they are ignored; correct the policy",
        data={"names": [str(name) for name in names]},
    )


def missing_extension(database: str, extension: Extension) -> Iterator[Finding]:
    """Yield one finding if pgstattuple is missing or not usable."""
    if extension.remedy:
        yield Finding(
            FindingKind.EXTENSION_MISSING,
            Severity.INFO,
            f"{database}/pgstattuple",
            f"{database}: bloat is only estimated; to measure the worst relations, run"
            f" {extension.remedy}",
            data={"statements": [extension.remedy]},
        )


def _failed(seen: Observed, error: str) -> Finding:
    return Finding(
        FindingKind.MONITOR_BLIND,
        Severity.ERROR,
        str(seen.relation),
        f"{seen.relation}: reading the whole relation failed: {error}; if its files are damaged,"
        " restore it from a backup",
        data={"table": str(seen.table)},
    )


def _too_empty(
    seen: Observed,
    bloat: Bloat,
    fraction: float,
    threshold: float,
    past: Sequence[Past],
    now: datetime,
    state: _Rebuilding,
) -> Finding:
    is_index = isinstance(seen, ObservedIndex)
    is_usual = is_index and (fraction <= SETTLED or "superfluous" in state.data)
    severity = Severity.INFO if is_usual else Severity.WARN
    empty = fraction * seen.size_bytes
    before = _a_week_ago(past, now)
    trend = f"; {before.fraction:.0%} on {before.taken_at:%Y-%m-%d}" if before else ""
    return Finding(
        FindingKind.INDEX_BLOAT if is_index else FindingKind.TABLE_BLOAT,
        severity,
        str(seen.relation),
        f"{name_of(seen)}: bloat {_share(bloat, fraction)} of {readable_size(seen.size_bytes)}"
        f" ({bloat.method}), wanted at most {threshold:.0%}{trend}; {state.text}",
        value=round(fraction, 3),
        threshold=threshold,
        data={
            "table": str(seen.table),
            "size_bytes": seen.size_bytes,
            "empty_bytes": round(empty),
            "method": bloat.method.value,
            "a_week_ago": before.fraction if before else None,
            "a_week_ago_at": f"{before.taken_at:%Y-%m-%d}" if before else None,
            **state.data,
        },
    )


def _a_week_ago(past: Sequence[Past], now: datetime) -> Past | None:
    old = [each for each in past if each.taken_at <= now - TREND and each.fraction is not None]
    return old[-1] if old else None


def _share(bloat: Bloat, fraction: float) -> str:
    least = "at least " if bloat.method is Method.AT_LEAST else ""
    return f"{least}{fraction:.0%}"


def _rebuilding(
    seen: Observed, section: BloatPolicy, stock: BloatSnapshot, now: datetime
) -> _Rebuilding:
    """Return how to free the space of a relation, and why a run does not do it."""
    if not isinstance(seen, ObservedIndex):
        way = rewrite(seen, stock.major)
        return _Rebuilding(way.text, {"rewrite": way.statement, "online": way.is_online})
    return _never_rebuilt(seen, stock) or _index_rebuilding(seen, section, stock, now)


def _never_rebuilt(index: ObservedIndex, stock: BloatSnapshot) -> _Rebuilding | None:
    """Return why no run rebuilds an index, whatever the policy says; None if one may."""
    advice = advice_against(index, stock)
    if advice is not None:
        text = f"not rebuilt, because {advice} of this run advises to drop it; decide on that first"
        return _Rebuilding(text, {"superfluous": advice})
    if has_duplicate(index, stock):
        text = "not rebuilt, because it has a duplicate; drop that first: see index_duplicate"
        return _Rebuilding(text, {"duplicated": True})
    if not index.is_rebuildable:
        statement = f"REINDEX INDEX {index.relation}"
        text = (
            "not rebuilt automatically, because the index of an exclusion constraint can't be"
            f" rebuilt online; at a quiet time run {statement} (blocks writers, and readers that"
            " use the index)"
        )
        return _Rebuilding(text, {"reindex": statement})
    if not index.manageable:
        statement = f"REINDEX INDEX CONCURRENTLY {index.relation}"
        upserts = f"; {_UPSERTS}" if can_fail_upserts(index, stock) else ""
        text = (
            "not rebuilt automatically, because this role is not a member of its owner; as the"
            f" owner run {statement}{upserts}"
        )
        return _Rebuilding(text, {"reindex": statement})
    return None


def _index_rebuilding(
    seen: ObservedIndex, section: BloatPolicy, stock: BloatSnapshot, now: datetime
) -> _Rebuilding:
    statement = f"REINDEX INDEX CONCURRENTLY {seen.relation}"
    backoff = backoff_of(seen.oid, stock.rebuilds)
    if backoff is not None and backoff.holds(now):
        return _Rebuilding(*_after_failure(backoff, statement))
    if fails_upserts(seen, stock):
        text = (
            f"not rebuilt automatically, because it is unique and {_UPSERTS}; at a quiet time run"
            f" {statement}, or add {seen.relation} to bloat.reindex_unique"
        )
        data = {"reindex": statement, "unique": True, "upserts_can_fail": True}
        return _Rebuilding(text, data)
    by_itself = "" if section.reindex == "concurrently" else ", or set bloat.reindex: concurrently"
    if can_fail_upserts(seen, stock):
        text = f"run {statement}{by_itself}; {_UPSERTS}"
        return _Rebuilding(text, {"reindex": statement, "upserts_can_fail": True})
    return _Rebuilding(f"run {statement}{by_itself}", {"reindex": statement})


def _after_failure(backoff: Backoff, statement: str) -> tuple[str, dict[str, Any]]:
    why = backoff.error or "the run was killed"
    times = f"{backoff.n_failures} times, the last" if backoff.n_failures > 1 else "once,"
    text = (
        f"rebuild failed {times} on {backoff.failed_at:%Y-%m-%d}: {why}; backing off until"
        f" {backoff.next_try:%Y-%m-%d}; to rebuild it now, run {statement}"
    )
    data = {
        "reindex": statement,
        "failures": backoff.n_failures,
        "failed_at": backoff.failed_at.isoformat(),
        "error": backoff.error,
        "next_try": backoff.next_try.isoformat(),
    }
    return text, data


def left_by_others(policy: Policy, leftovers: Sequence[Leftover]) -> Iterator[Finding]:
    """Yield leftovers of rebuilds by others, unless the subject `indexes` reports them."""
    if policy.indexes is not None:
        return
    for leftover in leftovers:
        if leftover.is_copy and not leftover.is_building:
            drop = f"DROP INDEX CONCURRENTLY {leftover.relation}"
            yield Finding(
                FindingKind.INDEX_INVALID,
                Severity.WARN,
                str(leftover.relation),
                f"{leftover.relation}: left by an interrupted REINDEX CONCURRENTLY of"
                f" {leftover.table}: maintained on writes but not usable; not dropped, because no"
                f" recorded run created it; run {drop}",
                data={"table": str(leftover.table), "drop": drop},
            )
