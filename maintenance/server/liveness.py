"""Sessions that notice when their server has gone without a word.

A connection may be half open: a firewall forgot it, a proxy holds it and hands nothing on, the
host lost its power. TCP's keepalives see the first and the last; only the server itself can tell
about the second. So whoever waits for an answer without end asks now and then over a connection
of its own whether the server process is still at work on it.
Source: PostgreSQL manual, 34.1.2 Parameter Key Words (keepalives, tcp_user_timeout).
"""

import socket
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

KEEPALIVE = {
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""A host that is gone is noticed within a minute; values of the url go before these."""

SILENCE_S = 15.0
"""How long an answer may stay away before the server is asked whether it still works on it."""

CONFIRM_S = 3.0
"""An answer may be on its way while it is asked; so much later it is asked again."""

_IS_AT_WORK = (
    "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a"
    " WHERE a.pid OPERATOR(pg_catalog.=) %s"
    " AND pg_catalog.starts_with(a.state, 'idle') IS NOT TRUE"
)

V = TypeVar("V")


class HalfOpenError(psycopg.OperationalError):
    """The server is no longer at work on a connection whose answer is still awaited."""


class Session(psycopg.Connection[TupleRow]):
    """A connection that ends with an error where its server has gone, and leaves a pool clean."""

    _process: int = 0
    _is_pooled: bool = False
    _another: Callable[[], psycopg.Connection[Any]]

    def serve(self, process: int, another: Callable[[], psycopg.Connection[Any]]) -> None:
        """Say what is known once it stands.

        Args:
            process: the id of the server process that serves it.
            another: opens a connection to the same server.
        """
        self._process, self._another = process, another
        self._is_pooled = process != self.info.backend_pid

    def wait(
        self,
        gen: Generator[Any, Any, V],
        interval: float = 0.1,
        timeout: float | None = None,
    ) -> V:
        """Wait as psycopg does, and no longer than the server is at work.

        Raises:
            psycopg.OperationalError: the answer got lost.
        """
        return super().wait(self._watched(gen) if self._process else gen, interval, timeout)

    @property
    def process(self) -> int:
        """The id of the server process that serves it, behind a pool too."""
        return self._process or self.info.backend_pid

    def close(self) -> None:
        """Close; what was set or locked stays on no connection of a pool."""
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
                            "the connection is half open: nothing comes back, though the server"
                            " is no longer at work on it or does not answer at all"
                        )
                    in_doubt = lost
                    ask_at = time.monotonic() + (CONFIRM_S if lost else SILENCE_S)
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value

    def _is_at_work(self) -> bool:
        """Ask over another connection; a server that refuses a second one may still be at work."""
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
