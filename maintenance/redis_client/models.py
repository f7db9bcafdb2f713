"""What is known of the cache: its counters, and what it is owed. Frozen, free of any server."""

from datetime import datetime
from typing import Any, NamedTuple

LEAST_LOOKUPS = 1000
"""Fewer lookups between two looks are no evidence of a hit rate."""


class CacheFacts(NamedTuple):
    """What one look at the server gave; the counters run since its start.

    Attributes:
        server_run: an id that changes when the server starts again.
        max_memory_bytes: 0 is without limit.
        n_keys: of all its databases.
        n_expiring: those of them that have a time to live.
    """

    server_run: str
    version: str
    hits: int
    misses: int
    evicted: int
    expired: int
    used_memory_bytes: int
    max_memory_bytes: int
    n_keys: int
    n_expiring: int

    @property
    def n_lookups(self) -> int:
        """Lookups of keys, found or not."""
        return self.hits + self.misses

    @property
    def n_without_ttl(self) -> int:
        """Keys that stay until somebody removes them."""
        return self.n_keys - self.n_expiring


class Owed(NamedTuple):
    """What the cache is still to be told of one object.

    Attributes:
        patterns: of the keys to remove.
        message: to be published.
        error: why the newest of the `attempts` failed; None before the first.
    """

    object: str
    patterns: list[str]
    message: dict[str, Any]
    owed_at: datetime
    attempts: int
    error: str | None


def hit_rate(before: CacheFacts, after: CacheFacts) -> float | None:
    """Compute the share of lookups between two looks that found their key, from 0 to 1.

    Returns:
        None where there is no evidence: too few lookups, or the server was started again or
        its counters were reset.
    """
    hits, misses = after.hits - before.hits, after.misses - before.misses
    if before.server_run != after.server_run or min(hits, misses) < 0:
        return None
    return hits / (hits + misses) if hits + misses >= LEAST_LOOKUPS else None
