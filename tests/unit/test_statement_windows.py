"""Differences of statement counters against the calls that really happened, and call times."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import exp, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.subjects.workload.call_times import longest_at_least, p95
from maintenance.subjects.workload.deltas import Window, baselines, merged, windows
from maintenance.subjects.workload.models import Counts, Sample

NOW = datetime(2026, 11, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

# Sorted times in milliseconds of 300 calls of a page of a list, and of 1000 sums over the rows of
# one tenant of many sizes, taken on a server; every fifth and every twentieth.
PAGE = [
    *(0.14, 0.17, 0.2, 0.23, 0.3, 0.33, 0.36, 0.39, 0.42, 0.44, 0.49, 0.57, 0.68, 0.72, 0.81),
    *(0.87, 0.89, 0.92, 1.04, 1.22, 1.42, 1.53, 1.61, 1.67, 1.78, 1.95, 2.11, 2.3, 2.55, 2.67),
    *(2.75, 2.88, 2.96, 3.04, 3.1, 3.22, 3.36, 3.45, 3.74, 4.06, 4.23, 4.41, 4.53, 4.75, 4.92),
    *(5.17, 5.43, 5.64, 5.88, 6.03, 6.66, 7.01, 7.11, 7.44, 7.67, 7.96, 8.51, 8.91, 9.41, 11.39),
]
LOOKUP = [
    *(0.04, 0.07, 0.07, 0.07, 0.08, 0.08, 0.08, 0.08, 0.09, 0.09, 0.1, 0.1, 0.1, 0.1, 0.1),
    *(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.11, 0.11, 0.11, 0.11, 0.11, 0.11, 0.11, 0.11, 0.11),
    *(0.11, 0.11, 0.11, 0.11, 0.12, 0.12, 0.12, 0.12, 0.12, 0.12, 0.12, 0.12, 0.13, 0.13, 0.13),
    *(0.13, 0.13, 0.13, 0.13, 0.13, 0.14, 0.14, 0.14, 0.15, 0.16, 0.17, 0.18, 0.19, 0.23, 0.28),
]
TENANT = [
    *(0.14, 0.17, 0.2, 0.22, 0.24, 0.26, 0.28, 0.3, 0.31, 0.32, 0.34, 0.35, 0.38, 0.39, 0.42),
    *(0.43, 0.45, 0.48, 0.51, 0.54, 0.56, 0.59, 0.63, 0.65, 0.68, 0.69, 0.74, 0.78, 0.83, 0.87),
    *(0.92, 0.96, 1.02, 1.12, 1.19, 1.27, 1.37, 1.45, 1.59, 1.67, 1.82, 1.93, 2.11, 2.28, 2.51),
    *(
        2.7,
        3.03,
        3.36,
        3.71,
        4.34,
        4.89,
        6.07,
        7.07,
        8.51,
        11.79,
        19.61,
        27.63,
        31.56,
        39.04,
        64.91,
    ),
]


def estimate(times: Sequence[float], *, longest: bool = True) -> float:
    found = p95(
        len(times),
        sum(times),
        sum(each**2 for each in times),
        max(times),
        max(times) if longest else None,
    )
    assert found is not None
    return found


def real(times: Sequence[float]) -> float:
    return sorted(times)[int(0.95 * len(times)) - 1]


@pytest.mark.parametrize("times", [PAGE, LOOKUP], ids=["page", "lookup"])
def test_estimate_is_within_a_third_of_the_percentile_of_times_of_a_server(
    times: Sequence[float],
) -> None:
    assert 0.67 < estimate(times) / real(times) < 1.5


def test_estimate_is_wrong_by_up_to_a_few_times_for_heavy_tails() -> None:
    rng = random.Random(7)
    for times in (TENANT, [5 * rng.paretovariate(2) for _ in range(2000)]):
        assert 0.4 < estimate(times) / real(times) < 2.0


DRAWS: dict[str, Callable[[random.Random], float]] = {
    "normal": lambda rng: max(rng.gauss(10, 2), 0.1),
    "exponential": lambda rng: rng.expovariate(0.1),
    "gamma": lambda rng: rng.gammavariate(2, 5),
    "log-normal": lambda rng: rng.lognormvariate(2, 1),
    "uniform": lambda rng: rng.uniform(1, 19),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("n", [200, 2000])
def test_estimate_is_within_a_third_for_skewed_times(
    draw: Callable[[random.Random], float], n: int
) -> None:
    rng = random.Random(7)
    for _ in range(20):
        times = [draw(rng) for _ in range(n)]
        assert 0.67 < estimate(times) / real(times) < 1.5


def test_one_outlier_does_not_decide_the_percentile() -> None:
    times = [5.0] * 200 + [5000.0]
    assert estimate(times) == pytest.approx(5.0)
    assert estimate(times, longest=False) > 50


def test_few_calls_have_no_percentile() -> None:
    assert p95(19, 100.0, 600.0, 9.0) is None
    assert p95(20, 0.0, 0.0, 0.0) is None


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=60))
def test_longest_call_is_bounded_by_the_sums(times: list[float]) -> None:
    total, squares = sum(times), sum(each**2 for each in times)
    assert longest_at_least(total, squares) <= max(times) * (1 + 1e-9)
    assert sqrt(squares) >= max(times) * (1 - 1e-9)
    found = p95(len(times), total, squares, max(times), max(times))
    assert found is None or 0 <= found <= max(times)


def test_one_of_two_hundred_and_one_calls_is_known_within_a_fifth() -> None:
    times = [5.0] * 200 + [5000.0]
    assert 4000 < longest_at_least(sum(times), sum(each**2 for each in times)) <= 5000


# Windows


@dataclass
class Entry:
    """An entry of pg_stat_statements with every call that it counts, and when it began."""

    since: datetime
    times: list[float] = field(default_factory=list[float])
    new: list[float] = field(default_factory=list[float])


@dataclass
class Server:
    """A server that counts calls, evicts entries and is reset."""

    tells: bool
    """Whether it tells since when an entry counts, as from 17 on."""
    shown: int
    now: datetime = NOW
    epoch: int = 0
    evicted: int = 0
    entries: dict[tuple[str, int], Entry] = field(default_factory=dict[tuple[str, int], Entry])
    happened: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    lost: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Calls that nothing counts any more."""

    def call(self, key: str, variant: int, time_ms: float) -> None:
        self.now += MINUTE
        self.entries.setdefault((key, variant), Entry(self.now)).times.append(time_ms)
        self.happened.setdefault(key, []).append(time_ms)

    def evict(self, nth: int) -> None:
        if self.entries:
            key = sorted(self.entries)[nth % len(self.entries)]
            self.lost.setdefault(key[0], []).extend(self.entries.pop(key).times)
            self.evicted += 1

    def reset(self) -> None:
        self.entries.clear()
        self.epoch, self.evicted = self.epoch + 1, 0

    def sample(self) -> tuple[Sample, dict[str, list[float]]]:
        """The heaviest entries, merged by key, and the calls since the last sample."""
        self.now += MINUTE
        ranked = sorted(self.entries.items(), key=lambda item: -sum(item[1].times))
        rest = [max(entry.times) for _, entry in ranked[self.shown :]]
        found: dict[str, list[Entry]] = {}
        for (key, _), entry in ranked[: self.shown]:
            found.setdefault(key, []).append(entry)
        statements = {key: self.counts(same) for key, same in found.items()}
        sample = Sample(self.now, str(self.epoch), self.evicted, statements, max(rest, default=0.0))
        happened, self.happened = self.happened, {}
        return sample, happened

    def counts(self, entries: list[Entry]) -> Counts:
        times = [time for entry in entries for time in entry.times]
        return Counts(
            text="SELECT ?",
            since=entries[0].since if self.tells and len(entries) == 1 else None,
            calls=len(times),
            total_ms=sum(times),
            squares_ms=sum(time**2 for time in times),
            max_ms=max(times),
            n_rows=len(times),
            blocks_hit=0,
            blocks_read=0,
            read_ms=0.0,
            temp_blocks=len(times),
            wal_bytes=0,
            n_entries=len(entries),
            is_nested=False,
        )


