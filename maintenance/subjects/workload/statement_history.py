"""The heaviest statements of a database and its replicas, from the store, for people to read."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from maintenance.formatting import PAGE_BYTES
from maintenance.server.query_text import is_application
from maintenance.server.session import Connection, fetch
from maintenance.subjects.workload.deltas import Window, merged, windows
from maintenance.subjects.workload.history import LOOKED_BACK, stored_samples

DAY = timedelta(days=1)


class Statement(NamedTuple):
    """The activity of one statement on one server between observations.

    Attributes:
        server: `primary`, or a replica's name.
        calls_per_second: None if the length of the time is unknown.
        p95_ms: the 95th percentile of call times, estimated; None if there were too few calls.
        worst_ms: the longest call was at least so long; None if unknown.
        time_share: its share of the time of all statements on that server.
        temp_bytes: volume of temporary files that it wrote; None if unknown, as `wal_bytes`.
    """

    server: str
    statement: str
    text: str
    calls: int
    calls_per_second: float | None
    total_ms: float
    time_share: float
    mean_ms: float
    p95_ms: float | None
    worst_ms: float | None
    rows_per_call: float
    blocks_read: int
    temp_bytes: int | None
    wal_bytes: int | None


def heaviest(store: Connection, database: str, now: datetime, most: int) -> list[Statement]:
    """Return the statements with the most time up to the newest observation of each server.

    The time begins at the observation before; with only one, when the server began to count.
    """
    found: list[Statement] = []
    for server in _servers(store, database, now):
        samples = stored_samples(store, database, server, now, 2)
        before = samples[-2] if len(samples) > 1 else None
        found += _ranked(server, list(windows(before, samples[-1])) if samples else [])
    return sorted(found, key=lambda each: (-each.total_ms, each.server, each.statement))[:most]


def worst_of_the_day(store: Connection, database: str, now: datetime) -> Statement | None:
    """Return the application's statement that took the most time in the last day, on any server.

    The day is made of whole times between observations that ended in it. None without two
    observations, or if no statement was called.
    """
    found: list[Statement] = []
    for server in _servers(store, database, now):
        found += _ranked(server, _day(store, database, server, now))
    return max(found, key=lambda each: (each.total_ms, each.statement), default=None)


class StatementTotals(NamedTuple):
    """The application's statements of one day on all servers.

    Attributes:
        calls: of all statements.
        mean_ms: mean time of a call.
        n_slow: number of statements whose 95th percentile, or else mean, was above the limit.
    """

    calls: int
    mean_ms: float
    n_slow: int


def totals_of_the_day(
    store: Connection, database: str, now: datetime, slow_ms: float
) -> StatementTotals | None:
    """Return the sums of the application's statements in the last day.

    The day is that of `worst_of_the_day`. None without two observations, or if no statement was
    called.

    Args:
        store: a session on the store.
        database: the database's name in its policy.
        now: the end of the day.
        slow_ms: the time above which a statement is slow, in milliseconds.
    """
    found = [
        each
        for server in _servers(store, database, now)
        for each in _day(store, database, server, now)
    ]
    outer = [window for window in found if not window.is_nested]
    calls = sum(window.calls for window in outer)
    if not calls:
        return None
    slow = {window.key for window in outer if (window.p95_ms or window.mean_ms) > slow_ms}
    return StatementTotals(calls, sum(window.total_ms for window in outer) / calls, len(slow))


def _day(store: Connection, database: str, server: str, now: datetime) -> Sequence[Window]:
    """Return the windows of the application's statements on one server in the last day."""
    samples = stored_samples(store, database, server, now)
    return [
        window
        for before, after in pairwise(samples)
        if after.taken_at > now - DAY
        for window in windows(before, after)
        if window.is_complete and is_application(window.text)
    ]


def _servers(store: Connection, database: str, now: datetime) -> Sequence[str]:
    about = {"database": database, "since": now - LOOKED_BACK}
    return [row.server for row in fetch(store, "store", "list_statement_servers", about)]


def _ranked(server: str, found: Sequence[Window]) -> list[Statement]:
    """Return the sums of each statement's windows."""
    by_key: dict[str, list[Window]] = defaultdict(list)
    for window in found:
        by_key[window.key].append(window)
    total = sum(window.total_ms for window in found if not window.is_nested)
    return [_statement(server, merged(same), total) for same in by_key.values()]


def _statement(server: str, window: Window, total_ms: float) -> Statement:
    temp = window.temp_blocks
    return Statement(
        server=server,
        statement=window.key,
        text=window.text,
        calls=window.calls,
        calls_per_second=window.calls_per_second,
        total_ms=window.total_ms,
        time_share=min(window.total_ms / total_ms, 1.0) if total_ms else 0.0,
        mean_ms=window.mean_ms,
        p95_ms=window.p95_ms,
        worst_ms=window.worst_ms,
        rows_per_call=window.rows_per_call,
        blocks_read=window.blocks_read,
        temp_bytes=temp * PAGE_BYTES if temp is not None else None,
        wal_bytes=window.wal_bytes,
    )
