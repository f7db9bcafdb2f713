"""Single values: units, schedules, names, periods and how each is refused."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import pytest
from dagster._utils.schedules import cron_string_iterator, is_valid_cron_string
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from maintenance.names import QualifiedName
from maintenance.partition_key import Snowflake
from maintenance.periods import CalendarSpan, Interval, Period
from maintenance.policy.cron import CronError, check_cron, matches, next_tick
from maintenance.policy.partitions import PartitionPolicy
from maintenance.policy.quantities import (
    Duration,
    RetentionSpan,
    Share,
    Size,
    Span,
    Timeout,
    WatchInterval,
    number,
    whole,
)
from maintenance.policy.values import ColumnName, SearchPath, TableName, ZoneName


def read(kind: Any, value: object) -> Any:
    return TypeAdapter[Any](kind).validate_python(value)


def refusal(kind: Any, value: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        read(kind, value)
    return caught.value.errors()[0]["ctx"]  # pyright: ignore[reportTypedDictNotRequiredAccess]


def table(**settings: object) -> PartitionPolicy:
    return PartitionPolicy.model_validate({"table": "events", "column": "at", **settings})


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("50 ms", timedelta(milliseconds=50)),
        ("50ms", timedelta(milliseconds=50)),
        ("0.5 seconds", timedelta(milliseconds=500)),
        ("3 s", timedelta(seconds=3)),
        ("15 minutes", timedelta(minutes=15)),
        ("1 hour 30 min", timedelta(minutes=90)),
        ("35 days", timedelta(days=35)),
        ("2 weeks", timedelta(weeks=2)),
        ("0 minutes", timedelta(0)),
    ],
)
def test_duration_is_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert read(Duration, text) == length


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3 minuta", "unknown_value"),
        ("3 Days", "unknown_value"),
        ("3 months", "unknown_value"),
        ("-3 days", "malformed"),
        ("", "malformed"),
        ("soon", "malformed"),
        ("3 days ago 5", "malformed"),
        ("٣ days", "malformed"),
        ("999999999 weeks", "out_of_range"),
        (50, "missing_unit"),
        (True, "wrong_type"),
        (None, "wrong_type"),
        ([], "wrong_type"),
    ],
)
def test_duration_refuses_the_rest(text: object, reason: str) -> None:
    assert refusal(Duration, text)["reason"] == reason


@pytest.mark.parametrize(
    ("text", "unit"), [("3 minuta", "minute"), ("3 Days", "days"), ("3 months", "days")]
)
def test_unknown_unit_is_told_one_that_is_known(text: str, unit: str) -> None:
    assert unit in re.findall(r"\w+", refusal(Duration, text)["hint"])


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("5 seconds", timedelta(seconds=5)),
        ("1 minute", timedelta(minutes=1)),
        ("never", timedelta(0)),
    ],
)
def test_watch_interval_is_a_duration_or_never(text: str, length: timedelta) -> None:
    assert read(WatchInterval, text) == length


@pytest.mark.parametrize("text", ["4 seconds", "0 seconds", "25 hours", "Never", "", 60, None])
def test_watch_interval_that_is_too_short_or_unclear_is_refused(text: object) -> None:
    wanted = refusal(WatchInterval, text)["wanted"]
    assert "5 seconds" in wanted
    assert "never" in wanted


@pytest.mark.parametrize("text", ["0 ms", "0.5 ms", "25 hours"])
def test_timeout_is_never_zero_which_would_mean_no_limit(text: str) -> None:
    found = refusal(Timeout, text)
    assert found["reason"] == "out_of_range"
    assert found["wanted"].index("1 ms") < found["wanted"].index("1 day")


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("1 MB", 1 << 20), ("1.5 kB", 1536), ("10 GB", 10 << 30), ("2 TB", 2 << 40), ("0 B", 0)],
)
def test_size_is_counted_in_powers_of_1024(text: str, size_bytes: int) -> None:
    assert read(Size, text) == size_bytes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1", "malformed"),
        (1, "missing_unit"),
        ("1 gb", "unknown_value"),
        ("1 GB 1 MB", "malformed"),
        ("GB", "malformed"),
        ("-1 GB", "malformed"),
        ("1 GiB", "unknown_value"),
    ],
)
def test_size_refuses_the_rest(text: object, reason: str) -> None:
    found = refusal(Size, text)
    assert found["reason"] == reason
    assert {"MB", "GB"} <= set(found["wanted"].split())


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("24 months", CalendarSpan(24, 0)),
        ("1 year", CalendarSpan(12, 0)),
        ("1 year 6 months 3 days", CalendarSpan(18, 3)),
        ("2 weeks", CalendarSpan(0, 14)),
    ],
)
def test_span_is_counted_on_the_calendar(text: str, span: CalendarSpan) -> None:
    assert read(RetentionSpan, text) == span


@given(st.integers(0, 6000), st.integers(0, 100_000))
def test_span_reads_what_it_shows(months: int, days: int) -> None:
    assert read(Span, str(CalendarSpan(months, days))) == CalendarSpan(months, days)


def test_keeping_nothing_is_refused_with_how_to_keep_for_ever() -> None:
    found = refusal(RetentionSpan, "0 days")
    assert found["reason"] == "out_of_range"
    assert found["hint"]
    assert read(Span, "0 days") == CalendarSpan(0, 0)


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("3 mnths", "unknown_value", "months"),
        ("1.5 months", "malformed", ""),
        ("1001 years", "out_of_range", "1000"),
        ("4 hours", "unknown_value", ""),
        (24, "missing_unit", ""),
    ],
)
def test_span_refuses_the_rest(text: object, reason: str, hint: str) -> None:
    found = refusal(Span, text)
    assert found["reason"] == reason
    assert hint in found["hint"]


def test_numbers_have_limits() -> None:
    assert read(Share, 1) == 1.0
    for kind, value in (
        (Annotated[int, whole(1)], 0),
        (Annotated[float, number(1)], 0.5),
        (Annotated[float, number(1)], float("inf")),
    ):
        found = refusal(kind, value)
        assert found["reason"] == "out_of_range"
        assert "1" in found["wanted"].split()


@pytest.mark.parametrize(
    "text",
    [
        "0 2 * * *",
        "*/15 * * * *",
        "0 1 20 * *",
        "0 4 * * 0",
        "0 4 * * sun,Wed",
        "5-50/5 1,3 * jan *",
    ],
)
def test_cron_of_five_fields_is_taken(text: str) -> None:
    assert check_cron(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0 2 * *",
        "0 2 * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "* * * * 0-0",  # Dagster takes it for all weekdays
        "*/0 * * * *",
        "*/60 * * * *",
        "5/15 * * * *",
        "1,,2 * * * *",
        "@daily",
        "0 0 L * *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 31 2 mon",  # Dagster's scheduler fails on it, though Mondays come
        "٣ * * * *",
        "0 2 * * monday",
    ],
)
def test_cron_that_is_malformed_or_never_comes_is_refused(text: str) -> None:
    with pytest.raises(CronError):
        check_cron(text)


_FIELD = st.one_of(
    st.just("*"), st.from_regex(r"(\d{1,2}|\*)(-\d{1,2})?(/\d{1,2})?(,\d)?", fullmatch=True)
)


@given(st.lists(_FIELD, min_size=5, max_size=5).map(" ".join))
def test_cron_that_is_taken_is_one_dagster_runs(text: str) -> None:
    try:
        cron = check_cron(text)
    except ValueError:
        return
    assert is_valid_cron_string(cron)
    start = datetime(2026, 11, 20, tzinfo=UTC)
    ticks = cron_string_iterator(start.timestamp(), cron, "UTC")
    tick = next(tick for tick in ticks if tick > start)
    assert next_tick(cron, start) == tick
    assert matches(cron, tick.replace(second=59))
    before = tick - timedelta(minutes=1)
    assert matches(cron, before) is (next_tick(cron, before - timedelta(minutes=1)) == before)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Orders", QualifiedName("public", "orders")),
        ('"Sales"."Order Log"', QualifiedName("Sales", "Order Log")),
        ('"a""b.c"', QualifiedName("public", 'a"b.c')),
        ("Größe", QualifiedName("public", "größe")),
        ('sales."; DROP TABLE x; --"', QualifiedName("sales", "; DROP TABLE x; --")),
    ],
)
def test_table_is_a_sql_name(text: str, name: QualifiedName) -> None:
    assert read(TableName, text) == name


@pytest.mark.parametrize("text", ["", "a b", "a.b.c", "1a", '"a', 'a"b', "a;", "ü" * 32, '"\0"', 3])
def test_table_refuses_what_is_no_sql_name(text: object) -> None:
    reason = "malformed" if isinstance(text, str) else "wrong_type"
    assert refusal(TableName, text)["reason"] == reason


def test_number_where_text_is_due_is_to_be_quoted() -> None:
    found = refusal(ColumnName, 2024)
    assert found["reason"] == "wrong_type"
    assert found["hint"]


def test_column_fits_63_bytes() -> None:
    assert read(ColumnName, "ü" * 31) == "ü" * 31
    found = refusal(ColumnName, "ü" * 32)
    assert found["reason"] == "out_of_range"
    assert "63" in found["wanted"].split()


@pytest.mark.parametrize("text", ["public", "app, public", '"$user", "My Schema",x'])
def test_search_path_is_a_list_of_schemas(text: str) -> None:
    assert read(SearchPath, text) == text


@pytest.mark.parametrize("text", ["", "a,", "a b", "public; DROP TABLE x", '"a'])
def test_search_path_refuses_the_rest(text: str) -> None:
    assert refusal(SearchPath, text)["reason"] == "malformed"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Europe", ""),
        ("localtime", ""),
        ("../../etc/passwd", ""),
        ("/etc/passwd", ""),
    ],
)
def test_zone_is_an_iana_name(text: str, hint: str) -> None:
    refused = refusal(ZoneName, text)
    assert refused["reason"] == "unknown_value"
    assert hint in refused["hint"]


@pytest.mark.parametrize(
    ("interval", "written", "start"),
    [
        ("1 month", "2024-03", date(2024, 3, 1)),
        ("1 month", 2024, date(2024, 1, 1)),
        ("1 month", date(2024, 3, 1), date(2024, 3, 1)),
        ("1 year", 2024, date(2024, 1, 1)),
        ("1 year", date(2024, 1, 1), date(2024, 1, 1)),
        ("3 months", "2024-04", date(2024, 4, 1)),
        ("1 week", date(2024, 3, 4), date(2024, 3, 4)),
        ("1 day", "2024-02-29", date(2024, 2, 29)),
    ],
)
def test_period_is_read_by_the_interval(interval: str, written: object, start: date) -> None:
    policy = table(
        interval=interval, start=written, retention={"keep": "1 year", "hold": [written]}
    )
    assert policy.retention is not None
    assert policy.retention.hold == (policy.start,) == (Period(start, Interval(interval)),)


@pytest.mark.parametrize(
    ("interval", "written"),
    [
        ("1 month", "2024-03-02"),
        ("1 month", "2024-13"),
        ("1 month", "2024-3"),
        ("1 month", 202403),
        ("1 month", 0),
        ("1 month", True),
        ("1 month", 2024.5),
        ("1 month", datetime(2024, 3, 1)),  # noqa: DTZ001 - as YAML gives it
        ("1 month", None),
        ("1 month", ["2024-03"]),
        ("1 year", "2024-02"),
        ("3 months", "2024-02"),
        ("1 week", date(2024, 3, 5)),
    ],
)
def test_period_that_is_no_start_is_refused_where_it_stands(interval: str, written: object) -> None:
    with pytest.raises(ValidationError) as caught:
        table(interval=interval, retention={"keep": "1 year", "hold": [written]})
    (error,) = caught.value.errors()
    assert error["loc"] == ("retention", "hold", 0)


def test_week_that_begins_on_another_day_is_told_its_monday() -> None:
    with pytest.raises(ValidationError) as caught:
        table(interval="1 week", start="2024-03-06")
    assert "2024-03-04" in caught.value.errors()[0]["ctx"]["hint"]  # pyright: ignore[reportTypedDictNotRequiredAccess]


def test_bad_interval_is_the_only_problem_of_its_periods() -> None:
    with pytest.raises(ValidationError) as caught:
        table(interval="2 months", start="2024-02", retention={"keep": "1 year", "hold": ["x"]})
    assert [error["loc"] for error in caught.value.errors()] in (
        [("interval",)],
        [("interval",), ("name",)],  # the name's default needs the interval
    )


def test_start_before_1970_needs_an_encoding_that_can_hold_it() -> None:
    assert table(encoding="epoch_ms", start=1969).start
    for encoding in ("uuidv7", "ulid"):
        with pytest.raises(ValidationError, match="1970") as caught:
            table(encoding=encoding, start=1969)
        assert caught.value.errors()[0]["loc"] == ("start",)


@pytest.mark.parametrize(
    ("written", "epoch", "shift"),
    [
        ({"epoch": "2015-01-01"}, datetime(2015, 1, 1, tzinfo=UTC), 22),
        ({"epoch": date(2015, 1, 1), "shift": 20}, datetime(2015, 1, 1, tzinfo=UTC), 20),
        ({"epoch": datetime(2015, 1, 1, 6)}, datetime(2015, 1, 1, 6, tzinfo=UTC), 22),  # noqa: DTZ001
        (
            {"epoch": "2010-11-04T02:42:54.657+01:00"},
            datetime(2010, 11, 4, 1, 42, 54, 657000, UTC),
            22,
        ),
        ({"epoch": 1420070400000}, datetime(2015, 1, 1, tzinfo=UTC), 22),
    ],
)
def test_snowflake_is_an_epoch_and_a_shift(
    written: dict[str, object], epoch: datetime, shift: int
) -> None:
    assert table(encoding={"snowflake": written}).encoding == Snowflake(epoch, shift)


@pytest.mark.parametrize(
    "written",
    [
        "snowflake",
        {"snowflake": None},
        {"snowflake": {}},
        {"snowflake": {"shift": 22}},
        {"snowflake": {"epoch": "2015-01-01", "bits": 22}},
        {"snowflake": {"epoch": "some day"}},
        {"snowflake": {"epoch": 10**30}},
        {"snowflake": {"epoch": "1969-12-31"}},
        {"snowflake": {"epoch": True}},
        {"snowflake": {"epoch": "2015-01-01", "shift": 0}},
        {"snowflake": {"epoch": "2015-01-01", "shift": 63}},
        {"snowflake": {"epoch": "2015-01-01", "shift": True}},
        {"snowflake": {"epoch": "2015-01-01", "shift": "22"}},
        {"snowflake": {"epoch": "2015-01-01"}, "ulid": {}},
        {"ulid": {}},
        ["epoch_s"],
        7,
        "yyyyddmm",
    ],
)
def test_encoding_that_is_none_is_refused_with_what_is_wanted(written: object) -> None:
    with pytest.raises(ValidationError) as caught:
        table(encoding=written)
    assert caught.value.errors()[0]["loc"] == ("encoding",)


@pytest.mark.parametrize(
    ("encoding", "interval", "is_written"),
    [
        ("yyyy", "1 year", True),
        ("yyyy", None, False),
        ("yyyy", "1 month", False),
        ("yyyy", "3 months", False),
        ("yyyymm", None, True),
        ("yyyymm", "3 months", True),
        ("yyyymm", "1 year", True),
        ("yyyymm", "1 day", False),
        ("yyyymm", "1 week", False),
        ("yyyymmdd", "1 week", True),
    ],
)
def test_interval_must_be_one_that_the_encoding_can_write(
    encoding: str, interval: str | None, is_written: bool
) -> None:
    settings = {"encoding": encoding, **({"interval": interval} if interval else {})}
    if is_written:
        assert table(**settings).encoding.value == encoding
        return
    with pytest.raises(ValidationError) as caught:
        table(**settings)
    assert caught.value.errors()[0]["loc"] == ("interval",)


def test_archive_then_drop_needs_an_archive() -> None:
    with pytest.raises(ValidationError) as caught:
        table(retention={"keep": "1 year", "action": "archive_then_drop"})
    assert caught.value.errors()[0]["loc"] == ("retention", "archive")


@pytest.mark.parametrize("url", ["memory://a", "MEMORY://a", "simplecache::memory://a"])
def test_no_row_is_dropped_behind_an_archive_that_ends_with_the_process(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        table(retention={"keep": "1 year", "action": "archive_then_drop", "archive": {"url": url}})
    assert [error["loc"] for error in caught.value.errors()] == [("retention", "archive")]


@pytest.mark.parametrize("action", ["keep", "detach", "drop"])
def test_archive_beside_an_action_that_never_archives_is_allowed(action: str) -> None:
    section = {"keep": "1 year", "action": action, "archive": {"url": "memory://a"}}
    assert table(retention=section).retention


def test_section_reads_itself_again() -> None:
    policy = table(start="2024-01", retention={"keep": "1 year", "hold": ["2024-03"]})
    assert PartitionPolicy.model_validate(dict(policy)) == policy
