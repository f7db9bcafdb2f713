"""Models of the cache's counters and pending invalidations: frozen, free of sessions."""

from datetime import datetime
from typing import Any, NamedTuple

LEAST_LOOKUPS = 1000
"""Fewest lookups between two observations for a meaningful hit rate."""


class CacheFacts(NamedTuple):
    """One observation of the server; counters run since its start.

    Attributes:
        server_run: an id that changes when the server restarts.
        max_memory_bytes: 0 is without limit.
        n_keys: of all its databases.
        n_expiring: those of them with a time to live.
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
        """Keys without a time to live."""
        return self.n_keys - self.n_expiring


class KeySample(NamedTuple):
    """Some keys of a pattern.

    Attributes:
        n_keys: how many were looked at.
        n_without_ttl: those of them that never expire.
        ttls_s: the seconds that the others have left, longest first.
        is_complete: whether these are all keys of the pattern.
    """

    n_keys: int
    n_without_ttl: int
    ttls_s: tuple[float, ...]
    is_complete: bool

    def n_beyond(self, limit_s: float) -> int:
        """Return how many never expire, or later than in a time."""
        return self.n_without_ttl + sum(each > limit_s for each in self.ttls_s)


class PendingInvalidation(NamedTuple):
    """A pending invalidation of one object.

    Attributes:
        patterns: of the keys to remove.
        message: to be published.
        error: why the last of the `attempts` failed; None before the first.
    """

    object: str
    patterns: list[str]
    message: dict[str, Any]
    since: datetime
    attempts: int
    error: str | None


def hit_rate(before: CacheFacts, after: CacheFacts) -> float | None:
    """Compute the hit rate between two observations, from 0 to 1.

    Returns:
        None if unknown: too few lookups, or the server restarted or its counters were reset.
    """
    hits, misses = after.hits - before.hits, after.misses - before.misses
    if before.server_run != after.server_run or min(hits, misses) < 0:
        return None
    return hits / (hits + misses) if hits + misses >= LEAST_LOOKUPS else None
