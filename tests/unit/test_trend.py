"""Trends: the rate of what grows, what is only a load, and when a limit is reached."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random

import pytest

from maintenance.trend import MOST_LOOKS, SHORTEST, Trend, fit, thinned
from tests.snapshots import NOW

DAY = timedelta(days=1)


def nightly(value: Callable[[int], float], days: int = 35) -> Sequence[tuple[datetime, float]]:
    """A look each night; the value by how many days ago it is."""
    return [(NOW - ago * DAY, value(ago)) for ago in range(days, -1, -1)]


def trend(value: Callable[[int], float], days: int = 35) -> Trend:
    found = fit(nightly(value, days))
    assert found is not None
    return found


def test_steady_growth_is_exact() -> None:
    found = trend(lambda ago: 100 - 2 * ago)
    assert (found.per_day, found.low, found.high) == pytest.approx((2, 2, 2))
    assert (found.since, found.until, found.value) == (NOW - 35 * DAY, NOW, 100)
    assert not found.is_step


@pytest.mark.parametrize("ago", range(36))
def test_load_on_any_day_is_a_step_and_no_growth(ago: int) -> None:
    found = trend(lambda each: 1.0 if each >= ago else 2.1)
    assert (found.per_day, found.low, found.high) == pytest.approx((0, 0, 0))
    assert found.reaches(3) is None
    if 0 < ago <= 35:
        assert found.step is not None
        assert found.step.rise == pytest.approx(1.1)
        assert (found.step.since, found.step.until) == (NOW - ago * DAY, NOW - (ago - 1) * DAY)


def test_load_beside_growth_leaves_the_growth() -> None:
    found = trend(lambda ago: 100 - ago + (50 if ago < 12 else 0))
    assert found.per_day == pytest.approx(1)
    assert found.step is not None
    assert found.step.rise == pytest.approx(50)


def test_load_that_took_two_nights_is_a_step_once_it_is_over_as_long() -> None:
    def loaded(over: int) -> Trend:
        return trend(lambda ago: 10 + 2 * min(max(over + 2 - ago, 0), 2))

    assert not loaded(1).is_step
    for over in (2, 3, 10, 30):
        assert loaded(over).is_step
        assert loaded(over).per_day == pytest.approx(0)


def test_two_days_a_day_for_three_days_after_a_flat_month_are_told() -> None:
    found = trend(lambda ago: 10 + 2 * max(3 - ago, 0))
    assert found.per_day == pytest.approx(2)
    reach = found.reaches(found.value + 30)
    assert reach is not None
    assert reach.at == NOW + 15 * DAY
    assert reach.earliest <= reach.at


def test_single_rise_to_the_newest_look_is_no_growth_yet() -> None:
    assert trend(lambda ago: 12.0 if ago == 0 else 10.0).per_day == pytest.approx(0)


def test_growth_that_ended_does_not_go_on_for_ever() -> None:
    assert trend(lambda ago: 10 + min(max(35 - ago, 0), 9)).per_day == pytest.approx(0)


def test_weekly_loads_are_growth_and_none_of_them_is_news() -> None:
    for weekday in range(7):
        found = trend(lambda ago, weekday=weekday: float((70 + weekday - ago) // 7))  # type: ignore[misc]
        assert found.per_day == pytest.approx(1 / 7, rel=0.35)
        assert not found.is_step


def test_growth_on_working_days_is_no_news_on_friday() -> None:
    def size(ago: int) -> float:
        day = 70 - ago
        return day // 7 * 5 + min(day % 7, 5)

    assert trend(size).per_day == pytest.approx(5 / 7, rel=0.2)


def test_table_emptied_each_week_does_not_grow() -> None:
    assert trend(lambda ago: float((70 - ago) % 7)).per_day <= 0.1


@pytest.mark.parametrize("days", [3, 4, 10, 35])
def test_what_was_emptied_after_growth_does_not_grow(days: int) -> None:
    found = trend(lambda ago: 2.0 if ago == 0 else 2.0 + 10 * (days - ago), days)
    assert found.per_day <= 0
    assert found.reaches(100) is None


def test_growth_that_goes_on_beyond_what_was_freed_is_growth() -> None:
    found = trend(lambda ago: 100 - 2 * ago - (30 if ago < 15 else 0))
    assert 1 <= found.per_day <= 2


def test_shrinking_has_no_date() -> None:
    found = trend(lambda ago: 10.0 + ago)
    assert found.per_day == pytest.approx(-1)
    assert found.reaches(100) is None


@pytest.mark.parametrize("seed", range(40))
def test_noise_is_no_growth(seed: int) -> None:
    random = Random(seed)
    found = trend(lambda _: 100 + random.gauss(0, 1))
    assert abs(found.per_day) * 7 < 3
    assert not found.is_step
    assert found.low < 0 < found.high


@pytest.mark.parametrize("seed", range(20))
def test_growth_in_noise_is_found_with_its_range(seed: int) -> None:
    random = Random(seed)
    found = trend(lambda ago: 100 - ago + random.gauss(0, 1))
    assert found.per_day == pytest.approx(1, abs=0.35)
    assert found.low <= found.per_day <= found.high
    reach = found.reaches(found.value + 20)
    assert reach is not None
    assert reach.latest is not None
    assert reach.earliest < reach.at < reach.latest


def test_two_looks_have_a_rate_and_say_that_they_are_two() -> None:
    found = fit([(NOW - 4 * DAY, 10), (NOW, 30)])
    assert found is not None
    assert (found.per_day, found.n_looks) == (5, 2)


def test_less_than_two_looks_or_two_days_is_no_trend() -> None:
    assert fit([]) is None
    assert fit([(NOW, 1)]) is None
    assert fit([(NOW - SHORTEST + timedelta(seconds=1), 1), (NOW, 5)]) is None


def test_looks_are_put_in_order_and_two_of_one_moment_are_one() -> None:
    there = [(NOW - ago * DAY, 100.0 - ago) for ago in range(20)]
    found = fit([*there[::2], *there[1::2], *there])
    assert found is not None
    assert found.per_day == pytest.approx(1)


def test_many_looks_of_one_day_weigh_no_more_than_others() -> None:
    burst = [(NOW - DAY + n * timedelta(minutes=1), 50.0) for n in range(600)]
    found = fit([*((NOW - ago * DAY, 50.0 - ago) for ago in range(1, 30)), *burst, (NOW, 50)])
    assert found is not None
    assert found.per_day == pytest.approx(1, rel=0.1)


def test_gap_in_the_looks_with_steady_growth_is_no_step() -> None:
    kept = [each for each in nightly(lambda ago: 50.0 - ago) if not 5 < (NOW - each[0]).days < 25]
    found = fit(kept)
    assert found is not None
    assert found.per_day == pytest.approx(1)
    assert not found.is_step


def test_load_in_a_gap_is_no_growth() -> None:
    kept = [
        each
        for each in nightly(lambda ago: 10.0 if ago > 15 else 20.0)
        if not 5 < (NOW - each[0]).days < 25
    ]
    found = fit(kept)
    assert found is not None
    assert found.per_day == pytest.approx(0, abs=0.05)


def test_thirteen_months_of_hourly_looks_are_thinned_and_their_last_days_seen() -> None:
    looks = [(hour / 24, 100.0 if hour < 9450 else 100.0 + hour - 9450) for hour in range(9522)]
    kept = thinned(looks)
    assert len(kept) <= MOST_LOOKS
    assert (kept[0], kept[-1]) == (looks[0], looks[-1])
    found = fit([(NOW + at * DAY, value) for at, value in looks])
    assert found is not None
    assert found.per_day == pytest.approx(24, rel=0.05)


def test_limit_that_is_passed_is_reached_now_and_far_ones_never() -> None:
    found = trend(lambda ago: 100.0 - ago)
    reached = found.reaches(99)
    assert reached is not None
    assert reached.at == NOW
    assert found.reaches(10**7) is None
