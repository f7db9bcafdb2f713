"""Sessions of the product for tests, and waiting for changes on servers."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta

from maintenance.server.session import Connection, Timeouts, connect

TIMEOUTS = Timeouts(lock=timedelta(seconds=1), statement=timedelta(seconds=20))


@contextmanager
def session(
    url: str, application: str = "test", timeouts: Timeouts = TIMEOUTS
) -> Generator[Connection]:
    """A session as `maintain` opens it, closed at the end."""
    connection = connect(url, application=application, timeouts=timeouts)
    try:
        yield connection
    finally:
        connection.close()


def until(condition: Callable[[], bool], patience_s: float = 120) -> None:
    """Wait for a change on a server: replay, counters, an index build."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
