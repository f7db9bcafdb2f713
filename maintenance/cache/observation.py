"""How the cache does: counters of INFO, which cost the server next to nothing.

INFO keyspace tells exactly how many keys have a time to live, so no key need be sampled.
Source: Redis documentation, INFO.
"""

from collections.abc import Mapping
from typing import Any

from maintenance.cache.connection import opened
from maintenance.cache.facts import CacheFacts
from maintenance.errors import CacheError


def look(url: str) -> CacheFacts:
    """Look at a server.

    Raises:
        CacheError: nobody answers, or INFO is refused.
    """
    with opened(url) as client:
        info = client.info()
    try:
        return _facts(info)
    except (KeyError, ValueError, TypeError) as exc:
        raise CacheError(
            f"INFO: found no {exc}, wanted a server that speaks as Redis does"
        ) from exc


def _facts(info: Mapping[str, Any]) -> CacheFacts:
    keyspaces = [info[name] for name in info if name.startswith("db") and name[2:].isdigit()]
    return CacheFacts(
        server_run=str(info["run_id"]),
        version=str(info.get("redis_version", "")),
        hits=int(info["keyspace_hits"]),
        misses=int(info["keyspace_misses"]),
        evicted=int(info["evicted_keys"]),
        expired=int(info["expired_keys"]),
        used_memory_bytes=int(info["used_memory"]),
        max_memory_bytes=int(info.get("maxmemory", 0)),
        n_keys=sum(int(each["keys"]) for each in keyspaces),
        n_expiring=sum(int(each["expires"]) for each in keyspaces),
    )
