"""The application's cache, Redis: removing what is out of date, and looking at how it does."""

from maintenance.cache.invalidation import CHANNEL, invalidate
from maintenance.cache.observation import look

__all__ = ["CHANNEL", "invalidate", "look"]
