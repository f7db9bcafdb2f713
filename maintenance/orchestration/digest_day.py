"""The parts of the digest about the last day: load, and what was done."""

from collections.abc import Iterator

from maintenance.formatting import readable_span
from maintenance.monitoring.models import Load
from maintenance.monitoring.work_done import WorkDone, WorkLine, fold
from maintenance.orchestration.digest_links import AssetLinks
from maintenance.orchestration.markdown import code, grid, plain

UNKNOWN = "not measured"
MOST_LINES = 30
MOST_NAMED = 5

_LONG = 200
"""Maximum number of characters shown of a statement or a fact."""


def load_section(load: Load) -> Iterator[str]:
    """Yield the load of the last day; what has no sample is said to be not measured."""
    yield "### Load of the last day"
    peaks, worst = load.peaks, load.worst
    longest = peaks.oldest_transaction_s if peaks else None
    rows = (
        ("pool peak", _pool(load)),
        ("longest open transaction", UNKNOWN if longest is None else readable_span(longest)),
        ("sessions blocked for", readable_span(peaks.blocked_s) if peaks else UNKNOWN),
        ("worst statement", code(worst.text[:_LONG]) if worst else UNKNOWN),
    )
    yield grid(("what", "value"), rows)
    if worst is not None:
        longest_call = "" if worst.worst_ms is None else f", longest {worst.worst_ms:,.0f} ms"
        yield (
            f"Worst statement, on {plain(worst.server)}: {worst.calls:,} calls, mean"
            f" {worst.mean_ms:,.1f} ms{longest_call}, {worst.total_ms / 1000:,.1f} s in all,"
            f" {worst.time_share:.0%} of the time of all statements."
        )


def _pool(load: Load) -> str:
    if load.pool is None:
        return UNKNOWN
    limit = "" if load.pool_limit is None else f"; limit {load.pool_limit:.0%}"
    pool = load.pool
    return (
        f"{pool.n_connections:,} of {pool.n_usable:,} ({pool.share:.0%})"
        f" at {pool.at:%Y-%m-%d %H:%M} UTC{limit}"
    )


def work_section(database: str, work: WorkDone, links: AssetLinks) -> str:
    """Return what was done in the last day by name, as `maintenance history` folds it."""
    lines = fold(work.actions)
    if not lines:
        return "Nothing was done."
    rows = (_line(database, line, links) for line in lines[:MOST_LINES])
    page = grid(("when", "what", "objects", "details"), rows)
    rest = len(lines) - MOST_LINES
    if rest > 0 or not work.is_complete:
        page += "\n\nMore is listed by `maintenance history`."
    return page


def _line(database: str, line: WorkLine, links: AssetLinks) -> tuple[str, ...]:
    names = [links.object(database, line.kind, name) for name in line.objects[:MOST_NAMED]]
    more = len(line.objects) - MOST_NAMED
    return (
        f"{line.at:%H:%M}",
        plain(f"{line.verb} {line.what}"),
        ", ".join(names) + (f" and {more:,} more" if more > 0 else ""),
        plain(", ".join(line.facts)[:_LONG]),
    )
