"""Removes the objects of a drain: after it is done, after it fails, and after a killed run."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from maintenance.ddl.lock_statements import take
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, quote
from maintenance.server.session import fetch, milliseconds
from maintenance.server.statements import Ours
from maintenance.subjects.partitions.drain.job import Objects
from maintenance.subjects.partitions.drain.registry import Registry, read_registry
from maintenance.subjects.partitions.helper_checks import alone


def clear(context: ActionContext, objects: Objects) -> None:
    """Remove the triggers, then the copies or, after the exchange, the old default partition.

    A table with such a name that the log of the drain does not list is not dropped.

    Raises:
        MaintenanceError: a lock was not acquired; the next run finds the rest by the log.
    """
    parameters = {"schema": objects.schema, "prefix": objects.prefix, "drained": objects.oid}
    found = fetch(context.connection, "partitions", "list_drain_objects", parameters)
    log = next((row for row in found if row.comment and row.name == objects.log.name), None)
    registry = read_registry(log.comment, log.owner, objects.oid) if log is not None else None
    if registry is None:  # the log is removed last, so nothing else exists either
        return
    rows = [row for row in found if _is_ours(row, registry)]
    triggers = [row for row in rows if row.kind == "trigger"]
    keys = [row for row in rows if row.kind == "foreign key"]
    tables = [row for row in rows if row.kind == "tree"]
    tables += [row for row in rows if row.kind == "table" and row.name != objects.log.name]
    if triggers:
        context.run(_let_go(triggers, keys))
    for row in keys:
        context.run(_drop_key(row))
    for row in tables:
        context.run(_drop_table(row, context.lock_retry.patient_lock_timeout))
    context.run(Step(statements=tuple(_last(objects, has_function=registry.function is not None))))


def _is_ours(row: Any, registry: Registry) -> bool:
    if row.is_drained:
        return True
    known = {registry.function} if row.kind == "trigger" else registry.made
    return row.oid in known and row.owner == registry.owner


def _let_go(triggers: Sequence[Any], keys: Sequence[Any]) -> Step:
    """Stop capturing changes, and truncate copies that have foreign keys.

    From then on the copies become stale: their rows would block deletes of the rows they reference.
    """
    sources = sorted({_table(row) for row in triggers})
    copies = sorted({str(_table(row)) for row in keys})
    drops = [f"DROP TRIGGER IF EXISTS {quote(row.part)} ON {_table(row)}" for row in triggers]
    forget = [f"TRUNCATE {', '.join(copies)}"] if copies else []
    locks = alone(*sources)
    # The owner of the copies may have added a trigger on TRUNCATE.
    owner = keys[0].owner if keys else None
    ours = (Ours(drop) for drop in drops)
    return Step(statements=(take(locks), *ours, *forget), locks=locks, owner=owner)


def _drop_key(row: Any) -> Step:
    """Drop a foreign key: dropping its table would lock all referenced tables at once."""
    table = _table(row)
    referenced = str(QualifiedName(row.referenced_schema, row.referenced))
    locks = (*alone(table), Lock(referenced, LockMode.ACCESS_EXCLUSIVE))
    drop = f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {quote(row.part)}"
    return Step(statements=(take(locks), drop), locks=locks)


def _drop_table(row: Any, patience: timedelta) -> Step:
    """Drop a table of ours; autovacuum gives way only to a lock request that waits."""
    return Step(
        prepare=(f"SET LOCAL lock_timeout = {milliseconds(patience)}",),
        statements=(f"DROP TABLE IF EXISTS {_table(row)}",),
    )


def _table(row: Any) -> QualifiedName:
    return QualifiedName(row.schema, row.name)


def _last(objects: Objects, *, has_function: bool) -> Iterator[str]:
    """Yield the last drops; the log is last, so that an existing log means leftovers."""
    if has_function:
        yield f"DROP FUNCTION IF EXISTS {objects.function}()"
    yield f"DROP TABLE IF EXISTS {objects.log}"
