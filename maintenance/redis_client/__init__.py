"""The application's cache, Redis: removing what is out of date, and looking at how it does."""

from maintenance.redis_client.invalidation import CHANNEL, invalidate
from maintenance.redis_client.observe import read_facts

__all__ = ["CHANNEL", "invalidate", "read_facts"]
