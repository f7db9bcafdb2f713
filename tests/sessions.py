"""Our own sessions, for tests of what stands on them."""

from collections.abc import Generator
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