calls = st.tuples(st.sampled_from("abc"), st.integers(0, 1), st.floats(0.5, 1e4))
events = st.lists(
    st.one_of(
        calls, calls, calls, st.integers(0, 5), st.sampled_from(["reset", "sample", "sample"])
    ),
    max_size=40,
)


@given(events, st.booleans(), st.sampled_from([2, 100]))
def test_windows_never_say_more_than_what_happened(
    steps: list[tuple[str, int, float] | int | str], tells: bool, shown: int
) -> None:
    server = Server(tells, shown)
    before, _ = server.sample()
    for step in [*steps, "sample"]:
        if isinstance(step, tuple):
            server.call(*step)
        elif isinstance(step, int):
            server.evict(step)
        elif step == "reset":
            server.reset()
        else:
            now, happened = server.sample()
            for window in windows(before, now):
                check(window, happened.get(window.key, []), server.lost.get(window.key, []))
            before = now


def check(window: Window, happened: list[float], lost: list[float]) -> None:
    if window.worst_ms is not None:
        assert window.worst_ms <= max(happened, default=0.0) * (1 + 1e-6)
    counted = [each for each in happened if each not in lost]
    if window.is_sure and counted:
        assert window.max_ms >= max(counted) * (1 - 1e-6) or not window.is_complete


