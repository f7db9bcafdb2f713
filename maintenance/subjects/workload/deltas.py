"""Compute the activity of statements between two observations, as differences of counters.

Counters restart at a reset, after a crash, and when an evicted entry returns.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import exp, log, sqrt
from typing import NamedTuple

from maintenance.subjects.workload.models import Counts, Sample

P95 = 1.645
"""Standard deviations above the mean that cover 95 % of a normal distribution."""
LEAST_MS = 1e-6
LEAST_SPREAD = 20
"""Fewest calls for a meaningful percentile."""


class Window(NamedTuple):
    """The activity of one statement between two observations.

    Attributes:
        seconds: length of the window; None if its start is unknown.
        is_sure: whether the counters were certainly not restarted in between.
    """

    key: str
    text: str
    calls: int
    total_ms: float
    squares_ms: float
    max_ms: float
    n_rows: int
    blocks_hit: int
    blocks_read: int
    read_ms: float
    seconds: float | None
    is_sure: bool

    @property
    def mean_ms(self) -> float:
        """Mean time of one call, in milliseconds."""
        return self.total_ms / self.calls

    @property
    def p95_ms(self) -> float | None:
        """The 95th percentile of call times in milliseconds, estimated as log-normal.

        None if there were too few calls.
        """
        if self.calls < LEAST_SPREAD or self.mean_ms < LEAST_MS:
            return None
        variance = max(self.squares_ms / self.calls - self.mean_ms**2, 0.0)
        spread = log(1 + variance / self.mean_ms**2)
        return min(self.mean_ms * exp(P95 * sqrt(spread) - spread / 2), self.max_ms)


class Baseline(NamedTuple):
    """The mean time of a statement over several earlier windows."""

    n_windows: int
    calls: int
    mean_ms: float


def windows(before: Sample | None, now: Sample) -> Iterator[Window]:
    """Yield the activity since the previous observation of all statements that were called."""
    for key, counts in now.statements.items():
        earlier = before.statements.get(key) if before is not None else None
        window = _window(key, before, earlier, now, counts)
        if window.calls > 0:
            yield window


def baselines(samples: Sequence[Sample]) -> Mapping[str, Baseline]:
    """Return the baseline of each statement, from all windows with reliable counters."""
    sure: dict[str, list[Window]] = defaultdict(list)
    for before, after in pairwise(samples):
        for window in windows(before, after):
            if window.is_sure:
                sure[window.key].append(window)
    return {key: _baseline(found) for key, found in sure.items()}


def _baseline(found: Sequence[Window]) -> Baseline:
    calls = sum(window.calls for window in found)
    return Baseline(len(found), calls, sum(window.total_ms for window in found) / calls)


def _window(
    key: str, before: Sample | None, earlier: Counts | None, now: Sample, counts: Counts
) -> Window:
    goes_on = before is not None and earlier is not None and _goes_on(before, earlier, now, counts)
    start = earlier if goes_on and earlier is not None else _NOTHING
    seconds = (now.taken_at - before.taken_at).total_seconds() if before and goes_on else None
    told = counts.since is not None and earlier is not None and earlier.since is not None
    unevicted = before is not None and before.n_evicted == now.n_evicted
    return Window(
        key=key,
        text=counts.text,
        calls=counts.calls - start.calls,
        total_ms=counts.total_ms - start.total_ms,
        squares_ms=max(counts.squares_ms - start.squares_ms, 0.0),
        max_ms=counts.max_ms,
        n_rows=counts.n_rows - start.n_rows,
        blocks_hit=counts.blocks_hit - start.blocks_hit,
        blocks_read=counts.blocks_read - start.blocks_read,
        read_ms=counts.read_ms - start.read_ms,
        seconds=seconds,
        is_sure=goes_on and (told or unevicted),
    )


def _goes_on(before: Sample, earlier: Counts, now: Sample, counts: Counts) -> bool:
    same_epoch = before.epoch == now.epoch and _can_be_the_same(earlier, counts)
    grown = (
        counts.calls >= earlier.calls
        and counts.total_ms >= earlier.total_ms
        and counts.n_rows >= earlier.n_rows
        and counts.blocks_hit >= earlier.blocks_hit
        and counts.blocks_read >= earlier.blocks_read
        and counts.read_ms >= earlier.read_ms
    )
    return same_epoch and grown


def _can_be_the_same(earlier: Counts, counts: Counts) -> bool:
    return None in (earlier.since, counts.since) or earlier.since == counts.since


_NOTHING = Counts("", None, 0, 0.0, 0.0, 0.0, 0, 0, 0, 0.0)


WEEK = timedelta(days=7)
SHORTEST = timedelta(days=2)
"""Shortest period from which weekly growth is computed."""
LONGEST = timedelta(days=35)


class Growth(NamedTuple):
    """Growth per week, in bytes and as a fraction of the size a week ago."""

    bytes_a_week: float
    fraction_a_week: float
    since: datetime

    def reaches(self, left_bytes: float, now: datetime) -> datetime | None:
        """Return when so many more bytes are reached, within a year; None if later."""
        if self.bytes_a_week <= 0:
            return None
        weeks = left_bytes / self.bytes_a_week
        return now + WEEK * max(weeks, 0) if weeks <= 52 else None  # noqa: PLR2004 - a year


def growth(before: Sequence[tuple[datetime, int]], now: datetime, size_bytes: int) -> Growth | None:
    """Return the growth of a size since the oldest recent observation; None if too new."""
    known = [pair for pair in before if SHORTEST <= now - pair[0] <= LONGEST]
    if not known:
        return None
    since, then = known[0]
    weeks = (now - since) / WEEK
    a_week = (size_bytes - then) / weeks
    return Growth(a_week, a_week / max(then, 1), since)
