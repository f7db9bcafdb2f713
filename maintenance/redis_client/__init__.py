"""Client of the application's Redis cache: invalidate keys and read counters."""

from maintenance.redis_client.invalidation import CHANNEL, invalidate
from maintenance.redis_client.observe import read_facts

__all__ = ["CHANNEL", "invalidate", "read_facts"]
