"""Read the cache's counters from INFO, which is cheap for the server.

INFO keyspace has the exact number of keys with a time to live, so keys need not be sampled.
Source: Redis documentation, INFO.
"""

from collections.abc import Mapping
from typing import Any

from maintenance.errors import CacheError
from maintenance.redis_client.client import SESSION_LIMIT_S, counter, opened
from maintenance.redis_client.models import CacheFacts

_LONGEST = 100


def read_facts(url: str, limit_s: float = SESSION_LIMIT_S) -> CacheFacts:
    """Read the counters of a server.

    Args:
        url: of the server.
        limit_s: seconds that this may take in all.

    Raises:
        CacheError: the server does not respond or refuses INFO.
    """
    with opened(url, limit_s) as client:
        info = client.info()
    try:
        return _facts(info)
    except KeyError as exc:
        raise CacheError(f"INFO has no {exc}: probably not a Redis server") from None
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise CacheError(
            "INFO has a value of an unexpected type: probably not a Redis server"
        ) from None


def _facts(info: Mapping[str, Any]) -> CacheFacts:
    keyspaces = [info[name] for name in info if name.startswith("db") and name[2:].isdigit()]
    return CacheFacts(
        server_run=_word(info["run_id"]),
        version=_word(info.get("redis_version", "")),
        hits=counter(info["keyspace_hits"]),
        misses=counter(info["keyspace_misses"]),
        evicted=counter(info["evicted_keys"]),
        expired=counter(info["expired_keys"]),
        used_memory_bytes=counter(info["used_memory"]),
        max_memory_bytes=counter(info.get("maxmemory", 0)),
        n_keys=counter(sum(counter(each["keys"]) for each in keyspaces)),
        n_expiring=counter(sum(counter(each["expires"]) for each in keyspaces)),
    )


def _word(value: Any) -> str:
    """Return an id or a version, which is short and printable.

    Raises:
        ValueError: it is not.
    """
    text = str(value)
    if len(text) > _LONGEST or not text.isprintable():
        raise ValueError
    return text
