"""Execute actions on views: read the fingerprint, do the work, record the result."""

from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any

import psycopg

from maintenance.engine.action_context import ActionContext, Executor
from maintenance.engine.actions import Action, Step
from maintenance.engine.cache_invalidation import announce, intend, withdraw
from maintenance.errors import MaintenanceError, NotNeededError, UnreachableError
from maintenance.names import QualifiedName, parse_name
from maintenance.policy import MatviewPolicy, Policy
from maintenance.policy.view_sql import read_view_query
from maintenance.server.session import rollback_quietly, to_error
from maintenance.store import Refresh, note_proofs
from maintenance.store.invalidation_outbox import pending_invalidations
from maintenance.subjects.matviews.ddl import CONCURRENTLY, is_unindexed, refresh_statement
from maintenance.subjects.matviews.freshness import AFTER_ANOTHER, assess_refresh
from maintenance.subjects.matviews.models import Matview, MatviewsObservation
from maintenance.subjects.matviews.observe import fingerprint_of_query, see
from maintenance.subjects.matviews.populate import Entry, detail_of, fill, no_later_than_sources
from maintenance.subjects.matviews.unique_index import build, find_obstacle


def with_invalidation(
    context: ActionContext, section: MatviewPolicy, work: Callable[[], Refresh]
) -> Mapping[str, Any]:
    """Refresh, invalidate the cache if rows changed, and return the action's detail.

    The invalidation is recorded before the work, so that it is not lost if the run is killed or
    Redis is down. It is withdrawn if nothing changed, unless an earlier one is still pending.

    Raises:
        MaintenanceError: as raised by the work; never because the invalidation failed.
    """
    if context.policy.redis is None or not section.invalidates:
        return detail_of(work())
    name, database = str(section.name), context.policy.database.name
    is_pending = any(each.object == name for each in pending_invalidations(context.store, database))
    intend(context, name, section.invalidates, {"database": database, "view": name})
    try:
        entry = work()
    except UnreachableError:
        raise  # the outcome is unknown, so the invalidation stays pending
    except MaintenanceError:
        _withdraw_unless(context, name, is_pending=is_pending)
        raise
    if not entry.changed and not is_pending:
        withdraw(context, name)
        return detail_of(entry)
    return {**detail_of(entry), **announce(context, name)}


def _withdraw_unless(context: ActionContext, name: str, *, is_pending: bool) -> None:
    if not is_pending:
        withdraw(context, name)


def refresh(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Refresh a view, after creating its missing unique index.

    Raises:
        NotNeededError: the views it reads were refreshed before and did not change.
        LockNotAcquiredError, MaintenanceError: the view is unchanged.
    """
    view = _seen_again(context, action)
    *before, last = action.steps
    for step in before:
        build(context, section_of(context.policy, view.name), view.oid, step)
    concurrent = last.statements[0] == refresh_statement(view.name, CONCURRENTLY)
    mode = CONCURRENTLY if concurrent else "plain" if view.is_populated else "populate"
    section = section_of(context.policy, view.name)
    entry = Entry(context, action, view, mode)
    work = partial(fill, context, last, index_optional=True)
    detail = with_invalidation(context, section, lambda: entry.about(work))
    _check_index(context, section, last)
    return detail


def _check_index(context: ActionContext, section: MatviewPolicy, step: Step) -> None:
    """Fail if the view was populated but its unique index could not be created.

    Raises:
        MaintenanceError: names the duplicate values.
    """
    if not any(statement.startswith("CREATE UNIQUE INDEX ") for statement in step.statements):
        return
    views, _, _ = see(context.connection, context.store, context.policy, only=[section.name])
    view = views.get(section.name)
    if view is None or not is_unindexed(section, view):
        return
    obstacle = find_obstacle(context.connection, context.policy, section, view)
    reason = obstacle.text if obstacle is not None else "retried on the next run"
    raise MaintenanceError(
        f"{section.name}: populated, but without its unique index on"
        f" ({', '.join(section.unique_index)}): {reason}"
    )


def _seen_again(context: ActionContext, action: Action) -> Matview:
    """Observe one view again: the baseline must be read right before the refresh."""
    name = parse_name(action.object)
    views, moment, _ = see(context.connection, context.store, context.policy, only=[name])
    view = views.get(name)
    if view is None:
        raise MaintenanceError(f"{name}: dropped since it was observed", hint="run the plan again")
    if view.oid != action.preconditions["oid"]:
        raise NotNeededError(f"{name}: replaced since it was observed; the next run looks at it")
    if action.reason == AFTER_ANOTHER:
        verdict = assess_refresh(view, MatviewsObservation(views, moment))
        if verdict.as_of is not None and view.baseline is not None:
            as_of = no_later_than_sources(context, view, verdict.as_of)
            note_proofs(context.store, {view.baseline.id: as_of})
            raise NotNeededError(f"{verdict.reason}: the views it reads did not change")
    return view


def create(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Create a view with its content and its unique index in one transaction.

    Raises:
        MaintenanceError: the view was not created.
    """
    section = section_of(context.policy, parse_name(action.object))
    assert section.definition is not None, "only views with a file are created"
    query = read_view_query(section.definition, section.name)
    view = fingerprint_of_query(context.connection, context.store, context.policy, section, query)
    (step,) = action.steps
    entry = Entry(context, action, view, "create")
    return with_invalidation(context, section, lambda: entry.about(lambda: fill(context, step)))


def section_of(policy: Policy, name: QualifiedName) -> MatviewPolicy:
    """Return a view's section; planned actions have one."""
    return next(section for section in policy.matviews if section.name == name)


def explained(execute: Executor) -> Executor:
    """Convert server errors raised by an action into a MaintenanceError."""

    @wraps(execute)
    def wrapped(context: ActionContext, action: Action) -> Mapping[str, Any]:
        try:
            return execute(context, action)
        except psycopg.Error as exc:
            rollback_quietly(context.connection)
            raise to_error(exc, action.object) from exc

    return wrapped
