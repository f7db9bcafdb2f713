"""Telling the application's cache that content has changed, and never forgetting to.

What will have to be told is noted in the store before the content changes. So neither a Redis
that is down nor a kill between the change and the telling loses it: the next run tells.
"""

from collections.abc import Collection, Mapping
from typing import Any

from maintenance.engine.action_context import ActionContext
from maintenance.errors import CacheError, UsageError
from maintenance.redis_client import invalidate
from maintenance.store import invalidation_outbox as invalidations


def intend(
    context: ActionContext, object_: str, patterns: Collection[str], message: Mapping[str, Any]
) -> None:
    """Note that the cache is to be told of an object, before its content changes.

    Args:
        context: of the action that changes it.
        object_: the qualified name, as PostgreSQL quotes it.
        patterns: of the keys that hold what was computed from it; none where there is no cache.
        message: what is published beside.
    """
    if context.policy.redis is not None and patterns:
        database = context.policy.database.name
        invalidations.owe(context.store, database, object_, patterns, message)


def withdraw(context: ActionContext, object_: str) -> None:
    """Take an intention back: nothing has changed."""
    invalidations.settle(context.store, context.policy.database.name, object_)


def announce(context: ActionContext, object_: str) -> Mapping[str, Any]:
    """Tell the cache what it is owed of an object; one that can't be told is owed on.

    Returns:
        What was done, for the action's detail: `keys_removed` and `subscribers`; or `owed`, why
        it is owed on, and the `reason` as a short code. Empty where nothing is owed.
    """
    try:
        return tell(context, object_)
    except CacheError as exc:
        return {"owed": str(exc), "reason": exc.reason}


def tell(context: ActionContext, object_: str) -> Mapping[str, Any]:
    """As `announce`, for whom being told is all that matters.

    Raises:
        CacheError: the cache can't be told; it is owed on.
    """
    database = context.policy.database.name
    due = [each for each in invalidations.owed(context.store, database) if each.object == object_]
    if not due:
        return {}
    try:
        done = invalidate(cache_url(context), due[0].patterns, due[0].message)
    except CacheError as exc:
        invalidations.defer(context.store, database, object_, str(exc))
        raise
    invalidations.settle(context.store, database, object_)
    return done


def cache_url(context: ActionContext) -> str:
    """Return where the cache is.

    Raises:
        CacheError: the policy names none any more, or by a variable that is not set.
    """
    if context.policy.redis is None:
        raise CacheError("the policy has no section redis any more")
    try:
        return context.target.resolve(context.policy.redis.url)
    except UsageError as exc:
        raise CacheError(str(exc), hint=exc.hint) from exc
