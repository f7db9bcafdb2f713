"""Bounds and names of partitions show the policy that made them, or that it is not certain."""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from types import FrameType, FunctionType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from maintenance.catalog.models import Partition
from maintenance.inspection import key_calendar
from maintenance.inspection.key_calendar import (
    KeyCalendar,
    NewestPeriod,
    Unknown,
    calendar_of,
    newest_period,
)
from maintenance.inspection.models import Entry, LeftOut, Setting, Subject
from maintenance.inspection.name_inference import Name, infer_template
from maintenance.inspection.policy_text import Database, policy_text, scalar
from maintenance.names import QualifiedName
from maintenance.partition_key import Encoding, KeyCodec, KeyEncoding, types_of
from maintenance.partition_set.plausibility import SNOWFLAKES
from maintenance.periods import Interval, period_of
from maintenance.policy.name_templates import default_template, render

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Asia/Tehran")
INTERVALS = list(Interval)
NOW = datetime(2026, 11, 29, 10, tzinfo=UTC)


def partitions(
    codec: KeyCodec, interval: Interval, first: date, n: int, name: str = "p"
) -> list[Partition]:
    periods = [period_of(first, interval).shift(place) for place in range(n)]
    found: list[Partition] = []
    for oid, period in enumerate(periods, 1):
        lower, upper = map(codec.literal, period.bounds(codec.calendar))
        bound = f"FOR VALUES FROM ({lower}) TO ({upper})"
        own = QualifiedName("public", f"{name}_{oid}")
        found.append(Partition(oid, own, "r", False, 1, 1, bound))
    return found


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("column_type", ["timestamp with time zone", "date"])
def test_native_bounds_show_interval_and_zone(
    column_type: str, interval: Interval, zone: str
) -> None:
    codec = KeyCodec(Encoding.NATIVE, column_type, ZoneInfo(zone))
    n = {Interval.DAY: 400, Interval.WEEK: 60, Interval.MONTH: 14}.get(interval, 6)
    found = calendar_of(partitions(codec, interval, date(2024, 1, 1), n), column_type, zone, NOW)
    assert isinstance(found, KeyCalendar)
    assert (found.interval, found.others) == (interval, ())
    assert len(found.periods) == n
    if not found.is_wall_clock:
        assert found.zone.key == zone


@pytest.mark.parametrize(
    ("encoding", "column_type"),
    [(e, t) for e in (*Encoding, *SNOWFLAKES) for t in sorted(types_of(e))],
)
def test_every_encoding_is_told_from_the_others(encoding: KeyEncoding, column_type: str) -> None:
    interval = Interval.YEAR if encoding is Encoding.YYYY else Interval.MONTH
    codec = KeyCodec(encoding, column_type, ZoneInfo("UTC"))
    found = calendar_of(partitions(codec, interval, date(2024, 1, 1), 14), column_type, "UTC", NOW)
    assert isinstance(found, KeyCalendar)
    assert (found.encoding, found.interval) == (encoding, interval)
    newest = newest_of(partitions(codec, interval, date(2024, 1, 1), 14), column_type)
    assert (newest.encoding, newest.period) == (encoding, found.periods[-1].period)


def newest_of(found: Sequence[Partition], column_type: str) -> NewestPeriod:
    newest = newest_period(found, column_type, "UTC", NOW)
    assert isinstance(newest, NewestPeriod)
    return newest


def n_calls(called: FunctionType, work: Callable[[], object]) -> int:
    code, n = called.__code__, 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal n
        n += event == "call" and frame.f_code is code

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return n


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_newest_period_costs_the_same_however_many_partitions_and_tables(zone: str) -> None:
    codec = KeyCodec(Encoding.NATIVE, "timestamp with time zone", ZoneInfo(zone))
    end = date(2027, 1, 1)

    def n_periods(n_partitions: int, n_tables: int) -> int:
        first = period_of(end, Interval.MONTH).shift(-n_partitions).start
        found = partitions(codec, Interval.MONTH, first, n_partitions)
        key_calendar._first_fitting.cache_clear()
        return n_calls(period_of, lambda: [newest_of(found, codec.type) for _ in range(n_tables)])

    assert n_periods(12, 1) > 0
    assert n_periods(240, 50) == n_periods(12, 1)


