"""Robust trends of a number over time, and when it reaches a limit.

The rate is the median of the slopes between every two looks (Theil-Sen). Its range is their 20th to
80th percentile. A single rise with nothing before and after it, such as a load, is taken out first.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from math import ceil, inf
from statistics import median
from typing import NamedTuple

SHORTEST = timedelta(days=2)
"""Shortest time between the first and the last look for a trend."""
MOST_LOOKS = 60
"""Looks that are compared pair by pair; of more, the last one of each equal part of the time."""
LAST_DAYS = (3, 4, 5, 6, 7)
"""Lengths of the last days that are compared with the time before, in days."""
LEAST_LAST_LOOKS = 3
MUCH_MORE = 1.5
"""The last days count for themselves if more was added than ever before in as many days, by this
factor. A weekly load is then no news, nor are the working days of a week."""
LONGEST_STEP_DAYS = 3.0
STEP_SHARE = 0.5
"""A step makes at least this share of the whole change."""
STEP_NOISE = 3.0
"""A step is at least this many times what else changes against the trend."""
FALL_SHARE = 0.1
"""A number that is below its highest value by more than this share of its range has fallen."""
SAME_TIME_DAYS = 1 / 24
"""Looks of two days are rarely made at the same second."""
NEVER = timedelta(days=3650)
"""What lies further ahead is no forecast."""
LOW, HIGH = 0.2, 0.8

Look = tuple[float, float]
"""Days since the first look, and the value."""


class Reach(NamedTuple):
    """When a limit is reached; `latest` is None if that may be never."""

    at: datetime
    earliest: datetime
    latest: datetime | None


class Step(NamedTuple):
    """A rise between two looks that is no trend.

    Attributes:
        since: the last look before it.
        until: the first look after it.
        rise: by how much more than usual.
    """

    since: datetime
    until: datetime
    rise: float


class Trend(NamedTuple):
    """How fast a number changes.

    Attributes:
        per_day: change a day, without a step; of the last days if it is higher there.
        low: the 20th percentile of the slopes from look to look, per day.
        high: the 80th percentile.
        since: the first look that the rate is from.
        until: the newest look.
        value: the number at the newest look.
        n_looks: how many looks the rate is from; with two, growth and a step look the same.
        step: a one-time rise meanwhile; None without one.
    """

    per_day: float
    low: float
    high: float
    since: datetime
    until: datetime
    value: float
    n_looks: int
    step: Step | None = None

    @property
    def is_step(self) -> bool:
        """Whether the number rose at one time; `per_day` is the change apart from that."""
        return self.step is not None

    def reaches(self, limit: float) -> Reach | None:
        """Return when a growing number reaches a limit; None if not within ten years."""
        at = self._at(limit, self.per_day)
        if at is None:
            return None
        earliest = self._at(limit, max(self.high, self.per_day)) or at
        return Reach(at, earliest, self._at(limit, min(self.low, self.per_day)))

    def _at(self, limit: float, per_day: float) -> datetime | None:
        left = limit - self.value
        if left <= 0:
            return self.until
        if per_day <= 0 or left > per_day * NEVER.days:
            return None
        return self.until + timedelta(days=left / per_day)


class _Rate(NamedTuple):
    """The slopes of some looks; `since` in days, as in the looks."""

    per_day: float
    low: float
    high: float
    since: float
    n_looks: int


class _Jump(NamedTuple):
    """A step between two looks, by their places, and its rise beyond the trend."""

    before: int
    after: int
    rise: float


def fit(points: Sequence[tuple[datetime, float]]) -> Trend | None:
    """Return the trend of a number; None with less than two looks or two days.

    The rate is the higher one of the whole time and of the last days. The last days count for
    themselves only if they differ from all days before.

    Args:
        points: when the number was seen, and the number; in any order.
    """
    known = sorted(points)
    if len(known) < 2 or known[-1][0] - known[0][0] < SHORTEST:  # noqa: PLR2004 - a slope
        return None
    start = known[0][0]
    all_looks = [((at - start) / timedelta(days=1), float(value)) for at, value in known]
    looks = thinned(all_looks)
    jump = _jump(looks)
    if jump is not None and not _is_sudden(all_looks, looks[jump.before], looks[jump.after]):
        jump = None
    step = None
    if jump is not None:
        since, until = looks[jump.before][0], looks[jump.after][0]
        step = Step(start + timedelta(days=since), start + timedelta(days=until), jump.rise)
        all_looks = _without(all_looks, since, until, jump.rise)
        looks = thinned(all_looks)
    rate = max(_rates(all_looks, looks), key=lambda each: each.per_day)
    return Trend(
        per_day=rate.per_day,
        low=rate.low,
        high=rate.high,
        since=start + timedelta(days=rate.since),
        until=known[-1][0],
        value=known[-1][1],
        n_looks=rate.n_looks,
        step=step,
    )


def thinned(looks: Sequence[Look], most: int = MOST_LOOKS) -> Sequence[Look]:
    """Return at most so many looks: the first, and the last one of each equal part of the time.

    Args:
        looks: in the order of time.
        most: how many.
    """
    first, last = looks[0][0], looks[-1][0]
    part = (last - first) / (most - 1) or 1.0
    by_part = {min(ceil((at - first) / part), most - 1): (at, value) for at, value in looks}
    by_part[0] = looks[0]
    return sorted(by_part.values())


def _rates(all_looks: Sequence[Look], looks: Sequence[Look]) -> Iterator[_Rate]:
    """Yield the rate of the whole time, and those of the last days that differ from it."""
    yield _rate(looks)
    for days in LAST_DAYS:
        begin = all_looks[-1][0] - days - SAME_TIME_DAYS
        last = thinned([look for look in all_looks if look[0] >= begin])
        length = last[-1][0] - last[0][0]
        if len(last) < LEAST_LAST_LOOKS or timedelta(days=length) < SHORTEST:
            continue
        rate = _rate(last)
        before = [look for look in all_looks if look[0] <= last[0][0]]
        most = _most_added(before, length)
        if most is not None and rate.per_day * length > MUCH_MORE * most:
            yield rate


def _most_added(looks: Sequence[Look], length: float) -> float | None:
    """Return the largest rise within so many days, at least 0; None without so many days."""
    if looks[-1][0] - looks[0][0] < length - SAME_TIME_DAYS:
        return None
    most = 0.0
    lowest: deque[Look] = deque()  # of the last days, each higher than the one before
    for at, value in looks:
        while len(lowest) > 1 and lowest[0][0] < at - length - SAME_TIME_DAYS:
            lowest.popleft()
        if lowest:
            most = max(most, value - lowest[0][1])
        while lowest and lowest[-1][1] >= value:
            lowest.pop()
        lowest.append((at, value))
    return most


def _rate(looks: Sequence[Look]) -> _Rate:
    slopes = sorted(_slopes(looks))
    per_day = min(median(slopes), _most_per_day(looks))
    low = min(_percentile(slopes, LOW), per_day)
    return _Rate(per_day, low, _percentile(slopes, HIGH), looks[0][0], len(looks))


def _most_per_day(looks: Sequence[Look]) -> float:
    """Return what was added from the first to the newest look, if it had been more meanwhile.

    What was emptied grows back to where it was.
    """
    (first, begin), (last, end) = looks[0], looks[-1]
    highest, lowest = max(value for _, value in looks), min(value for _, value in looks)
    was_emptied = highest - end > FALL_SHARE * (highest - lowest)
    return (end - begin) / (last - first) if was_emptied else inf


def _slopes(looks: Sequence[Look]) -> Iterator[float]:
    for (at, value), (later, after) in combinations(looks, 2):
        yield (after - value) / (later - at)


def _percentile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _jump(looks: Sequence[Look]) -> _Jump | None:
    """Return the largest rise if there is nothing like it before and after it."""
    change = max(value for _, value in looks) - min(value for _, value in looks)
    if len(looks) < LEAST_LAST_LOOKS or change <= 0:
        return None
    usual = median(_slopes(looks))
    found = max(
        _spans(looks),
        key=lambda span: (_rise(looks, *span, usual), span[0] - span[1]),
        default=None,
    )
    if found is None or _rise(looks, *found, 0.0) < STEP_SHARE * change:
        return None
    before, after = looks[: found[0] + 1], looks[found[1] :]
    slope = median([*_slopes(before), *_slopes(after)])
    rise = _rise(looks, *found, slope)
    flat = [value - slope * at for at, value in before]
    flat += [value - slope * at - rise for at, value in after]
    if rise < max(STEP_SHARE * change, STEP_NOISE * (max(flat) - min(flat))):
        return None
    return _Jump(*found, rise)


def _is_sudden(looks: Sequence[Look], before: Look, after: Look) -> bool:
    """Whether all looks, too, show a step between two that were left of them."""
    if not any(before[0] < at < after[0] for at, _ in looks):
        return True
    length = after[0] - before[0]
    return after[0] < looks[-1][0] and length <= LONGEST_STEP_DAYS + SAME_TIME_DAYS


def _spans(looks: Sequence[Look]) -> Iterator[tuple[int, int]]:
    """Yield the places between which a step may lie.

    It is over if the time since is as long as it took. A rise up to the newest look is none, unless
    it came from one look to the next: of that nothing is known yet.
    """
    last = len(looks) - 1
    for before in range(last):
        for after in range(before + 1, last + 1):
            length = looks[after][0] - looks[before][0]
            is_single = after == before + 1
            if length > LONGEST_STEP_DAYS + SAME_TIME_DAYS and not is_single:
                break
            since = looks[last][0] - looks[after][0]
            is_over = since >= min(length, LONGEST_STEP_DAYS) - SAME_TIME_DAYS
            if (after < last and is_over) or (after == last and is_single and before > 0):
                yield before, after


def _rise(looks: Sequence[Look], before: int, after: int, per_day: float) -> float:
    """Return the rise between two looks beyond the usual one."""
    length = looks[after][0] - looks[before][0]
    return looks[after][1] - looks[before][1] - per_day * length


def _without(looks: Sequence[Look], since: float, until: float, rise: float) -> list[Look]:
    """Return the looks before a step, and those after it without its rise."""
    return [
        (at, value - rise if at >= until else value)
        for at, value in looks
        if at <= since or at >= until
    ]
