"""Sessions with Redis, whose errors tell what to do and never show a password."""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from maintenance.errors import CacheError, MaintenanceError

CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 10.0
SESSION_LIMIT_S = 10.0
"""A server that answers a byte at a time keeps nobody longer than this."""
_CUT_AGAIN_S = 0.2
_LONGEST = 200
_RETRIES = 2
_HINT = "is it running there, and do host, port and password fit?"


class Client(Protocol):
    """What we ask of a session; redis-py leaves its types open."""

    def scan(self, cursor: int, match: str, count: int) -> tuple[int, list[bytes]]:
        """Return the next cursor, 0 at the end, and keys."""
        ...

    def unlink(self, *names: bytes) -> int:
        """Remove keys; returns how many there were."""
        ...

    def publish(self, channel: str, message: str) -> int:
        """Publish; returns how many were told."""
        ...

    def info(self) -> Mapping[str, Any]:
        """Return the server's own account."""
        ...

    def close(self) -> None:
        """Leave."""
        ...

    @property
    def connection_pool(self) -> Any:
        """Its connections."""
        ...


@contextmanager
def opened(url: str, limit_s: float = SESSION_LIMIT_S) -> Generator[Client]:
    """A session with the server at a url, closed at the end, or cut when its time is over.

    Raises:
        CacheError: the url is none, nobody answers there, the server refused a command, or what
            answers is no Redis.
    """
    import redis  # noqa: PLC0415 - a third of a second, needed by those who have a cache

    where = describe(url)
    try:
        client = _client(url)
    except (TypeError, ValueError):  # an option it does not know, or no url at all
        raise CacheError(f"{where}: not a Redis url", hint="wanted redis://host:6379/0") from None
    over = threading.Event()
    threading.Thread(target=_cut, args=(client, limit_s, over), daemon=True).start()
    try:
        yield client
    except MaintenanceError:
        raise
    except (redis.AuthenticationError, redis.ResponseError) as exc:
        raise CacheError(f"{where}: refused: {_said(exc)}", reason="refused") from None
    except redis.RedisError as exc:
        raise CacheError(
            f"{where}: no answer: {_said(exc)}", hint=_HINT, retryable=True, reason="no_answer"
        ) from None
    except Exception as exc:  # noqa: BLE001 - what answers nonsense breaks the driver anywhere
        raise CacheError(
            f"{where}: answered nothing that Redis would ({type(exc).__name__})", hint=_HINT
        ) from None
    finally:
        over.set()
        with suppress(Exception):
            client.close()


def _cut(client: Client, limit_s: float, over: threading.Event) -> None:
    """Cut the connections of a session whose time is over, those of its retries too."""
    wait_s = limit_s
    while not over.wait(wait_s):
        with suppress(Exception):
            client.connection_pool.disconnect()
        wait_s = _CUT_AGAIN_S


def _client(url: str) -> Client:
    import redis  # noqa: PLC0415 - see above
    from redis.backoff import ExponentialBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    pool = redis.ConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType] - options
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=COMMAND_TIMEOUT_S,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), _RETRIES),
    )
    pool.make_connection()  # connects to nothing yet, but reads the options
    made = redis.Redis.from_pool(pool)
    return cast("Client", made)


def describe(url: str) -> str:
    """Name a server for messages: host, port and database, never a password."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return f"Redis at {parts.path}"
        return f"Redis at {parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path}"
    except ValueError:
        return "Redis at a url that can't be read"


def _said(exc: Exception) -> str:
    """Return the first line of what a server said, fit for a terminal."""
    line = next(iter(str(exc).splitlines()), "")[:_LONGEST] or type(exc).__name__
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line
    )
