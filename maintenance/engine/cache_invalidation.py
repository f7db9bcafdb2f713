"""Invalidation of the Redis cache after content changes, with retries.

The invalidation is recorded in the store before the content changes. If Redis is down or the
process is killed between the two, the next run sends it.
"""

from collections.abc import Collection, Mapping
from typing import Any

from maintenance.engine.action_context import ActionContext
from maintenance.errors import CacheError, UsageError
from maintenance.redis_client import invalidate
from maintenance.store.invalidation_outbox import (
    add_invalidation,
    defer_invalidation,
    pending_invalidations,
    remove_invalidation,
)


def intend(
    context: ActionContext, object_: str, patterns: Collection[str], message: Mapping[str, Any]
) -> None:
    """Record the invalidation of an object's cache keys, before its content changes.

    Args:
        context: of the action that changes it.
        object_: qualified name, quoted as in PostgreSQL.
        patterns: patterns of the keys that hold results computed from it; none without a cache.
        message: published with the invalidation.
    """
    if context.policy.redis is not None and patterns:
        database = context.policy.database.name
        add_invalidation(context.store, database, object_, patterns, message)


def withdraw(context: ActionContext, object_: str) -> None:
    """Remove the recorded invalidation: nothing has changed."""
    remove_invalidation(context.store, context.policy.database.name, object_)


def announce(context: ActionContext, object_: str) -> Mapping[str, Any]:
    """Send the pending invalidations of an object; a failed one stays pending.

    Returns:
        The details of the action: `keys_removed` and `subscribers`; or `invalidation_error` and
        `reason`, a short code. Empty if nothing was pending.
    """
    try:
        return send_pending(context, object_)
    except CacheError as exc:
        return {"invalidation_error": str(exc), "reason": exc.reason}


def send_pending(context: ActionContext, object_: str) -> Mapping[str, Any]:
    """Send the pending invalidations of an object, as an action of its own.

    Raises:
        CacheError: the invalidation failed and stays pending.
    """
    database = context.policy.database.name
    due = [
        each for each in pending_invalidations(context.store, database) if each.object == object_
    ]
    if not due:
        return {}
    try:
        done = invalidate(cache_url(context), due[0].patterns, due[0].message)
    except CacheError as exc:
        defer_invalidation(context.store, database, object_, str(exc))
        raise
    remove_invalidation(context.store, database, object_)
    return done


def cache_url(context: ActionContext) -> str:
    """Return the URL of the cache.

    Raises:
        CacheError: the policy has no redis section, or its variable is not set.
    """
    if context.policy.redis is None:
        raise CacheError("the policy has no redis section; add it to send the pending invalidation")
    try:
        return context.target.resolve(context.policy.redis.url)
    except UsageError as exc:
        raise CacheError(str(exc), hint=exc.hint) from exc
