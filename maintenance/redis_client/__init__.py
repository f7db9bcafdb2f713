"""The application's cache, Redis: removing what is out of date, and looking at how it does."""

from maintenance.redis_client.invalidation import CHANNEL, invalidate
from maintenance.redis_client.observe import look

__all__ = ["CHANNEL", "invalidate", "look"]
