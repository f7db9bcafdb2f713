"""Removing keys by pattern, and telling subscribers, without holding up the application.

KEYS would stop the server for as long as it looks through all keys. SCAN looks at some hundred
in a call; a pause as long as each call leaves at least half of the server to others. UNLINK frees
what it removes in a thread of the server's own.
Source: Redis documentation, SCAN, UNLINK.
"""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from maintenance.errors import CacheError
from maintenance.redis_client.client import SESSION_LIMIT_S, Client, opened

CHANNEL = "maintenance:refreshed"
"""Where each invalidation is published, as a JSON object."""

BATCH = 500
"""Keys looked at, and removed at most, in one call."""

DEADLINE_S = 300.0
"""How long one invalidation may take; one that was cut short is to be done again."""

_LEAST_PAUSE_S = 0.001


def invalidate(
    url: str,
    patterns: Collection[str],
    message: Mapping[str, Any],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Mapping[str, Any]:
    r"""Remove the keys that match patterns, then publish a message; may be repeated.

    Args:
        url: where the server is.
        patterns: of keys, as SCAN takes them: `*`, `?`, `[ab]`, and `\` before what is meant
            literally. They are handed on as they are.
        message: published as JSON on `CHANNEL`.
        sleep: pauses between calls.
        clock: tells monotonic seconds.

    Returns:
        `keys_removed`, and how many `subscribers` were told.

    Raises:
        CacheError: nobody answers, a command was refused, or it took too long.
    """
    deadline = clock() + DEADLINE_S
    n_removed = 0
    with opened(url, DEADLINE_S + SESSION_LIMIT_S) as client:
        for pattern in dict.fromkeys(patterns):
            for keys in _scan(client, pattern, sleep, clock):
                n_removed += client.unlink(*keys)
                if clock() > deadline:
                    raise CacheError(
                        f"{pattern!r}: not all keys looked at in {DEADLINE_S:.0f} s",
                        hint="the next run goes on",
                        retryable=True,
                        reason="deadline",
                    )
        n_told = client.publish(CHANNEL, json.dumps(message, sort_keys=True))
    return {"keys_removed": n_removed, "subscribers": n_told}


def _scan(
    client: Client,
    pattern: str,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> Iterator[list[bytes]]:
    """Yield the matching keys in batches, and pause after each call as long as it took."""
    cursor = 0
    while True:
        began = clock()
        cursor, keys = client.scan(cursor, match=pattern, count=BATCH)
        # A hash table that shrinks may give more than was asked for, and a key twice.
        for start in range(0, len(keys), BATCH):
            yield keys[start : start + BATCH]
        if cursor == 0:
            return
        sleep(max(clock() - began, _LEAST_PAUSE_S))
