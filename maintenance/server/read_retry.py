"""Reads of the catalog, retried while an ACCESS EXCLUSIVE lock is in the way."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psycopg

Answer = TypeVar("Answer")

PAUSES_S = (0.15, 0.3, 0.6)
"""After a read that met a lock, so long until the next one."""


def read_with_retry(
    read: Callable[[], Answer],
    *,
    last: Callable[[], Answer] | None = None,
    is_complete: Callable[[Answer], bool] = lambda _: True,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Read until no lock is in the way, or the tries are used up; return the last answer.

    Args:
        read: raises `LockNotAvailable`, or returns what it could read.
        last: the last try; `read` again by default.
        is_complete: whether an answer leaves nothing out that a lock hid.
        sleep: waits so many seconds.

    Raises:
        psycopg.errors.LockNotAvailable: a lock was in the way at every try.
        Exception: whatever else a read raises, at once.
    """
    for pause in PAUSES_S:
        with suppress(psycopg.errors.LockNotAvailable):
            answer = read()
            if is_complete(answer):
                return answer
        sleep(pause)
    return (last or read)()
