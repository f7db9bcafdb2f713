"""Periods: where they begin and end, on which calendar, and under which key."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maintenance.periods import (
    CalendarSpan,
    Interval,
    Period,
    add_months,
    midnight,
    parse_period,
    period_at,
    period_of,
    periods_between,
)

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = st.dates(date(2, 1, 1), date(9990, 12, 31))
INTERVALS = st.sampled_from(Interval)


@given(
    st.sampled_from(sorted(available_timezones())), st.dates(date(1975, 1, 1), date(2050, 12, 31))
)
@example("America/Havana", date(2027, 3, 14))  # skips midnight
@example("America/Havana", date(2026, 11, 1))  # shows it twice
@example("America/Asuncion", date(2024, 10, 6))
@example("Asia/Beirut", date(2027, 3, 28))
@example("Africa/Cairo", date(2027, 4, 30))
@example("America/Santiago", date(2027, 9, 5))
@example("Pacific/Apia", date(2011, 12, 30))  # has no moment at all
@example("America/St_Johns", date(2006, 10, 29))  # one minute old, it begins again
@example("America/Toronto", date(1919, 3, 31))  # jumps from 23:30 over midnight
def test_day_begins_with_its_first_moment(name: str, day: date) -> None:
    zone = ZoneInfo(name)
    first = midnight(day, zone)
    assert first.astimezone(zone).date() >= day
    assert (first - timedelta(seconds=1)).astimezone(zone).date() < day


@given(DAYS, INTERVALS)
def test_every_day_is_in_its_period(day: date, interval: Interval) -> None:
    period = period_of(day, interval)
    assert period.start <= day < period.end
    assert period_of(period.start, interval) == period


@given(DAYS, INTERVALS, st.integers(-20, 20))
def test_shift_and_back_is_the_same_period(day: date, interval: Interval, n: int) -> None:
    period = period_of(max(day, date(100, 1, 1)), interval)
    assert period.shift(n).shift(-n) == period
    assert period.shift(1).start == period.end


@given(DAYS, INTERVALS)
def test_key_reads_as_its_period(day: date, interval: Interval) -> None:
    period = period_of(day, interval)
    assert parse_period(period.key, interval) == period


@pytest.mark.parametrize(
    ("day", "interval", "key"),
    [
        (date(2026, 11, 20), Interval.YEAR, "2026"),
        (date(2026, 11, 20), Interval.QUARTER, "2026-10"),
        (date(2026, 11, 20), Interval.MONTH, "2026-11"),
        (date(2026, 11, 20), Interval.WEEK, "2026-11-16"),
        (date(2026, 11, 20), Interval.DAY, "2026-11-20"),
        (date(999, 2, 3), Interval.MONTH, "0999-02"),
        (date(2027, 1, 1), Interval.WEEK, "2026-12-28"),
    ],
)
def test_key_of_a_period(day: date, interval: Interval, key: str) -> None:
    assert str(period_of(day, interval)) == key


@pytest.mark.parametrize(
    ("key", "interval"),
    [
        ("2026-02", Interval.YEAR),
        ("2026-02", Interval.QUARTER),
        ("2026-11-02", Interval.MONTH),
        ("2026-11-17", Interval.WEEK),
        ("2026-02-30", Interval.DAY),
        ("2026-13", Interval.MONTH),
        ("0000", Interval.YEAR),
        ("26-11", Interval.MONTH),
        ("2026-11\n", Interval.MONTH),
        ("２０２６", Interval.YEAR),  # noqa: RUF001 - digits that are not ASCII
        ("", Interval.MONTH),
    ],
)
def test_key_that_is_no_start_is_refused(key: str, interval: Interval) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_period(key, interval)


def test_bounds_follow_the_zones_calendar() -> None:
    march = parse_period("2026-03", Interval.MONTH)
    assert march.bounds(BERLIN) == (
        datetime(2026, 2, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 31, 22, tzinfo=UTC),
    )


def test_midnight_that_is_skipped_is_the_moment_of_the_jump() -> None:
    sao_paulo = ZoneInfo("America/Sao_Paulo")
    assert midnight(date(2018, 11, 4), sao_paulo) == datetime(2018, 11, 4, 3, tzinfo=UTC)


def test_midnight_that_comes_twice_is_the_first() -> None:
    havana = ZoneInfo("America/Havana")
    assert midnight(date(2026, 11, 1), havana) == datetime(2026, 11, 1, 4, tzinfo=UTC)


@given(
    DAYS.filter(lambda day: day.year > 2),
    INTERVALS,
    st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu"]),
)
def test_periods_meet_without_gap_or_overlap(day: date, interval: Interval, zone: str) -> None:
    period = period_of(day, interval)
    lower, upper = period.bounds(ZoneInfo(zone))
    assert lower < upper == period.shift(1).bounds(ZoneInfo(zone))[0]


def test_moment_is_placed_on_the_zones_calendar() -> None:
    moment = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
    assert period_at(moment, Interval.MONTH, ZoneInfo("UTC")).key == "2026-10"
    assert period_at(moment, Interval.MONTH, BERLIN).key == "2026-11"


def test_periods_between_includes_both_ends() -> None:
    first, last = (parse_period(key, Interval.MONTH) for key in ("2025-11", "2026-02"))
    keys = [period.key for period in periods_between(first, last)]
    assert keys == ["2025-11", "2025-12", "2026-01", "2026-02"]
    assert list(periods_between(last, first)) == []
    assert list(periods_between(first, first)) == [first]


@pytest.mark.parametrize(
    ("day", "n", "later"),
    [
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2023, 1, 31), 1, date(2023, 2, 28)),
        (date(2024, 3, 31), -1, date(2024, 2, 29)),
        (date(2024, 12, 1), 1, date(2025, 1, 1)),
        (date(2024, 1, 1), -13, date(2022, 12, 1)),
        (date(9999, 11, 30), 1, date(9999, 12, 30)),
    ],
)
def test_months_are_added_on_the_calendar(day: date, n: int, later: date) -> None:
    assert add_months(day, n) == later


def test_span_goes_back_months_then_days() -> None:
    assert CalendarSpan(1, 1).before(date(2024, 3, 31)) == date(2024, 2, 28)
    assert CalendarSpan(0, 0).before(date(2024, 3, 31)) == date(2024, 3, 31)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (CalendarSpan(24, 0), "24 months"),
        (CalendarSpan(0, 35), "35 days"),
        (CalendarSpan(1, 2), "1 months 2 days"),
        (CalendarSpan(0, 0), "0 days"),
    ],
)
def test_span_shows_months_and_days(span: CalendarSpan, text: str) -> None:
    assert str(span) == text


def test_weeks_begin_on_monday() -> None:
    week = period_of(date(2026, 11, 22), Interval.WEEK)
    assert (week.start.weekday(), week.end - week.start) == (0, timedelta(days=7))


def test_periods_are_ordered_by_time() -> None:
    january = Period(date(2026, 1, 1), Interval.MONTH)
    assert january < january.shift(1)
