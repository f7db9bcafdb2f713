"""Sizes, numbers and spans as people read them."""

from datetime import timedelta

import pytest

from maintenance.formatting import readable_number, readable_size, readable_span


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 kB"), (2**43, "8.0 TB")]
)
def test_size_has_its_largest_unit(size: int, text: str) -> None:
    assert readable_size(size) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("2024-01", "2024-01"),
        (3, "3"),
        (1234567, "1,234,567"),
        (0.4567, "0.457"),
        (1234.56, "1,235"),
        (2.0, "2"),
        (0.0, "0"),
    ],
)
def test_number_has_the_digits_that_tell_something(value: float | str | None, text: str) -> None:
    assert readable_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 minute"), (7199, "1 hour"), (3 * 86400, "3 days")],
)
def test_span_has_its_largest_unit(seconds: float, text: str) -> None:
    assert readable_span(timedelta(seconds=seconds)) == text