def test_maximum_that_rose_is_the_longest_call_of_the_window() -> None:
    server = Server(tells=False, shown=100)
    for _ in range(1000):
        server.call("a", 0, 5.0)
    before, _ = server.sample()
    for time in [5.0] * 200 + [5000.0]:
        server.call("a", 0, time)
    now, _ = server.sample()
    (window,) = windows(before, now)
    assert (window.calls, window.worst_ms, window.max_ms) == (201, 5000.0, 5000.0)
    assert window.p95_ms == pytest.approx(5.0)
    assert window.usual_ms == pytest.approx(5.0)


def test_call_below_an_old_maximum_is_known_by_the_sum_of_squares() -> None:
    server = Server(tells=False, shown=100)
    server.call("a", 0, 60_000.0)
    before, _ = server.sample()
    for time in [5.0] * 200 + [5000.0]:
        server.call("a", 0, time)
    now, _ = server.sample()
    (window,) = windows(before, now)
    assert window.worst_ms is not None
    assert 4000 < window.worst_ms <= 5000 <= window.max_ms < 5010


def test_first_observation_has_no_complete_window() -> None:
    server = Server(tells=False, shown=100)
    server.call("a", 0, 60_000.0)
    now, _ = server.sample()
    (window,) = windows(None, now)
    assert (window.is_complete, window.worst_ms) == (False, None)


def test_statement_that_enters_the_heaviest_brings_no_history_along() -> None:
    """It was there before, below those that are kept: only what exceeds them is new."""
    server = Server(tells=False, shown=1)
    server.call("a", 0, 1000.0)
    server.call("b", 0, 900.0)
    before, _ = server.sample()
    server.call("b", 0, 200.0)
    now, _ = server.sample()
    (window,) = windows(before, now)
    assert (window.key, window.is_complete, window.worst_ms) == ("b", False, None)
    server.call("c", 0, 5000.0)
    now, _ = server.sample()
    (window,) = windows(before, now)
    assert (window.key, window.worst_ms) == ("c", 5000.0)


def test_entry_that_was_evicted_and_came_back_with_more_is_no_call_of_ten_seconds() -> None:
    server = Server(tells=False, shown=100)
    for _ in range(10):
        server.call("a", 0, 1.0)
    before, _ = server.sample()
    server.evict(0)
    for _ in range(11):
        server.call("a", 0, 1000.0)
    now, _ = server.sample()
    (window,) = windows(before, now)
    assert (window.calls, window.worst_ms, window.is_sure) == (11, 1000.0, False)


def test_other_entry_that_is_evicted_does_not_make_history_new() -> None:
    server = Server(tells=False, shown=100)
    server.call("a", 0, 5000.0)
    server.call("a", 1, 1.0)
    server.call("a", 1, 1.0)
    before, _ = server.sample()
    server.evict(1)
    server.call("a", 0, 1.0)
    now, _ = server.sample()
    (window,) = windows(before, now)
    assert (window.is_complete, window.worst_ms) == (False, None)


def test_counters_of_older_versions_are_unknown() -> None:
    server = Server(tells=False, shown=100)
    server.call("a", 0, 1.0)
    before, _ = server.sample()
    old = {
        key: each._replace(temp_blocks=None, wal_bytes=None, n_entries=None, is_nested=None)
        for key, each in before.statements.items()
    }
    server.call("a", 0, 2.0)
    now, _ = server.sample()
    (window,) = windows(before._replace(statements=old, unseen_ms=None), now)
    assert (window.calls, window.worst_ms, window.temp_blocks) == (1, 2.0, None)


def test_baseline_is_the_sum_of_its_windows() -> None:
    server = Server(tells=False, shown=100)
    samples: list[Sample] = []
    for n in range(4):
        for time in (1.0, 2.0, 3.0 + n):
            server.call("a", 0, time)
        samples.append(server.sample()[0])
    base = baselines(samples)["a"]
    assert (base.n_windows, base.calls) == (3, 9)
    assert base.mean_ms == pytest.approx((7 + 8 + 9) / 9)
    whole = merged(list(windows(samples[0], samples[-1])))
    assert base.total.squares_ms == pytest.approx(whole.squares_ms)
    assert base.total.temp_blocks == 9


def test_percentile_of_a_log_normal_distribution_is_that_of_the_distribution() -> None:
    rng = random.Random(3)
    times = [rng.lognormvariate(2, 0.5) for _ in range(20_000)]
    assert estimate(times) == pytest.approx(exp(2 + 1.645 * 0.5), rel=0.03)
