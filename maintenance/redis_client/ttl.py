"""Sample the times to live of keys by pattern, without blocking the application.

SCAN reads some hundred keys a call; a pause as long as each call leaves at least half of the
server's time to others. Values are not read.
Source: Redis documentation, SCAN, PTTL.
"""

import time
from collections.abc import Collection, Mapping

from maintenance.redis_client.client import SESSION_LIMIT_S, Client, opened
from maintenance.redis_client.models import KeySample

BATCH = 500
"""Keys scanned in one call."""
MOST_KEYS = 200
"""Keys of each pattern whose time to live is read."""
LIMIT_S = 3.0
"""Seconds for each pattern: among very many keys those of a pattern may not be found."""

_WITHOUT, _GONE = -1, -2
_LEAST_PAUSE_S = 0.001


def read_ttls(url: str, patterns: Collection[str]) -> Mapping[str, KeySample]:
    """Read the times to live of some keys of each pattern.

    Args:
        url: of the server.
        patterns: of keys, as in SCAN.

    Raises:
        CacheError: the server does not respond, or refuses SCAN or PTTL.
    """
    with opened(url, SESSION_LIMIT_S + LIMIT_S * len(patterns)) as client:
        return {pattern: _sample(client, pattern) for pattern in dict.fromkeys(patterns)}


def _sample(client: Client, pattern: str) -> KeySample:
    deadline = time.monotonic() + LIMIT_S
    found: dict[bytes, int] = {}
    cursor, is_complete = 0, False
    while len(found) < MOST_KEYS and time.monotonic() < deadline and not is_complete:
        began = time.monotonic()
        cursor, keys = client.scan(cursor, match=pattern, count=BATCH)
        is_complete = cursor == 0 and len(found) + len(keys) <= MOST_KEYS
        found |= {key: client.pttl(key) for key in keys[: MOST_KEYS - len(found)]}
        if cursor == 0:
            break
        time.sleep(max(time.monotonic() - began, _LEAST_PAUSE_S))
    left = [each for each in found.values() if each != _GONE]
    ttls = sorted((each / 1000 for each in left if each != _WITHOUT), reverse=True)
    return KeySample(len(left), left.count(_WITHOUT), tuple(ttls), is_complete)
