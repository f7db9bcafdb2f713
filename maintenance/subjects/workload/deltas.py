"""Compute the activity of statements between two observations, as differences of counters.

Counters restart at a reset, after a crash, and when an evicted entry returns.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

from maintenance.subjects.workload.call_times import PRECISION, longest_at_least, p95
from maintenance.subjects.workload.models import Counts, Sample


class Window(NamedTuple):
    """The activity of one statement between two observations.

    Attributes:
        max_ms: no call was longer, except of an entry that was evicted meanwhile.
        worst_ms: the longest call that certainly fell into the window: exact if the maximum of
            the counters rose meanwhile, else at least so long; None if unknown.
        temp_blocks: blocks written to temporary files; None if unknown, as `wal_bytes`.
        seconds: length of the window; None if its start is unknown.
        is_sure: whether the counters were certainly not restarted in between.
        is_complete: whether everything counted here certainly fell into the window; else a part
            may be older.
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
    is_complete: bool = True
    worst_ms: float | None = None
    temp_blocks: int | None = None
    wal_bytes: int | None = None
    is_nested: bool = False

    @property
    def mean_ms(self) -> float:
        """Mean time of one call, in milliseconds."""
        return self.total_ms / self.calls

    @property
    def p95_ms(self) -> float | None:
        """The 95th percentile of call times in milliseconds, estimated: see `call_times.p95`."""
        return p95(self.calls, self.total_ms, self.squares_ms, self.max_ms, self.worst_ms)

    @property
    def calls_per_second(self) -> float | None:
        """Calls per second; None if the length of the window is unknown."""
        return self.calls / self.seconds if self.seconds else None

    @property
    def rows_per_call(self) -> float:
        """Rows returned or changed by one call."""
        return self.n_rows / self.calls

    @property
    def usual_ms(self) -> float:
        """Mean time without the longest call, which can outweigh all others; milliseconds."""
        if self.worst_ms is None or self.calls == 1:
            return self.mean_ms
        return max(self.total_ms - self.worst_ms, 0.0) / (self.calls - 1)


class Baseline(NamedTuple):
    """The activity of a statement over several earlier windows.

    Attributes:
        total: the sum of the windows.
    """

    n_windows: int
    total: Window

    @property
    def calls(self) -> int:
        """Calls in all windows."""
        return self.total.calls

    @property
    def mean_ms(self) -> float:
        """Mean time of one call, in milliseconds."""
        return self.total.mean_ms


def windows(
    before: Sample | None, now: Sample, keys: Collection[str] | None = None
) -> Iterator[Window]:
    """Yield the activity since the previous observation of all statements that were called.

    Args:
        before: the previous observation; None for the first: then no window is complete.
        now: the later observation.
        keys: the statements; None for all.
    """
    for key in now.statements.keys() & keys if keys is not None else now.statements:
        window = _window(key, before, now, now.statements[key])
        if window.calls > 0:
            yield window


def baselines(
    samples: Sequence[Sample], keys: Collection[str] | None = None
) -> Mapping[str, Baseline]:
    """Return the baseline of statements, from all windows with reliable counters."""
    sure: dict[str, list[Window]] = defaultdict(list)
    for before, after in pairwise(samples):
        for window in windows(before, after, keys):
            if window.is_sure:
                sure[window.key].append(window)
    return {key: Baseline(len(found), merged(found)) for key, found in sure.items()}


def merged(found: Sequence[Window]) -> Window:
    """Return several windows of one statement as one, in the order of time."""
    worst = [window.worst_ms for window in found if window.worst_ms is not None]
    seconds = [window.seconds for window in found if window.seconds is not None]
    return found[-1]._replace(
        calls=sum(window.calls for window in found),
        total_ms=sum(window.total_ms for window in found),
        squares_ms=sum(window.squares_ms for window in found),
        max_ms=max(window.max_ms for window in found),
        n_rows=sum(window.n_rows for window in found),
        blocks_hit=sum(window.blocks_hit for window in found),
        blocks_read=sum(window.blocks_read for window in found),
        read_ms=sum(window.read_ms for window in found),
        seconds=sum(seconds) if len(seconds) == len(found) else None,
        is_sure=all(window.is_sure for window in found),
        is_complete=all(window.is_complete for window in found),
        worst_ms=max(worst, default=None),
        temp_blocks=_sum([window.temp_blocks for window in found]),
        wal_bytes=_sum([window.wal_bytes for window in found]),
    )


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _window(key: str, before: Sample | None, now: Sample, counts: Counts) -> Window:
    earlier = before.statements.get(key) if before is not None else None
    if before is not None and earlier is not None and _goes_on(before, earlier, now, counts):
        return _difference(key, before, earlier, now, counts)
    is_complete = before is not None and _is_restarted(before, earlier, now, counts)
    return _activity(key, counts)._replace(
        is_complete=is_complete,
        worst_ms=_longest_after(before, earlier, counts) if not is_complete else counts.max_ms,
    )


