"""Sessions with Redis; errors have a hint and never show a password."""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from maintenance.errors import CacheError, MaintenanceError

CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 10.0
SESSION_LIMIT_S = 10.0
"""Total seconds of a session, also if the server sends one byte at a time."""
PROTOCOL = 2
"""RESP2: a server can only answer. In RESP3 it may send the client to another host."""
_CUT_AGAIN_S = 0.2
_LONGEST = 200
_RETRIES = 2
_COUNTER_LIMIT = 2**63
_HINT = "check that the server is running, and host, port and password"


class Client(Protocol):
    """The methods we use of a session; redis-py has no exact types."""

    def scan(self, cursor: int, match: str, count: int) -> tuple[int, list[bytes]]:
        """Return the next cursor (0 at the end) and keys."""
        ...

    def pttl(self, name: bytes) -> int:
        """Return the milliseconds that a key has left: -1 without end, -2 if it is gone."""
        ...

    def unlink(self, *names: bytes) -> int:
        """Remove keys; return how many existed."""
        ...

    def publish(self, channel: str, message: str) -> int:
        """Publish a message; return the number of subscribers."""
        ...

    def info(self) -> Mapping[str, Any]:
        """Return the result of INFO."""
        ...

    def close(self) -> None:
        """Close the session."""
        ...

    @property
    def connection_pool(self) -> Any:
        """The pool of its connections."""
        ...


@contextmanager
def opened(url: str, limit_s: float = SESSION_LIMIT_S) -> Generator[Client]:
    """Open a session with the server at a url; close it at the end or at its time limit.

    Raises:
        CacheError: the url is invalid, the server does not respond, refused a command, or is not
            a Redis server.
    """
    import redis  # noqa: PLC0415 - a third of a second, needed only with a cache

    where = describe(url)
    try:
        client = _client(url)
    except (TypeError, ValueError):  # an unknown option, or not a url
        raise CacheError(f"{where}: invalid Redis url", hint="wanted redis://host:6379/0") from None
    over = threading.Event()
    threading.Thread(target=_cut, args=(client, limit_s, over), daemon=True).start()
    try:
        yield client
    except MaintenanceError:
        raise
    except (redis.AuthenticationError, redis.ResponseError) as exc:
        raise CacheError(f"{where}: command refused: {_said(exc)}", reason="refused") from None
    except redis.RedisError as exc:
        raise CacheError(
            f"{where}: no response: {_said(exc)}", hint=_HINT, retryable=True, reason="no_answer"
        ) from None
    except Exception as exc:  # noqa: BLE001 - invalid responses can fail anywhere in the driver
        raise CacheError(
            f"{where}: invalid response, not a Redis server? ({type(exc).__name__})", hint=_HINT
        ) from None
    finally:
        over.set()
        with suppress(Exception):
            client.close()


def _cut(client: Client, limit_s: float, over: threading.Event) -> None:
    """Shut down the connections of a session at its time limit, including those of retries."""
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
        protocol=PROTOCOL,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), _RETRIES),
    )
    pool.make_connection()  # does not connect yet, but validates the options
    made = redis.Redis.from_pool(pool)
    return cast("Client", made)


def describe(url: str) -> str:
    """Return a server's name for messages: host, port and database, never a password."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return f"Redis at {parts.path}"
        return f"Redis at {parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path}"
    except ValueError:
        return "Redis at an invalid url"


def counter(answer: Any) -> int:
    """Return an answer that is to be a counter, in the range that the store supports.

    Raises:
        ValueError, TypeError: it is not a counter.
    """
    number = int(answer)
    if isinstance(answer, float) or not 0 <= number < _COUNTER_LIMIT:
        raise ValueError
    return number


def _said(exc: Exception) -> str:
    """Return the first line of an error text, safe for a terminal."""
    line = next(iter(str(exc).splitlines()), "")[:_LONGEST] or type(exc).__name__
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line
    )
