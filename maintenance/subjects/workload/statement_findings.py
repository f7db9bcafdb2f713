"""Findings on single statements: slow, slower than before, too many calls."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.subjects.workload.deltas import Baseline, Window, baselines, windows
from maintenance.subjects.workload.models import WorkloadSnapshot
from maintenance.subjects.workload.query_text import UNREADABLE, shown

MOST = 20
"""How many statements are reported for each finding kind, the heaviest first."""
LEAST_CALLS = 20
"""Fewest calls in a window for a meaningful mean."""
LEAST_BASELINE = (3, 100)
"""Fewest windows and calls for a baseline."""
LEAST_MS = 5.0
"""A mean below this is not reported, whatever the baseline."""
LEAST_TOTAL_MS = 1000.0
MANY_CALLS = 10_000
"""Fewest calls of one statement in a window for an N+1 pattern."""
MANY_SHARE = 0.1
"""Smallest share of all calls for an N+1 pattern."""
QUICK_MS = 5.0
ONE_ROW = 1.05


def query_findings(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot
) -> Iterator[Finding]:
    """Yield the findings on single statements since the last observation."""
    sample = load.statements.sample
    if sample is None:
        return
    found = current_windows(load)
    before = baselines(load.samples)
    yield from islice(_slow(database, section, found), MOST)
    yield from islice(_regressed(database, section, found, before), MOST)
    yield from islice(_n_plus_one(database, found), MOST)
    yield from _overall(database, section, found)


def current_windows(load: WorkloadSnapshot) -> list[Window]:
    """Return the application's statements since the last observation, most time first."""
    sample = load.statements.sample
    if sample is None:
        return []
    before = load.samples[-1] if load.samples else None
    found = [each for each in windows(before, sample) if _is_the_application(each)]
    return sorted(found, key=lambda window: (-window.total_ms, window.key))


def _is_the_application(window: Window) -> bool:
    """Whether a statement is the application's: no utility statement and no catalog query."""
    utility = window.text == UNREADABLE or window.text.endswith(" …")
    return not utility and "pg_catalog." not in window.text


def _slow(database: str, section: WorkloadPolicy, found: Sequence[Window]) -> Iterator[Finding]:
    limit = section.slow_query.total_seconds() * 1000
    for window in found:
        if window.mean_ms > limit:
            yield _finding(
                FindingKind.QUERY_SLOW,
                Severity.WARN,
                database,
                window,
                f"takes {window.mean_ms:,.0f} ms on average, wanted at most {limit:,.0f} ms",
                (round(window.mean_ms, 1), limit),
            )


def _regressed(
    database: str,
    section: WorkloadPolicy,
    found: Sequence[Window],
    before: Mapping[str, Baseline],
) -> Iterator[Finding]:
    for window in found:
        base = before.get(window.key)
        if base is None or not _can_compare(window, base):
            continue
        times = window.mean_ms / max(base.mean_ms, 0.001)
        if times >= section.regression:
            yield _finding(
                FindingKind.QUERY_REGRESSED,
                Severity.WARN,
                database,
                window,
                f"takes {window.mean_ms:,.1f} ms on average, {times:.1f} times the"
                f" {base.mean_ms:,.1f} ms of {base.n_windows} earlier observations; check its plan:"
                " stale statistics, a dropped index, more rows",
                (round(times, 2), section.regression),
            )


def _can_compare(window: Window, base: Baseline) -> bool:
    n_windows, n_calls = LEAST_BASELINE
    return (
        window.is_sure
        and window.calls >= LEAST_CALLS
        and window.mean_ms >= LEAST_MS
        and window.total_ms >= LEAST_TOTAL_MS
        and base.n_windows >= n_windows
        and base.calls >= n_calls
    )


def _n_plus_one(database: str, found: Sequence[Window]) -> Iterator[Finding]:
    """Yield frequent statements that return one row per call, as a loop does instead of a join."""
    all_calls = sum(window.calls for window in found)
    for window in sorted(found, key=lambda each: (-each.calls, each.key)):
        if (
            window.calls >= MANY_CALLS
            and window.calls >= MANY_SHARE * all_calls
            and window.n_rows <= ONE_ROW * window.calls
            and window.mean_ms <= QUICK_MS
            and window.text.upper().startswith("SELECT")
        ):
            share = window.calls / all_calls
            yield _finding(
                FindingKind.QUERY_N_PLUS_ONE,
                Severity.INFO,
                database,
                window,
                f"ran {window.calls:,} times ({share:.0%} of all calls) for one row each;"
                " possibly a loop in the application that a join can replace",
                (window.calls, MANY_CALLS),
            )


def _overall(database: str, section: WorkloadPolicy, found: Sequence[Window]) -> Iterator[Finding]:
    calls = sum(window.calls for window in found)
    limit = section.mean_query.total_seconds() * 1000
    mean = sum(window.total_ms for window in found) / calls if calls else 0.0
    if calls >= LEAST_CALLS and mean > limit:
        yield Finding(
            FindingKind.QUERY_SLOW,
            Severity.WARN,
            database,
            f"{database}: statements take {mean:,.1f} ms on average over {calls:,} calls, wanted"
            f" at most {limit:,.0f} ms; begin with the statements that take most time in total",
            value=round(mean, 1),
            threshold=limit,
        )


def _finding(
    kind: FindingKind,
    severity: Severity,
    database: str,
    window: Window,
    what: str,
    numbers: tuple[float, float],
) -> Finding:
    value, threshold = numbers
    return Finding(
        kind,
        severity,
        f"{database}/query/{window.key}",
        f"{database}: query {window.key} {what}: {shown(window.text)}",
        value=value,
        threshold=threshold,
        data={
            "text": window.text,
            "calls": window.calls,
            "mean_ms": round(window.mean_ms, 3),
            "p95_ms": round(window.p95_ms, 1) if window.p95_ms is not None else None,
            "total_ms": round(window.total_ms, 1),
            "rows": window.n_rows,
            "blocks_read": window.blocks_read,
            "read_ms": round(window.read_ms, 1),
        },
    )
