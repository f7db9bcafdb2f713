"""What is wrong with declared queries and the indexes that are for them, as findings. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from maintenance.engine.findings import (
    UNKNOWN,
    Finding,
    FindingKind,
    Reading,
    Severity,
    unknown_without,
)
from maintenance.engine.scope import Request
from maintenance.formatting import readable_span
from maintenance.names import QualifiedName
from maintenance.policy.declarations import ColumnDeclaration, Declaration
from maintenance.policy.query_sql import RelationName
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.declared.partition_findings import partition_findings
from maintenance.subjects.indexes.declared.query_expectation import Verdict
from maintenance.subjects.indexes.declared.query_models import (
    Failure,
    NotRun,
    PlannedQuery,
    QueryKey,
    Timing,
)
from maintenance.subjects.indexes.declared.query_observation import (
    QueriesObservation,
    is_for,
)
from maintenance.subjects.indexes.declared.query_service import (
    WANTED_SHARE,
    Service,
    Share,
    named,
    said,
)
from maintenance.subjects.indexes.declared.query_verdicts import (
    ProvenIndex,
    QueryUse,
    Reason,
    Use,
)
from maintenance.subjects.indexes.declared.query_watch import (
    PlanChange,
    TimedProof,
    WatchedIndex,
    WatchState,
    changed_plans,
    faster,
)

LARGEST_SLOWDOWN = 1.2
"""A query that became slower by more around the build of an index is a warning."""

_UNDEFINED_COLUMN = "42703"
_DRIFT = frozenset({"3F000", _UNDEFINED_COLUMN, "42704", "42883", "42P01"})
"""Errors that say that the database has not what a query names."""


def query_findings(
    database: str,
    limits: IndexesPolicy,
    seen: QueriesObservation,
    now: datetime,
    request: Request,
    views: Collection[QualifiedName] = (),
) -> Iterator[Finding]:
    """Yield the findings about declared queries and about new indexes.

    Args:
        database: the policy's name.
        limits: of the policy.
        seen: the queries, planned.
        now: the current time.
        request: limits the findings to tables.
        views: materialized views that the policy declares.
    """
    watched = [each for each in seen.watched if request.includes(each.table)]
    for each in watched:
        yield from _watch_finding(each, limits.watch, now)
    if seen.failure:
        text = f"declared queries not planned: {seen.failure}"
        indexes = [str(index.relation) for index in seen.indexes]
        yield _blind(f"{database}/queries", text, indexes)
        return
    for index in seen.indexes:
        if request.includes(index.table):
            yield from _index_findings(index, seen)
            yield from _expectation_findings(index, seen, limits.watch, now)
    for each in watched:
        yield from _review(each, limits.watch[-1], now, seen)
    queries = {each.query: each for each in seen.planned if _is_asked(each, request)}
    awaited = _Awaited(limits.declarations, views)
    yield from _failure_findings(database, awaited, seen, queries)
    yield from _change_findings(database, seen, queries)
    yield from partition_findings(database, limits, list(queries.values()))
    recent = [each for each in seen.proofs if now - each.taken_at <= limits.watch[-1]]
    yield from _regressions(database, recent, queries)
    if request.table is None:
        yield from _share_finding(database, seen.share())


def _is_asked(query: PlannedQuery, request: Request) -> bool:
    return request.table is None or any(request.includes(r.relation) for r in query.relations)


# Use


def _index_findings(index: ProvenIndex, seen: QueriesObservation) -> Iterator[Finding]:
    """Yield the finding about an index that its queries do not use, or not fully."""
    uses = dict(seen.uses(index))
    if not uses:
        return
    if not index.serves and any(use.use is Use.USED for use in uses.values()):
        # Its table's other queries need not use it.
        uses = {key: use for key, use in uses.items() if use.is_cautious}
    told = {key: use for key, use in uses.items() if use.reason is not None}
    if not told:
        return
    severity = max((_severity(use) for use in told.values()), key=_SEVERITIES.index)
    key, use = next((k, u) for k, u in told.items() if _severity(u) is severity)
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    yield Finding(
        FindingKind.INDEX_NOT_USED_BY_QUERY,
        severity,
        str(index.relation),
        f"{index.relation}: {_said(use)} by query {key}{more}: {use.text}",
        data={
            "table": str(index.table),
            "query": key.query,
            "parameters": key.number,
            "verdict": use.use.value,
            "reason": use.reason.value if use.reason is not None else None,
            "queries": [_use_json(k, u) for k, u in told.items()],
        },
    )


_SEVERITIES = (Severity.INFO, Severity.WARN, Severity.ERROR)


def _severity(use: QueryUse) -> Severity:
    if use.use is Use.UNUSED and use.reason not in (Reason.SMALL, Reason.AS_GOOD):
        return Severity.WARN
    return Severity.INFO


def _said(use: QueryUse) -> str:
    return "used with a caution" if use.use is Use.USED else use.use.value


def _use_json(key: QueryKey, use: QueryUse) -> dict[str, Any]:
    return {
        "query": key.query,
        "parameters": key.number,
        "verdict": use.use.value,
        "reason": use.reason.value if use.reason is not None else None,
        "text": use.text,
    }


def _share_finding(database: str, share: Share) -> Iterator[Finding]:
    value = share.value
    if value is None or value >= WANTED_SHARE:
        return
    without = [each for each in share.queries if each.service is Service.NONE]
    yield Finding(
        FindingKind.INDEX_NOT_USED_BY_QUERY,
        Severity.WARN,
        f"{database}/queries",
        f"{database}: declared queries with a declared index: {said(share)}; not served:"
        f" {named(without)}",
        value=round(value, 4),
        threshold=WANTED_SHARE,
        data={
            "without": [str(each.key) for each in without],
            "queries": len(share.queries),
            **share.counts,
        },
    )


def _watch_finding(
    watched: WatchedIndex, watch: Sequence[timedelta], now: datetime
) -> Iterator[Finding]:
    warn_after, error_after, _ = watch
    if watched.state(now, warn_after) is not WatchState.UNSCANNED:
        return
    age = watched.age(now)
    is_error = age >= error_after
    after = error_after if is_error else warn_after
    yield Finding(
        FindingKind.INDEX_NOT_SCANNED,
        Severity.ERROR if is_error else Severity.WARN,
        str(watched.relation),
        f"{watched.relation}: built {readable_span(age)} ago and not scanned since, on any server;"
        " compare the queries of the application with its keys and predicate, or take it back",
        value=round(age.total_seconds()),
        threshold=round(after.total_seconds()),
        data={"table": str(watched.table), "built_at": watched.built_at.isoformat(), "scans": 0},
    )


def _expectation_findings(
    index: ProvenIndex, seen: QueriesObservation, watch: Sequence[timedelta], now: datetime
) -> Iterator[Finding]:
    """Yield that an index made its queries less fast than expected, until its review is over."""
    expected, proofs = seen.expectation(index), seen.proofs_of(index)
    if expected is None or expected.verdict not in (Verdict.MISSED, Verdict.TOO_SMALL):
        return
    measured_at = max(each.taken_at for each in proofs)
    age, name = now - measured_at, str(index.relation)
    is_missed = expected.verdict is Verdict.MISSED
    slowest = max(proofs, key=lambda each: Timing(each.after_ms).median_ms)
    before, after = Timing(slowest.before_ms).median_ms, Timing(slowest.after_ms).median_ms
    then = (
        "compare the plans before and after in the detail of its build; then correct -- expect:,"
        " change the index, or take it back: maintenance undo"
        if is_missed
        else "too small to judge: measure it on as many rows as in production"
    )
    yield Finding(
        FindingKind.INDEX_BELOW_EXPECTATION,
        _expectation_severity(age, watch) if is_missed else Severity.INFO,
        name,
        f"{name}: its queries became {expected.ratio:.1f} times faster by its build, at most"
        f" {expected.most:.1f}, expected {expected.wanted:g}; query {slowest.key} took"
        f" {before:,.2f} ms before and {after:,.2f} ms after: {then}",
        value=round(expected.ratio or 0, 2),
        threshold=expected.wanted,
        data={
            "table": str(index.table),
            "measured_at": measured_at.isoformat(),
            **expected.as_json(),
            "queries": [_timed_json(each) for each in proofs],
        },
    )


def _expectation_severity(age: timedelta, watch: Sequence[timedelta]) -> Severity:
    """Return the severity by the age of a measurement; from the review on it is information."""
    warn_after, error_after, review = watch
    if not warn_after <= age < review:
        return Severity.INFO
    return Severity.ERROR if age >= error_after else Severity.WARN


def _timed_json(proof: TimedProof) -> dict[str, Any]:
    return {
        "query": proof.key.query,
        "parameters": proof.key.number,
        "before_ms": round(Timing(proof.before_ms).median_ms, 3),
        "after_ms": round(Timing(proof.after_ms).median_ms, 3),
    }


def _review(
    watched: WatchedIndex, after: timedelta, now: datetime, seen: QueriesObservation
) -> Iterator[Finding]:
    """Yield the review of a new index, for as long again as it was watched."""
    if not after <= watched.age(now) < 2 * after:
        return
    index = next(each for each in seen.indexes if each.relation == watched.relation)
    uses = [use.use for _, use in seen.uses(index)]
    n_used = sum(use is not Use.UNUSED for use in uses)
    name = str(watched.relation)
    ratio, expected = faster(seen.proofs_of(index)), seen.expectation(index)
    state = watched.state(now, after)
    told = [f"{watched.scans:,} scans" if state is WatchState.SCANNED else state.value]
    if uses:
        told.append(f"used by {n_used} of {len(uses)} declared queries")
    if ratio is not None:
        told.append(f"they became {ratio:.1f} times faster")
    if expected is not None:
        told.append(f"expected {expected.wanted:g} times: {expected.verdict.value}")
    is_kept = state is WatchState.SCANNED or n_used > 0
    yield Finding(
        FindingKind.INDEX_REVIEW,
        Severity.INFO,
        name,
        f"{name}: {readable_span(watched.age(now))} after its build: {', '.join(told)}",
        data={
            "table": str(watched.table),
            "built_at": watched.built_at.isoformat(),
            "verdict": "keep" if is_kept else "look again",
            "state": state.value,
            "scans": watched.scans,
            "gaps": dict(watched.gaps),
            "queries": len(uses),
            "queries_using": n_used,
            "ratio": round(ratio, 2) if ratio is not None else None,
            "expected": expected.wanted if expected is not None else None,
            "expectation": expected.verdict.value if expected is not None else None,
        },
    )


# Queries


class _Awaited(NamedTuple):
    """What the policy declares and may not exist yet."""

    declarations: Sequence[Declaration]
    views: Collection[QualifiedName]

    def explains(self, query: PlannedQuery, failure: Failure) -> bool:
        """Whether a query lacks only a column or a view that is declared.

        That it is missing is the finding of the column or of the view.
        """
        if failure.missing:
            return all(map(self._is_view, failure.missing))
        tables = {each.relation for each in query.relations}
        return failure.sqlstate == _UNDEFINED_COLUMN and any(
            isinstance(each, ColumnDeclaration)
            and each.table in tables
            and each.name in failure.text
            for each in self.declarations
        )

    def _is_view(self, name: RelationName) -> bool:
        return any(
            view.name == name.name and name.schema in (None, view.schema) for view in self.views
        )


def _failure_findings(
    database: str,
    awaited: _Awaited,
    seen: QueriesObservation,
    queries: Mapping[str, PlannedQuery],
) -> Iterator[Finding]:
    for each in queries.values():
        if each.failure is None:
            continue
        found = _failure_finding(database, each, each.failure, seen)
        is_awaited = awaited.explains(each, each.failure)
        yield replace(found, severity=Severity.INFO) if is_awaited else found


def _failure_finding(
    database: str, query: PlannedQuery, failure: Failure, seen: QueriesObservation
) -> Finding:
    name = f"{database}/queries/{query.query}"
    hint = f"; {failure.hint}" if failure.hint else ""
    text = f"query {query.query} not planned: {failure.text}{hint}"
    data = {"query": query.query, "reason": failure.reason.value, "sqlstate": failure.sqlstate}
    if failure.reason is NotRun.NO_RELATION or failure.sqlstate in _DRIFT:
        return Finding(FindingKind.SCHEMA_DRIFT, Severity.ERROR, name, text, data=data)
    indexes = [str(index.relation) for index in seen.indexes if is_for(index, query)]
    return _blind(name, text, indexes, **data)


def _blind(name: str, text: str, indexes: Sequence[str], **data: Any) -> Finding:
    """Return the finding that queries could not be planned.

    Args:
        name: of the query, or of all of them.
        text: the reason.
        indexes: whose use is unknown.
        data: further facts.
    """
    share_of_all = name.partition("/")[0] + "/queries"
    unknown = {
        **unknown_without(Reading.QUERIES, [name, share_of_all, *indexes]),
        FindingKind.SCHEMA_DRIFT.value: [name],
    }
    return Finding(
        FindingKind.MONITOR_BLIND, Severity.WARN, name, text, data={**data, UNKNOWN: unknown}
    )


def _change_findings(
    database: str, seen: QueriesObservation, queries: Mapping[str, PlannedQuery]
) -> Iterator[Finding]:
    changes: dict[str, list[PlanChange]] = {}
    for change in changed_plans(seen.baselines, seen.measurements):
        if change.key.query in queries:
            changes.setdefault(change.key.query, []).append(change)
    for query, found in changes.items():
        yield _change_finding(database, query, found)


def _change_finding(database: str, query: str, changes: Sequence[PlanChange]) -> Finding:
    worst = max(changes, key=lambda each: each.cost_ratio)
    before = worst.before
    return Finding(
        FindingKind.QUERY_PLAN_CHANGED,
        Severity.WARN if worst.is_worse else Severity.INFO,
        f"{database}/queries/{query}",
        f"query {worst.key}: plan changed since {before.taken_at:%Y-%m-%d}: was"
        f" {before.plan.describe()} (cost {before.plan.cost:,.0f}), is {worst.now.describe()}"
        f" (cost {worst.now.cost:,.0f})",
        value=round(worst.cost_ratio, 2),
        threshold=None,
        data={
            "query": query,
            "parameters": [change.key.number for change in changes],
            "since": before.taken_at.isoformat(),
            "before": before.plan.describe(),
            "now": worst.now.describe(),
            "lost": sorted(map(str, _lost(changes))),
        },
    )


def _lost(changes: Sequence[PlanChange]) -> frozenset[QualifiedName]:
    return frozenset(index for change in changes for index in change.lost)


def _regressions(
    database: str, proofs: Sequence[TimedProof], queries: Mapping[str, PlannedQuery]
) -> Iterator[Finding]:
    worst: dict[str, tuple[float, TimedProof]] = {}
    for proof in proofs:
        slower = proof.slower
        if slower is None or slower <= LARGEST_SLOWDOWN or proof.key.query not in queries:
            continue
        if slower > worst.get(proof.key.query, (0.0, proof))[0]:
            worst[proof.key.query] = (slower, proof)
    for query, (slower, proof) in worst.items():
        yield Finding(
            FindingKind.QUERY_REGRESSED,
            Severity.WARN,
            f"{database}/queries/{query}",
            f"query {proof.key}: {slower:.1f} times slower since {proof.index} was built on"
            f" {proof.taken_at:%Y-%m-%d}; the detail of that build has its plans before and after",
            value=round(slower, 2),
            threshold=LARGEST_SLOWDOWN,
            data={"query": query, "parameters": proof.key.number, "index": proof.index},
        )