def _activity(key: str, counts: Counts) -> Window:
    """Return all that was counted, whenever it happened."""
    return Window(
        key=key,
        text=counts.text,
        calls=counts.calls,
        total_ms=counts.total_ms,
        squares_ms=counts.squares_ms,
        max_ms=counts.max_ms,
        n_rows=counts.n_rows,
        blocks_hit=counts.blocks_hit,
        blocks_read=counts.blocks_read,
        read_ms=counts.read_ms,
        seconds=None,
        is_sure=False,
        temp_blocks=counts.temp_blocks,
        wal_bytes=counts.wal_bytes,
        is_nested=bool(counts.is_nested),
    )


def _difference(key: str, before: Sample, earlier: Counts, now: Sample, counts: Counts) -> Window:
    is_sure = _is_told(earlier, counts) or before.n_evicted == now.n_evicted
    total = counts.total_ms - earlier.total_ms
    squares = max(counts.squares_ms - earlier.squares_ms, 0.0)
    calls = counts.calls - earlier.calls
    rose = counts.max_ms > _longest_before(before, earlier)
    is_exact = is_sure and squares > PRECISION * counts.squares_ms
    at_least = min(longest_at_least(total, squares), counts.max_ms) if is_exact else None
    at_most = min(sqrt(squares), counts.max_ms) if is_exact and not rose else counts.max_ms
    at_most = max(at_most, now.unseen_ms or 0.0)  # an entry of the same text may be left out
    return _activity(key, counts)._replace(
        calls=calls,
        total_ms=total,
        squares_ms=squares,
        max_ms=at_most,
        n_rows=counts.n_rows - earlier.n_rows,
        blocks_hit=counts.blocks_hit - earlier.blocks_hit,
        blocks_read=counts.blocks_read - earlier.blocks_read,
        read_ms=counts.read_ms - earlier.read_ms,
        temp_blocks=_less(counts.temp_blocks, earlier.temp_blocks),
        wal_bytes=_less(counts.wal_bytes, earlier.wal_bytes),
        worst_ms=min(total, counts.max_ms)
        if calls == 1 and is_sure
        else counts.max_ms
        if rose
        else at_least,
        seconds=(now.taken_at - before.taken_at).total_seconds(),
        is_sure=is_sure,
    )


def _less(after: int | None, before: int | None) -> int | None:
    """Return a difference of counters; None if one is unknown, or was evicted in part."""
    if after is None or before is None or after < before:
        return None
    return after - before


def _is_restarted(before: Sample, earlier: Counts | None, now: Sample, counts: Counts) -> bool:
    """Whether counters that don't go on began at zero after the earlier observation.

    Counters of several merged entries can go back because one of them was evicted; the others
    keep what they counted before. So does one of the same text that was not among the heaviest.
    """
    if before.epoch != now.epoch:
        return True
    if counts.since is not None and counts.since >= before.taken_at:
        return True
    if before.unseen_ms != 0:
        return False
    return earlier is None or earlier.n_entries == counts.n_entries == 1


def _longest_after(before: Sample | None, earlier: Counts | None, counts: Counts) -> float | None:
    """Return the longest call if it must be newer than the earlier observation."""
    if before is None or (earlier is None and before.unseen_ms is None):
        return None
    return counts.max_ms if counts.max_ms > _longest_before(before, earlier) else None


def _longest_before(before: Sample, earlier: Counts | None) -> float:
    """Return the longest call that the counters can have had at the earlier observation.

    An entry of the same text that was not among the heaviest then may be now.
    """
    seen = earlier.max_ms if earlier is not None else 0.0
    return max(seen, before.unseen_ms or 0.0)


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
    if not (same_epoch and grown):
        return False
    has_all = not (before.unseen_ms or now.unseen_ms) and before.n_evicted == now.n_evicted
    if has_all or _is_told(earlier, counts):
        return True
    # An entry that was evicted and came back can have grown beyond what it had, and so can another
    # one of the same text. Then the difference seldom makes sense: its calls took longer than the
    # longest one.
    calls, total = counts.calls - earlier.calls, counts.total_ms - earlier.total_ms
    return total <= calls * counts.max_ms + PRECISION * counts.total_ms


def _is_told(earlier: Counts, counts: Counts) -> bool:
    """Whether the server says since when it counts; the same moment means the same entry."""
    return counts.since is not None and earlier.since is not None


def _can_be_the_same(earlier: Counts, counts: Counts) -> bool:
    return None in (earlier.since, counts.since) or earlier.since == counts.since
