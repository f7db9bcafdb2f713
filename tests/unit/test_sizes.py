"""Sizes, numbers and spans as people read them."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from maintenance.formatting import counted, listed, readable_number, readable_size, readable_span


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
    [
        (0, "0 s"),
        (0.00273, "2.73 ms"),
        (0.25, "250 ms"),
        (59, "59 s"),
        (60, "1 minute"),
        (61.9, "1 minute 1 s"),
        (-120, "-2 minutes"),
        (7199, "1 hour 59 minutes"),
        (3 * 86400, "3 days"),
        (3 * 86400 + 59, "3 days"),
        (26 * 3600 + 59, "1 day 2 hours"),
    ],
)
def test_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert readable_span(timedelta(seconds=seconds)) == text
    assert readable_span(seconds) == text


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), ("ab", "a, b"), ("abcd", "a, b and 2 more")]
)
def test_list_names_the_first_and_counts_the_others(names: Sequence[str], text: str) -> None:
    assert listed(names, 2) == text


@pytest.mark.parametrize(
    ("names", "text"), [("a", "1 table (a)"), ("abc", "3 tables (a, b and 1 more)")]
)
def test_count_stands_before_the_first_names(names: Sequence[str], text: str) -> None:
    assert counted(names, "table", 2) == text


def test_list_takes_anything_that_can_be_written() -> None:
    assert listed(range(3), 5, "; ") == "0; 1; 2"
