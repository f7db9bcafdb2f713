"""Parquet: exact or refused, one type after the other."""

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("pyarrow")

from maintenance.archives.arrow import codec_of, escape, pa, to_arrow, unescape
from maintenance.archives.manifest import Column
from maintenance.errors import ArchiveError

EXACT: dict[str, list[str | None]] = {
    "boolean": ["t", "f", None],
    "smallint": ["-32768", "32767", None],
    "integer": ["-2147483648", "0"],
    "bigint": ["9223372036854775807", "-9223372036854775808"],
    "real": [
        *("NaN", "Infinity", "-Infinity", "-0", "0", "3.4028235e+38", "1e-45", "0.1", "123456"),
        *("1e+06", "1.234567e+06", "0.0001", "1e-05", None),
    ],
    "double precision": [
        *("NaN", "Infinity", "-Infinity", "-0", "0", "1.7976931348623157e+308", "5e-324", "0.1"),
        *("1e+15", "123456789012345", "0.0001", "1e-05", "100", "1e+100"),
        *("-2.2250738585072014e-308", "1.2345678901234568e+18", None),
    ],
    "numeric(10,2)": ["-99999999.99", "0.00", "1.10", None],
    "numeric(50,20)": [
        "123456789012345678901234567890.12345678901234567890",
        "0.00000000000000000001",
    ],
    "numeric(20,10)": ["0.0000000001", "-0.0000000010"],
    "numeric(3,0)": ["999", "-1"],
    "text": ["", "\\N", "a\tb\nc\\d\re\bf\fg\vh", "žluť 🐎", None],
    "character varying(3)": ["", "abc"],
    "character(5)": ["a    "],
    "jsonb": ['{"a": [1, null]}'],
    "uuid": ["00000000-0000-0000-0000-000000000000"],
    "bytea": ["\\x", "\\x00ff", None],
    "date": ["2024-02-29", "0001-01-01", "9999-12-31", None],
    "timestamp without time zone": [
        "2024-01-01 00:00:00",
        "2024-01-01 00:00:00.1",
        "1969-12-31 23:59:59.999999",
    ],
    "timestamp(3) without time zone": ["2024-01-01 10:00:00.123"],
    "timestamp with time zone": ["2024-01-01 00:00:00+00", "2024-01-01 10:20:30.000001+00", None],
    "time without time zone": ["00:00:00", "23:59:59.999999", "12:00:00.5"],
}

INEXACT = {
    "numeric(10,2)": ["NaN"],
    "date": ["infinity", "-infinity", "0044-03-15 BC", "10000-01-01"],
    "timestamp without time zone": ["infinity", "294276-12-31 00:00:00", "0044-03-15 00:00:00 BC"],
    "timestamp with time zone": ["-infinity", "10000-01-01 00:00:00+00"],
    "time without time zone": ["24:00:00"],
}

NOWHERE = [
    *("numeric", "numeric(5,7)", "numeric(5,-2)", "numeric(100,2)", "interval", "money"),
    *("int4range", "public.pair", "integer[]", "text[]", "time with time zone", "tsvector"),
]


@pytest.mark.parametrize("type_", EXACT)
def test_texts_come_back_as_they_were(type_: str) -> None:
    column = Column(name="c", type=type_)
    texts = pa.array(EXACT[type_], pa.string())
    codec = codec_of(column)
    values = to_arrow(column, codec, texts)
    assert values.type == codec.type
    assert codec.render(values).to_pylist() == EXACT[type_]


@pytest.mark.parametrize("type_", INEXACT)
def test_value_without_counterpart_is_refused_by_column_and_value(type_: str) -> None:
    column = Column(name="When", type=type_)
    good = EXACT[type_][0]
    for value in INEXACT[type_]:
        texts = pa.array([good, None, value, good], pa.string())
        with pytest.raises(ArchiveError) as caught:
            to_arrow(column, codec_of(column), texts)
        assert caught.value.reason == "inexact_value"
        assert '"When"' in str(caught.value)
        assert repr(value) in str(caught.value)
        assert "format: copy" in caught.value.hint


@pytest.mark.parametrize("type_", NOWHERE)
def test_type_without_counterpart_is_refused_by_name(type_: str) -> None:
    with pytest.raises(ArchiveError) as caught:
        codec_of(Column(name="c", type=type_))
    assert caught.value.reason == "inexact_type"
    assert type_ in str(caught.value)


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        ("\\N", None),
        ("\\\\N", "\\N"),
        ("\\\\\\\\N", "\\\\N"),
        ("\\\\n\\n\\t\\r\\b\\f\\v", "\\n\n\t\r\b\f\v"),
        ("", ""),
        ("N", "N"),
    ],
)
def test_escapes_are_those_of_copy(escaped: str, plain: str | None) -> None:
    both: list[tuple[Callable[..., object], str | None, str | None]] = [
        (unescape, escaped, plain),
        (escape, plain, escaped),
    ]
    for turn, given, wanted in both:
        found: Any = turn(pa.array([given, "x"], pa.string()))
        assert found.to_pylist() == [wanted, "x"]