@pytest.mark.parametrize("width", [1000, 1_000_000, 10_000_000, 1_000_000_000])
@pytest.mark.parametrize("column_type", ["integer", "bigint"])
def test_ranges_of_numbers_are_no_times(column_type: str, width: int) -> None:
    found = [
        Partition(
            n,
            QualifiedName("public", f"t_{n}"),
            "r",
            False,
            1,
            1,
            f"FOR VALUES FROM ('{n * width}') TO ('{(n + 1) * width}')",
        )
        for n in range(12)
    ]
    assert isinstance(calendar_of(found, column_type, "UTC", NOW), Unknown)


def test_zone_of_the_server_decides_only_if_the_bounds_are_midnight_there() -> None:
    codec = KeyCodec(Encoding.NATIVE, "timestamp with time zone", ZoneInfo("Europe/Berlin"))
    winter = partitions(codec, Interval.MONTH, date(2026, 11, 1), 3)
    unsure = calendar_of(winter, codec.type, "UTC", NOW)
    assert isinstance(unsure, KeyCalendar)
    assert unsure.others
    for zone, decided in (("Europe/Madrid", True), ("Africa/Lagos", True), ("Asia/Tokyo", False)):
        found = calendar_of(winter, codec.type, zone, NOW)
        assert isinstance(found, KeyCalendar)
        assert (not found.others) == decided
        assert (found.zone.key == zone) == decided


def test_newest_partitions_decide_after_a_change_of_the_interval() -> None:
    codec = KeyCodec(Encoding.NATIVE, "date", ZoneInfo("UTC"))
    months = partitions(codec, Interval.MONTH, date(2026, 1, 1), 6)
    days = partitions(codec, Interval.DAY, date(2026, 7, 1), 20)
    found = calendar_of([*months, *days], "date", "UTC", NOW)
    assert isinstance(found, KeyCalendar)
    assert (found.interval, len(found.periods), found.n_bounded) == (Interval.DAY, 20, 26)


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ([], "no_partitions"),
        (["DEFAULT"], "no_partitions"),
        (["FOR VALUES FROM (MINVALUE) TO ('2026-01-01')"], "unbounded"),
        (["FOR VALUES FROM ('2026-01-01') TO ('9999-12-31')"], "unbounded"),
        (["FOR VALUES FROM ('2026-11-08') TO ('2026-11-15')"], "week_start"),
        (["FOR VALUES FROM ('2026-11-03') TO ('2026-12-03')"], "interval"),
        (["FOR VALUES FROM ('2026-01-01') TO ('2026-07-01')"], "interval"),
    ],
)
def test_what_the_bounds_do_not_show_is_said(bounds: list[str], reason: str) -> None:
    name = QualifiedName("public", "t_1")
    found = [Partition(1, name, "r", False, 1, 1, bound) for bound in bounds]
    for infer in (calendar_of, newest_period):
        unknown = infer(found, "date", "UTC", NOW)
        assert isinstance(unknown, Unknown)
        assert unknown.reason == reason


@pytest.mark.parametrize("end", ["'9999-12-31'", "'infinity'", "MAXVALUE"])
def test_partition_that_stands_for_all_later_time_is_no_period(end: str) -> None:
    codec = KeyCodec(Encoding.NATIVE, "date", ZoneInfo("UTC"))
    months = partitions(codec, Interval.MONTH, date(2026, 1, 1), 6)
    rest = months[0]._replace(oid=99, bound=f"FOR VALUES FROM ('2026-07-01') TO ({end})")
    found = calendar_of([*months, rest], "date", "UTC", NOW)
    assert isinstance(found, KeyCalendar)
    assert (found.interval, found.n_bounded) == (Interval.MONTH, 6)


