"""Reads that meet a lock are tried again, a few times."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from maintenance.server.read_retry import PAUSES_S, read_with_retry


def reading(*outcomes: int | Exception) -> Callable[[], int]:
    left: Iterator[int | Exception] = iter(outcomes)

    def read() -> int:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return read


def test_first_complete_answer_is_returned_without_a_pause() -> None:
    pauses: list[float] = []
    assert read_with_retry(reading(1), sleep=pauses.append) == 1
    assert not pauses


def test_lock_and_incomplete_answer_are_each_followed_by_a_longer_pause() -> None:
    pauses: list[float] = []
    read = reading(psycopg.errors.LockNotAvailable(), 0, 2)
    assert read_with_retry(read, is_complete=bool, sleep=pauses.append) == 2
    assert tuple(pauses) == PAUSES_S[:2]


def test_last_answer_is_returned_complete_or_not() -> None:
    pauses: list[float] = []
    assert read_with_retry(reading(0, 0, 0, 0), is_complete=bool, sleep=pauses.append) == 0
    assert tuple(pauses) == PAUSES_S


def test_last_try_may_be_another() -> None:
    read = reading(0, 0, 0)
    last = reading(7)
    assert read_with_retry(read, last=last, is_complete=bool, sleep=lambda _: None) == 7


def test_lock_at_every_try_is_raised() -> None:
    read = reading(*[psycopg.errors.LockNotAvailable()] * (len(PAUSES_S) + 1))
    with pytest.raises(psycopg.errors.LockNotAvailable):
        read_with_retry(read, sleep=lambda _: None)


def test_other_errors_are_raised_at_once() -> None:
    pauses: list[float] = []
    with pytest.raises(ValueError, match="wrong"):
        read_with_retry(reading(ValueError("wrong")), sleep=pauses.append)
    assert not pauses
