"""Remove keys by pattern and notify subscribers, without blocking the application.

KEYS would block the server while it scans all keys. SCAN scans some hundred keys per call; a pause
as long as each call leaves at least half of the server's time to others. UNLINK frees memory in a
background thread.
Source: Redis documentation, SCAN, UNLINK.
"""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from maintenance.errors import CacheError
from maintenance.redis_client.client import SESSION_LIMIT_S, Client, counter, opened

CHANNEL = "maintenance:refreshed"
"""The channel on which each invalidation is published, as a JSON object."""

BATCH = 500
"""Keys scanned, and at most removed, in one call."""

DEADLINE_S = 300.0
"""Seconds that one invalidation may take; an incomplete one is retried."""

_LEAST_PAUSE_S = 0.001


def invalidate(
    url: str,
    patterns: Collection[str],
    message: Mapping[str, Any],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Mapping[str, Any]:
    r"""Remove the keys that match patterns, then publish a message; safe to repeat.

    Args:
        url: of the server.
        patterns: of keys, as in SCAN: `*`, `?`, `[ab]`, and `\` before a literal character.
            They are passed unchanged.
        message: published as JSON on `CHANNEL`.
        sleep: pauses between calls.
        clock: returns monotonic seconds.

    Returns:
        `keys_removed`, and the number of `subscribers` that received the message.

    Raises:
        CacheError: the server does not respond, refused a command, or the deadline passed.
    """
    deadline = clock() + DEADLINE_S
    n_removed = 0
    with opened(url, DEADLINE_S + SESSION_LIMIT_S) as client:
        for pattern in dict.fromkeys(patterns):
            for keys in _scan(client, pattern, sleep, clock):
                n_removed += counter(client.unlink(*keys))
                if clock() > deadline:
                    raise CacheError(
                        f"{pattern!r}: incomplete: not all keys scanned in {DEADLINE_S:.0f} s",
                        hint="retried on the next run",
                        retryable=True,
                        reason="deadline",
                    )
        n_subscribers = counter(client.publish(CHANNEL, json.dumps(message, sort_keys=True)))
    return {"keys_removed": n_removed, "subscribers": n_subscribers}


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
        # A shrinking hash table may return more keys than requested, and a key twice.
        for start in range(0, len(keys), BATCH):
            yield keys[start : start + BATCH]
        if cursor == 0:
            return
        sleep(max(clock() - began, _LEAST_PAUSE_S))