def names(template: str, table: str, interval: Interval, n: int = 8) -> list[Name]:
    first = period_of(date(2026, 5, 14), interval)
    periods = [first.shift(place) for place in range(n)]
    return [Name(render(template, table, period.start), period) for period in periods]


TEMPLATES = (
    "{table}_{yyyy}_{mm}_{dd}",
    "{table}_p{yyyy}{mm}{dd}",
    "{table}_{yyyy}_{mon}_{dd}",
    "p{yyyy}-{mm}-{dd} of {table}",
    "old {dd}.{mm}.{yyyy}",
    "{yyyy}{mm}{dd}_{table}_12_2026",
)


@given(
    st.sampled_from(TEMPLATES),
    st.sampled_from(("events", "Order Log", "t12_2026", "e" * 63, "é" * 31, "2026", "jan")),
    st.sampled_from((Interval.DAY, Interval.WEEK, Interval.MONTH)),
)
def test_inferred_template_gives_the_names_of_all_later_partitions(
    template: str, table: str, interval: Interval
) -> None:
    found = infer_template(table, names(template, table, interval))
    assert found is not None
    later = names(template, table, interval, 60)
    assert [render(found.template, table, each.period.start) for each in later] == [
        each.name for each in later
    ]


@pytest.mark.parametrize("interval", INTERVALS)
def test_default_template_is_preferred(interval: Interval) -> None:
    usual = default_template(interval)
    found = infer_template("events", names(usual, "events", interval))
    assert found is not None
    assert (found.template, found.n_matching, found.other) == (usual, 8, None)


def test_old_names_of_another_form_are_counted_not_followed() -> None:
    old = names("{table}_{yyyy}_{mm}", "events", Interval.MONTH, 12)[:4]
    new = names("{table}_p{yyyy}{mm}", "events", Interval.MONTH, 12)[4:]
    found = infer_template("events", [*old, *new])
    assert found is not None
    assert found.template == "{table}_p{yyyy}{mm}"
    assert (found.n_matching, found.other) == (8, old[-1].name)


def test_names_by_number_or_by_the_end_have_no_template() -> None:
    periods = [each.period for each in names("{table}_{yyyy}_{mm}", "events", Interval.MONTH)]
    numbered = [Name(f"events_{n}", period) for n, period in enumerate(periods)]
    by_end = [Name(f"events_{period.end:%Y_%m}", period) for period in periods]
    hashed = [Name(f"events_{hash(str(period)):x}", period) for period in periods]
    assert infer_template("events", numbered) is None
    assert infer_template("events", by_end) is None
    assert infer_template("events", hashed) is None


@given(st.text(min_size=1))
def test_every_value_is_written_on_one_line_and_read_back(text: str) -> None:
    written = scalar(text)
    assert len(written.splitlines()) == 1
    assert yaml.safe_load(f"key: {written}")["key"] == text


@given(st.text(min_size=1, max_size=40).filter(lambda text: "\0" not in text))
def test_no_name_or_reason_breaks_out_of_its_comment(text: str) -> None:
    name = QualifiedName("public", text)
    entry = Entry(
        Subject.PARTITIONS,
        name,
        text,
        (Setting("table", str(name), text), Setting("column", text), Setting("start", "2026-01")),
        notes=(text,),
    )
    proposed = Entry(Subject.PARTITIONS, name, text, entry.settings, obstacle=text, reason="reason")
    left = LeftOut(Subject.MATVIEWS, name, text, "reason")
    written = policy_text(Database("shop", "SHOP_URL", text), (entry, proposed), (left,), (text,))
    found: dict[str, Any] = yaml.safe_load(written)
    assert found == {
        "database": {"name": "shop", "url": {"env": "SHOP_URL"}},
        "partitions": [entry.values],
    }
