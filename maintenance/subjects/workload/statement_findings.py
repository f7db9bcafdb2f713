"""Findings on single statements: slow, slower than before, too many calls.

What is reported, and what is not:

- The first observation of a server is a baseline: nothing is reported.
- A statement is slow if, since the last observation, its mean, its estimated 95th percentile or
  a single call was longer than the policy's `slow_query`. A call counts only if it certainly fell
  into that time: a maximum that was there before is no news.
- A declared query with a target (`indexes.targets`) is slow if its estimated 95th percentile is
  above its target, or its mean where it was called too rarely for a percentile.
- A statement that was called once or twice is information: a report of the night, a person at a
  prompt. It is a warning if it took a minute for each second of `slow_query`, and is seen for the
  first time or took much longer than ever before.
- A one-time load is nothing: a statement that writes rows, is seen for the first time, and ran a
  few times or wrote a thousand rows a call; it is information if a call took as long as said above:
  by then it has held its locks long enough for people to ask.
- DDL, COPY, VACUUM, ANALYZE, REINDEX, REFRESH and other utility statements, queries on the catalog
  and statements of this software are never reported.
- A candidate for a materialized view is information: a query that summarizes many blocks into few
  rows, often, and takes a good part of the time. Whether its result may be as old as a refresh is
  not in the counters.
- One slow call among many is slow, but no regression: that is computed without the longest call.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import PAGE_BYTES, readable_size
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.server.query_text import aggregates, reads_table, shown, writes_rows
from maintenance.subjects.workload.call_times import LEAST_CALLS
from maintenance.subjects.workload.deltas import Baseline, Window, baselines
from maintenance.subjects.workload.looks import Look, recent_looks
from maintenance.subjects.workload.models import WorkloadSnapshot
from maintenance.subjects.workload.targets import NO_TARGETS, Targets

MOST = 20
"""How many statements are reported for each finding kind, the heaviest first."""
MOST_INFO = 5
"""How many slow statements are reported as information."""
FEW_CALLS = 3
"""Fewer calls of a statement between two observations are no load on the server. Two may be one
call that was tried again."""
BULK_ROWS = 1000
"""A statement that writes so many rows a call loads them."""
LEAST_BASELINE = (3, 100)
"""Fewest windows and calls for a baseline."""
LEAST_CALLS_P95 = 100
"""Fewest calls in a window whose 95th percentile is compared."""
LEAST_MS = 5.0
"""A mean or percentile below this is not reported as slower, whatever the baseline."""
LEAST_TOTAL_MS = 1000.0
MUCH = 1.5
"""Factor from which another counter is said to have risen together with the time."""
LONG = 60.0
"""A call that took this many times `slow_query` is told even if there were few."""
MANY_CALLS = 10_000
"""Fewest calls of one statement in a window for an N+1 pattern."""
MANY_SHARE = 0.1
"""Smallest share of all calls for an N+1 pattern."""
SUMMARY_CALLS = 100
"""Fewest calls in a window of a query that a materialized view could answer."""
SUMMARY_BLOCKS = 1000
"""Fewest blocks that such a query reads a call; smaller tables are summarized quickly."""
SUMMARY_ROWS = 1000
"""Most rows that it returns a call."""
SUMMARY_SHARE = 0.05
"""Smallest share of the time of all statements that it takes."""
QUICK_MS = 5.0
ONE_ROW = 1.05


class _Measure(NamedTuple):
    """What of a statement is beyond its limit: `mean`, `p95` or `worst_call`, and its value."""

    name: str
    value: float


def query_findings(
    database: str,
    section: WorkloadPolicy,
    load: WorkloadSnapshot,
    targets: Targets = NO_TARGETS,
) -> Iterator[Finding]:
    """Yield the findings on single statements since the last observation."""
    looks = recent_looks(load)
    above = dict(_above_target(database, looks, targets))
    yield from above.values()
    slow = [
        finding
        for key, finding in _slow(database, section, looks, targets)
        if key not in above or finding.data["measure"] == "worst_call"
    ]
    yield from islice((each for each in slow if each.severity is not Severity.INFO), MOST)
    yield from islice((each for each in slow if each.severity is Severity.INFO), MOST_INFO)
    yield from islice(_regressed(database, section, looks), MOST)
    yield from islice(_n_plus_one(database, section, looks), MOST)
    yield from islice(_matview_candidates(database, looks), MOST_INFO)
    yield from _overall(database, section, looks)


def _above_target(
    database: str, looks: Sequence[Look], targets: Targets
) -> Iterator[tuple[str, Finding]]:
    """Yield the declared queries that take longer than their target, by the key of the text."""
    for look, window in _newest(looks, lambda each: each.is_complete and each.calls >= FEW_CALLS):
        target = targets.of(window.text)
        if target is None:
            continue
        p95 = window.p95_ms
        measure = _Measure("mean", window.mean_ms) if p95 is None else _Measure("p95", p95)
        if measure.value <= target.limit_ms:
            continue
        base = baselines(look.earlier, {window.key}).get(window.key)
        yield (
            window.key,
            _finding(
                FindingKind.QUERY_SLOW,
                Severity.WARN,
                f"{database}/queries/{target.query}",
                f"{database}: query {target.query} {_slow_words(window, measure)}, its target is"
                f" {target.limit_ms:,.0f} ms: {shown(window.text)}",
                (round(measure.value, 1), target.limit_ms),
                _data(look, window, base)
                | {"measure": measure.name, "reason": "target", "statement": window.key},
            ),
        )


def _slow(
    database: str, section: WorkloadPolicy, looks: Sequence[Look], targets: Targets
) -> Iterator[tuple[str, Finding]]:
    """Yield the statements that were slow, by the key of the text."""
    usual = section.slow_query.total_seconds() * 1000
    for look, window in _newest(looks, lambda each: each.is_complete or each.worst_ms is not None):
        target = targets.of(window.text)
        limit = usual if target is None else max(usual, target.limit_ms)
        measure = _beyond(window, limit)
        severity = _severity(look, window, measure, limit) if measure is not None else None
        if measure is None or severity is None:
            continue
        base = baselines(look.earlier, {window.key}).get(window.key)
        before = f", earlier mean {base.mean_ms:,.1f} ms" if base else ""
        yield (
            window.key,
            _finding(
                FindingKind.QUERY_SLOW,
                severity,
                f"{database}/query/{window.key}",
                f"{database}: query {window.key} {_slow_words(window, measure)}, wanted at most"
                f" {limit:,.0f} ms{before}: {shown(window.text)}",
                (round(measure.value, 1), limit),
                _data(look, window, base)
                | {
                    "measure": measure.name,
                    "reason": measure.name,
                    "is_new": not look.has_seen(window.key),
                },
            ),
        )


def _newest(
    looks: Sequence[Look], is_evidence: Callable[[Window], bool]
) -> Iterator[tuple[Look, Window]]:
    """Yield for each statement its newest window that is evidence, most time first."""
    found: dict[str, tuple[Look, Window]] = {}
    for look in looks:
        for window in look.windows:
            if window.key not in found and is_evidence(window):
                found[window.key] = (look, window)
    yield from sorted(found.values(), key=lambda pair: (-pair[1].total_ms, pair[1].key))


def _beyond(window: Window, limit: float) -> _Measure | None:
    """Return the first measure beyond the limit: mean, 95th percentile, longest call."""
    measures = [("worst_call", window.worst_ms)]
    if window.is_complete and window.calls > 1:
        measures = [("mean", window.mean_ms), ("p95", window.p95_ms), *measures]
    return next(
        (_Measure(name, value) for name, value in measures if value and value > limit), None
    )


def _severity(look: Look, window: Window, measure: _Measure, limit: float) -> Severity | None:
    """Return how bad a slow statement is; None for a one-time load that was not very long."""
    is_long = max(measure.value, window.worst_ms or 0.0) >= LONG * limit
    if _is_load(look, window):
        return Severity.INFO if is_long else None
    if window.calls >= FEW_CALLS:
        return Severity.WARN
    is_unusual = measure.value > MUCH * look.longest_before(window.key)
    return Severity.WARN if is_long and is_unusual else Severity.INFO


def _is_load(look: Look, window: Window) -> bool:
    """Whether it looks like a one-time load: it writes rows, and was never seen before."""
    is_bulk = window.calls < LEAST_CALLS or window.rows_per_call >= BULK_ROWS
    return is_bulk and writes_rows(window.text) and not look.has_seen(window.key)


def _slow_words(window: Window, measure: _Measure) -> str:
    value = f"{measure.value:,.0f} ms"
    if measure.name == "mean":
        return f"takes {value} on average"
    if measure.name == "p95":
        return f"takes {value} or more in 5 % of its calls (estimated)"
    if window.calls == 1:
        return f"took {value} in its only call"
    at_least = "" if measure.value == window.max_ms else "at least "
    return f"took {at_least}{value} in one of {window.calls:,} calls"


def _regressed(database: str, section: WorkloadPolicy, looks: Sequence[Look]) -> Iterator[Finding]:
    for look, window in _newest(looks, _is_comparable):
        base = baselines(look.earlier, {window.key}).get(window.key)
        if base is None or not _is_enough(base):
            continue
        measure = _slower(window, base, section.regression)
        if measure is None:
            continue
        name, times = measure
        after, before, word = _compared(name, window, base)
        yield _finding(
            FindingKind.QUERY_REGRESSED,
            Severity.WARN,
            f"{database}/query/{window.key}",
            f"{database}: query {window.key} takes {after:,.1f} ms {word}, {times:.1f} times the"
            f" {before:,.1f} ms of {base.n_windows} earlier observations;"
            f" {_cause(window, base.total)}: {shown(window.text)}",
            (round(times, 2), section.regression),
            _data(look, window, base) | {"measure": name, "reason": name},
        )


def _is_comparable(window: Window) -> bool:
    return (
        window.is_sure
        and window.calls >= LEAST_CALLS
        and max(window.mean_ms, window.p95_ms or 0.0) >= LEAST_MS
        and window.total_ms >= LEAST_TOTAL_MS
    )


def _is_enough(base: Baseline) -> bool:
    n_windows, n_calls = LEAST_BASELINE
    return base.n_windows >= n_windows and base.calls >= n_calls


def _slower(window: Window, base: Baseline, limit: float) -> _Measure | None:
    """Return by how many times the mean, or else the 95th percentile, has risen, if too much."""
    if window.usual_ms >= max(LEAST_MS, limit * base.mean_ms):
        return _Measure("mean", window.mean_ms / max(base.mean_ms, 0.001))
    now, before = window.p95_ms, base.total.p95_ms
    if window.calls < LEAST_CALLS_P95 or now is None or before is None:
        return None
    is_slower = now >= max(LEAST_MS, limit * before)
    return _Measure("p95", now / max(before, 0.001)) if is_slower else None


def _compared(name: str, window: Window, base: Baseline) -> tuple[float, float, str]:
    """Return the value now, the value before, and what it is."""
    if name == "mean":
        return window.mean_ms, base.mean_ms, "on average"
    return window.p95_ms or 0.0, base.total.p95_ms or 0.0, "or more in 5 % of its calls (estimated)"


def _cause(now: Window, before: Window) -> str:
    """Return what rose together with the time, as far as the counters show it."""
    if _rose(now.n_rows, now.calls, before.n_rows, before.calls):
        return f"it has {now.rows_per_call:,.0f} rows a call, before {before.rows_per_call:,.0f}"
    if now.temp_blocks and not before.temp_blocks and before.temp_blocks is not None:
        return "it now writes temporary files: check work_mem and its plan"
    blocks, earlier = now.blocks_hit + now.blocks_read, before.blocks_hit + before.blocks_read
    if _rose(blocks, now.calls, earlier, before.calls):
        return "it reads more blocks: check its plan, statistics and indexes"
    return "it reads no more than before: check locks, I/O and load"


def _rose(now: int, calls: int, before: int, calls_before: int) -> bool:
    """Whether a counter rose by half or more for each call."""
    return now / calls > MUCH * max(before / calls_before, 1.0)


def _n_plus_one(database: str, section: WorkloadPolicy, looks: Sequence[Look]) -> Iterator[Finding]:
    """Yield frequent statements that return one row per call, as a loop does instead of a join."""
    look = next((each for each in looks if each.calls >= MANY_CALLS), None)
    if look is None:
        return
    all_calls = look.calls
    for window in sorted(look.outer, key=lambda each: (-each.calls, each.key)):
        if not _is_looped(window, all_calls):
            continue
        share = look.share_of(window) or 0.0
        yield _finding(
            FindingKind.QUERY_N_PLUS_ONE,
            Severity.WARN if share >= section.n_plus_one_share else Severity.INFO,
            f"{database}/query/{window.key}",
            f"{database}: query {window.key} ran {window.calls:,} times"
            f" ({window.calls / all_calls:.0%} of all calls, {share:.0%} of the time) for one row"
            " each; possibly a loop in the application that a join can replace:"
            f" {shown(window.text)}",
            (window.calls, MANY_CALLS),
            _data(look, window, None)
            | {"call_share": round(window.calls / all_calls, 4), "measure": "calls"},
        )


def _is_looped(window: Window, all_calls: int) -> bool:
    return (
        window.calls >= MANY_CALLS
        and window.calls >= MANY_SHARE * all_calls
        and window.n_rows <= ONE_ROW * window.calls
        and window.mean_ms <= QUICK_MS
        and reads_table(window.text)
    )


def _matview_candidates(database: str, looks: Sequence[Look]) -> Iterator[Finding]:
    """Yield frequent queries that read much to return few summarized rows."""
    for look, window in _newest(looks, _is_summary):
        share = look.share_of(window) or 0.0
        if share < SUMMARY_SHARE:
            continue
        read = readable_size(_blocks_per_call(window) * PAGE_BYTES)
        yield _finding(
            FindingKind.MATVIEW_CANDIDATE,
            Severity.INFO,
            f"{database}/query/{window.key}",
            f"{database}: query {window.key} read {read} a call for {window.rows_per_call:,.0f}"
            f" rows, {window.calls:,} times ({share:.0%} of the time); a materialized view may"
            f" answer it, if its result may be as old as a refresh: {shown(window.text)}",
            (round(share, 4), SUMMARY_SHARE),
            _data(look, window, None) | {"measure": "blocks", "parameters": window.text.count("?")},
        )


def _is_summary(window: Window) -> bool:
    return (
        window.is_complete
        and not window.is_nested
        and window.calls >= SUMMARY_CALLS
        and _blocks_per_call(window) >= SUMMARY_BLOCKS
        and window.rows_per_call <= SUMMARY_ROWS
        and aggregates(window.text)
    )


def _blocks_per_call(window: Window) -> int:
    return (window.blocks_hit + window.blocks_read) // window.calls


def _overall(database: str, section: WorkloadPolicy, looks: Sequence[Look]) -> Iterator[Finding]:
    usual = next((each for each in map(_usual, looks) if _calls(each) >= LEAST_CALLS), None)
    if usual is None:
        return
    limit = section.mean_query.total_seconds() * 1000
    calls = _calls(usual)
    mean = sum(window.total_ms for window in usual) / calls
    if mean > limit:
        yield _finding(
            FindingKind.QUERY_SLOW,
            Severity.WARN,
            database,
            f"{database}: statements take {mean:,.1f} ms on average over {calls:,} calls,"
            f" wanted at most {limit:,.0f} ms; begin with the statements that take most time in"
            " total",
            (round(mean, 1), limit),
            {"measure": "mean", "reason": "mean_of_all", "calls": calls},
        )


def _usual(look: Look) -> Sequence[Window]:
    """Return the windows without loads and without what was called only once or twice."""
    return [each for each in look.outer if each.calls >= FEW_CALLS and not _is_load(look, each)]


def _calls(found: Sequence[Window]) -> int:
    return sum(window.calls for window in found)


def _finding(
    kind: FindingKind,
    severity: Severity,
    name: str,
    message: str,
    numbers: tuple[float, float],
    data: Mapping[str, Any],
) -> Finding:
    value, threshold = numbers
    return Finding(kind, severity, name, message, value=value, threshold=threshold, data=data)


def _data(look: Look, window: Window, base: Baseline | None) -> dict[str, Any]:
    """Return a statement's numbers in its window, and per call before and after."""
    return {
        "text": window.text,
        "until": look.until.isoformat(),
        "calls": window.calls,
        "calls_per_second": _rounded(window.calls_per_second, 4),
        "mean_ms": round(window.mean_ms, 3),
        "p95_ms": _rounded(window.p95_ms, 1),
        "worst_ms": _rounded(window.worst_ms, 1),
        "total_ms": round(window.total_ms, 1),
        "time_share": _rounded(look.share_of(window), 4),
        "rows": window.n_rows,
        "rows_per_call": round(window.rows_per_call, 3),
        "blocks_read": window.blocks_read,
        "read_ms": round(window.read_ms, 1),
        "temp_bytes": _bytes(window.temp_blocks),
        "wal_bytes": window.wal_bytes,
        "is_complete": window.is_complete,
        "before": _per_call(base.total) if base else None,
        "after": _per_call(window),
    }


def _per_call(window: Window) -> dict[str, Any]:
    temp_bytes = _bytes(window.temp_blocks)
    return {
        "calls": window.calls,
        "mean_ms": round(window.mean_ms, 3),
        "p95_ms": _rounded(window.p95_ms, 1),
        "worst_ms": _rounded(window.worst_ms, 1),
        "rows": round(window.rows_per_call, 3),
        "blocks": round((window.blocks_hit + window.blocks_read) / window.calls, 1),
        "temp_bytes": round(temp_bytes / window.calls) if temp_bytes is not None else None,
        "wal_bytes": round(window.wal_bytes / window.calls)
        if window.wal_bytes is not None
        else None,
    }


def _bytes(blocks: int | None) -> int | None:
    return blocks * PAGE_BYTES if blocks is not None else None


def _rounded(value: float | None, digits: int) -> float | None:
    return round(value, digits) if value is not None else None
