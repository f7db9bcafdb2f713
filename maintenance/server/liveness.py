"""Sessions that detect a lost server.

A connection may be half open: a firewall dropped it, a proxy holds it and forwards nothing, or the
host lost power. TCP keepalives detect the first and the last; for the second the server must be
asked. So a session that waits for a result checks from time to time, over a second connection,
whether the server process is still active.
Source: PostgreSQL manual, 34.1.2 Parameter Key Words (keepalives, tcp_user_timeout).
"""

import re
import socket
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from maintenance.server.query_text import MARK

KEEPALIVE = {
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""Keepalives that detect a lost host within a minute; values in the url have priority."""

SILENCE_S = 15.0
"""Seconds without a result before the server process is checked."""

CONFIRM_S = 3.0
"""Seconds until a second check, because the result may have been on its way."""

_IS_AT_WORK = (
    "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a"
    " WHERE a.pid OPERATOR(pg_catalog.=) %s"
    " AND pg_catalog.starts_with(a.state, 'idle') IS NOT TRUE"
)

V = TypeVar("V")


_QUERY = re.compile(rb"\(*(?:SELECT|WITH)\b", re.IGNORECASE)


def marked(query: Any) -> Any:
    """Return a query with the mark in front; other statements as they are."""
    text = query.encode() if isinstance(query, str) else query
    return MARK.encode() + text if isinstance(text, bytes) and _QUERY.match(text) else query


class HalfOpenError(psycopg.OperationalError):
    """The server process is no longer active, but no result arrived."""


class Session(psycopg.Connection[TupleRow]):
    """A connection that fails if its server is lost, and that resets pooled sessions at close."""

    _process: int = 0
    _is_pooled: bool = False
    _another: Callable[[], psycopg.Connection[Any]]

    def serve(self, process: int, another: Callable[[], psycopg.Connection[Any]]) -> None:
        """Set the server process, after connecting.

        Args:
            process: the pid of the server process.
            another: opens a connection to the same server.
        """
        self._process, self._another = process, another
        self._is_pooled = process != self.info.backend_pid

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> psycopg.Cursor[TupleRow]:
        """Execute as psycopg does; a query that is composed here is marked as ours.

        Statement counters keep the mark with the text: the work of this software is nobody's slow
        query.
        """
        return super().execute(marked(query), *args, **kwargs)

    def wait(
        self,
        gen: Generator[Any, Any, V],
        interval: float = 0.1,
        timeout: float | None = None,
    ) -> V:
        """Wait as psycopg does, but only while the server process is active.

        Raises:
            psycopg.OperationalError: the result was lost.
        """
        return super().wait(self._watched(gen) if self._process else gen, interval, timeout)

    @property
    def process(self) -> int:
        """The pid of the server process, also behind a pool."""
        return self._process or self.info.backend_pid

    def close(self) -> None:
        """Close; settings and locks are reset if the connection is pooled."""
        if self._is_pooled and not self.closed and not self.broken:
            with suppress(psycopg.Error):
                if self.info.transaction_status is not TransactionStatus.IDLE:
                    self.execute("ROLLBACK")
                self.execute("DISCARD ALL")
        super().close()

    def _watched(self, gen: Generator[Any, Any, V]) -> Generator[Any, Any, V]:
        try:
            wanted = next(gen)
            ask_at, in_doubt = time.monotonic() + SILENCE_S, False
            while True:
                ready = yield wanted
                if ready:
                    ask_at, in_doubt = time.monotonic() + SILENCE_S, False
                elif time.monotonic() >= ask_at:
                    lost = not self._is_at_work()
                    if lost and in_doubt:
                        self.pgconn.finish()
                        raise HalfOpenError(
                            "connection lost: no result was received, and the server process is"
                            " no longer active or the server does not respond"
                        )
                    in_doubt = lost
                    ask_at = time.monotonic() + (CONFIRM_S if lost else SILENCE_S)
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value

    def _is_at_work(self) -> bool:
        """Check over another connection; if that is refused, the process may still be active."""
        try:
            with self._another() as other:
                row = other.execute(_IS_AT_WORK, (self._process,)).fetchone()
            return row is None or row[0] > 0
        except psycopg.errors.ConnectionTimeout:
            return False
        except psycopg.Error:
            return self._is_reachable()

    def _is_reachable(self) -> bool:
        host, port = self.info.hostaddr or self.info.host, self.info.port
        if host.startswith("/"):
            return True
        try:
            socket.create_connection((host, port), timeout=CONFIRM_S).close()
        except OSError:
            return False
        return True
