"""Partition keys: every encoding reads the bounds it writes, and those of others."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.partition_key import (
    FUTURE,
    PAST,
    TYPES,
    Encoding,
    KeyCodec,
    KeyEncoding,
    Snowflake,
    intervals_of,
)
from maintenance.periods import Interval, midnight, period_of

TIMESTAMPTZ = "timestamp with time zone"
TIMESTAMP = "timestamp without time zone"
ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Asia/Kathmandu")
DISCORD = Snowflake(datetime(2015, 1, 1, tzinfo=UTC), 22)
TWITTER = Snowflake(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1288834974657), 22)
CODECS = [
    KeyCodec(encoding, type_, ZoneInfo(zone))
    for encoding, types in [*TYPES.items(), (DISCORD, {"bigint"}), (TWITTER, {"bigint"})]
    for type_ in sorted(types)
    for zone in ZONES
]
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


def shortest(encoding: KeyEncoding) -> Interval:
    return next(interval for interval in Interval if interval in intervals_of(encoding))


def codec(encoding: KeyEncoding, type_: str, zone: str = "UTC") -> KeyCodec:
    return KeyCodec(encoding, type_, ZoneInfo(zone))


@given(st.sampled_from(CODECS), st.dates(date(1970, 1, 2), date(9998, 12, 31)))
def test_bound_reads_as_the_moment_it_was_written_for(key: KeyCodec, day: date) -> None:
    start = period_of(day, shortest(key.encoding)).start
    position = midnight(start, key.calendar)
    assert key.moment(key.literal(position)) == position


@given(
    st.sampled_from([key for key in CODECS if key.type in (TIMESTAMPTZ, "bigint")]),
    st.dates(date(2, 1, 1), date(1969, 12, 31)),
)
def test_bound_before_1970_reads_as_written(key: KeyCodec, day: date) -> None:
    # Midnight of those days was at odd seconds in most zones, in which no bound is written.
    day = period_of(day, shortest(key.encoding)).start
    position = datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert key.moment(key.literal(position)) == position


@pytest.mark.parametrize(
    ("key", "literal"),
    [
        (codec(Encoding.NATIVE, TIMESTAMPTZ, "Europe/Berlin"), "'2026-11-01 00:00:00+00'"),
        (codec(Encoding.NATIVE, TIMESTAMP, "Europe/Berlin"), "'2026-11-01 01:00:00'"),
        (codec(Encoding.NATIVE, "date", "Europe/Berlin"), "'2026-11-01'"),
        (codec(Encoding.EPOCH_S, "bigint"), "'1793491200'"),
        (codec(Encoding.EPOCH_MS, "bigint"), "'1793491200000'"),
        (codec(Encoding.EPOCH_US, "bigint"), "'1793491200000000'"),
        (codec(Encoding.YYYY, "smallint"), "'2026'"),
        (codec(Encoding.YYYYMM, "integer"), "'202611'"),
        (codec(Encoding.YYYYMMDD, "integer"), "'20261101'"),
        (codec(DISCORD, "bigint"), "'1566240355123200000'"),
        (codec(Encoding.UUIDV7, "uuid"), "'01a19467-e800-0000-0000-000000000000'"),
        (codec(Encoding.ULID, "text"), "'01M6A6FT00'"),
    ],
)
def test_bound_as_it_is_written(key: KeyCodec, literal: str) -> None:
    assert key.literal(key.position(NOVEMBER)) == literal


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("MINVALUE", PAST),
        ("MAXVALUE", FUTURE),
        ("'-infinity'", PAST),
        ("'infinity'", FUTURE),
        ("'0044-03-15 00:00:00+00 BC'", PAST),
        ("'10000-01-01 00:00:00+00'", FUTURE),
        ("'294276-12-31 23:59:59.999999+00'", FUTURE),
        ("'2026-11-01 00:00:00.5+00'", NOVEMBER + timedelta(seconds=0.5)),
        ("'0999-01-01 00:00:00+00'", datetime(999, 1, 1, tzinfo=UTC)),
    ],
)
def test_bound_of_others_is_read(text: str, moment: datetime) -> None:
    assert codec(Encoding.NATIVE, TIMESTAMPTZ).moment(text) == moment


def test_moment_of_a_bound_at_the_end_of_the_calendar_is_unbounded() -> None:
    west = codec(Encoding.NATIVE, TIMESTAMP, "America/New_York")
    east = codec(Encoding.NATIVE, TIMESTAMP, "Asia/Tokyo")
    assert west.first_moment(west.moment("'9999-12-31 23:59:59'")) == FUTURE
    assert east.last_moment(east.moment("'0001-01-01 00:00:00'")) == PAST


def test_wall_clock_that_skips_midnight_reads_as_written_and_jumps_at_one_moment() -> None:
    havana = codec(Encoding.NATIVE, TIMESTAMP, "America/Havana")
    skipped = havana.moment("'2027-03-14 00:00:00'")
    assert havana.literal(skipped) == "'2027-03-14 00:00:00'"
    jump = datetime(2027, 3, 14, 5, tzinfo=UTC)
    assert (havana.first_moment(skipped), havana.last_moment(skipped)) == (jump, jump)
    half_past = havana.moment("'2027-03-14 00:30:00'")
    assert havana.first_moment(half_past) == jump


def test_wall_clock_that_shows_midnight_twice_has_two_moments() -> None:
    havana = codec(Encoding.NATIVE, TIMESTAMP, "America/Havana")
    twice = havana.moment("'2026-11-01 00:00:00'")
    assert havana.first_moment(twice) == datetime(2026, 11, 1, 4, tzinfo=UTC)
    assert havana.last_moment(twice) == datetime(2026, 11, 1, 5, tzinfo=UTC)


def test_bound_finer_than_a_second_is_written_as_it_was_read() -> None:
    for type_, text in (
        (TIMESTAMPTZ, "'2026-11-01 10:00:00.25+00'"),
        (TIMESTAMP, "'2026-11-01 10:00:00.000001'"),
    ):
        key = codec(Encoding.NATIVE, type_, "Asia/Kathmandu")
        assert key.moment(key.literal(key.moment(text))) == key.moment(text)


def test_year_below_1000_is_written_with_four_digits() -> None:
    moment = datetime(999, 1, 1, tzinfo=UTC)
    assert codec(Encoding.NATIVE, TIMESTAMPTZ).literal(moment) == "'0999-01-01 00:00:00+00'"
    assert codec(Encoding.NATIVE, "date").literal(moment) == "'0999-01-01'"


@pytest.mark.parametrize(
    ("encoding", "type_"), [(Encoding.UUIDV7, "uuid"), (Encoding.ULID, "text")]
)
def test_identifiers_hold_no_moment_before_1970(encoding: Encoding, type_: str) -> None:
    with pytest.raises(ValueError, match="1970"):
        codec(encoding, type_).literal(datetime(1969, 12, 31, tzinfo=UTC))


@pytest.mark.parametrize(
    ("encoding", "type_", "text", "moment"),
    [
        (Encoding.EPOCH_S, "integer", "0", datetime(1970, 1, 1, tzinfo=UTC)),
        (Encoding.EPOCH_S, "bigint", "'-86400'", datetime(1969, 12, 31, tzinfo=UTC)),
        (Encoding.EPOCH_MS, "bigint", "'9223372036854775807'", FUTURE),
        (Encoding.EPOCH_MS, "bigint", "'-9223372036854775808'", PAST),
        (Encoding.UUIDV7, "uuid", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", FUTURE),
        (Encoding.UUIDV7, "uuid", "'01a19467-e800-7abc-8def-0123456789ab'", NOVEMBER),
        (Encoding.ULID, "text", "'01M6A6FT00ABCDEFGHJKMNPQRS'", NOVEMBER),
        (Encoding.ULID, "text", "'01m6a6ft00'", NOVEMBER),
        (Encoding.ULID, "text", "'ZZZZZZZZZZ'", FUTURE),
    ],
)
def test_encoded_bound_of_others_is_read(
    encoding: Encoding, type_: str, text: str, moment: datetime
) -> None:
    assert codec(encoding, type_).moment(text) == moment


@pytest.mark.parametrize(
    ("encoding", "type_", "text"),
    [
        (Encoding.NATIVE, "date", "'soon'"),
        (Encoding.NATIVE, TIMESTAMPTZ, "'2026-11-01 00:00:00+02'"),
        (Encoding.NATIVE, TIMESTAMP, "'2026-02-30 00:00:00'"),
        (Encoding.EPOCH_S, "bigint", "'x'"),
        (Encoding.UUIDV7, "uuid", "'x'"),
        (Encoding.ULID, "text", "'01M5U'"),
    ],
)
def test_what_is_no_bound_is_refused(encoding: Encoding, type_: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec(encoding, type_).moment(text)


def test_published_identifiers_are_read() -> None:
    """The examples of RFC 9562, appendix A.6, and of the ULID specification."""
    uuid = codec(Encoding.UUIDV7, "uuid").moment("'017f22e2-79b0-7cc3-98c4-dc0c0c07398f'")
    ulid = codec(Encoding.ULID, "text").moment("'01ARZ3NDEKTSV4RRFFQ69G5FAV'")
    assert uuid == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    assert ulid == datetime(2016, 7, 30, 23, 54, 10, 259_000, tzinfo=UTC)


def test_identifier_bounds_sort_before_every_identifier_of_their_time() -> None:
    bound = codec(Encoding.UUIDV7, "uuid").literal(NOVEMBER)
    assert bound < "'01a19467-e800-7000-8000-000000000000'"
    assert codec(Encoding.ULID, "text").literal(NOVEMBER).strip("'") < "01M6A6FT000000000000000000"


@pytest.mark.parametrize(
    ("encoding", "literal", "day"),
    [
        (Encoding.YYYYMM, "202613", date(2027, 1, 1)),
        (Encoding.YYYYMM, "202700", date(2027, 1, 1)),
        (Encoding.YYYYMMDD, "20261131", date(2026, 12, 1)),
        (Encoding.YYYYMMDD, "20261232", date(2027, 1, 1)),
        (Encoding.YYYYMMDD, "20261300", date(2027, 1, 1)),
        (Encoding.YYYYMMDD, "20240230", date(2024, 3, 1)),
        (Encoding.YYYYMMDD, "20260000", date(2026, 1, 1)),
    ],
)
def test_digits_that_are_no_date_bound_the_next_one(
    encoding: Encoding, literal: str, day: date
) -> None:
    key = codec(encoding, "integer", "Europe/Berlin")
    assert key.moment(literal) == midnight(day, key.calendar)


@pytest.mark.parametrize("encoding", [Encoding.YYYY, Encoding.YYYYMM, Encoding.YYYYMMDD])
@pytest.mark.parametrize(("value", "end"), [("'-1'", PAST), ("'9223372036854775807'", FUTURE)])
def test_digits_outside_the_calendar_are_its_ends(
    encoding: Encoding, value: str, end: datetime
) -> None:
    assert codec(encoding, "bigint").moment(value) == end


def test_snowflake_of_another_epoch_and_shift_reads_as_its_own_moment() -> None:
    instagram = Snowflake(datetime(2011, 8, 24, 21, 7, 1, 721000, tzinfo=UTC), 23)
    key = codec(instagram, "bigint")
    moment = datetime(2026, 11, 1, 0, 0, 0, 5000, tzinfo=UTC)
    assert key.moment(key.literal(moment)) == moment
    assert key.moment("0") == instagram.epoch
