"""Executes retention: detaches partitions, and drops tables whose archive is verified."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import psycopg

from maintenance.archives import content_digest
from maintenance.ddl.detach import finalize
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, Step
from maintenance.engine.steps import run_steps
from maintenance.errors import DamagedArchiveError, MaintenanceError, UnreachableError
from maintenance.names import parse_name
from maintenance.server.session import fetch, run_sql, to_error
from maintenance.subjects.retention.archive import place_of, proven_manifest, table_of, write

ARCHIVINGS = 3
"""How many times a table that changed after its archive is archived again before an error."""


def detach(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Detach a partition; an interrupted concurrent detach is finalized in short attempts."""
    *before, last = action.steps
    for step in before:
        context.run(step)
    if last.concurrent:
        _detach_concurrently(context, action, last)
    else:
        context.run(last)
    return {}


def _detach_concurrently(context: ActionContext, action: Action, step: Step) -> None:
    """Try once, and finalize the detach if it is left pending.

    The statement waits for every transaction that has used the parent, and an outbound foreign
    key makes writers of the other table queue behind that wait. So the wait is cut short, which
    leaves the detach pending, and FINALIZE is tried again until those transactions are gone.
    """
    try:
        # Under the session's own timeouts: a longer wait leads to FINALIZE too, and to set others
        # takes two more round trips. Those of the store are patient; it has no foreign keys.
        run_sql(context.connection, step.statements[0])
    except psycopg.Error as exc:
        error = to_error(exc, step.statements[0])
        if not error.retryable:
            raise error from exc
        if not _pending(context, action) and _detached_after_all(context, action, step):
            return
        context.progress(f"{action.object}: waiting for older transactions to end")
        n_tables = len(action.preconditions.get("tree", ("itself",)))
        context.run(finalize(parse_name(str(action.table)), parse_name(action.object), n_tables))


def _detached_after_all(context: ActionContext, action: Action, step: Step) -> bool:
    """Retry a detach that had not begun; return False if a retry leaves it pending."""
    try:
        context.run(step)
    except UnreachableError:
        raise
    except MaintenanceError:
        if not _pending(context, action):
            raise
        return False
    return True


def _pending(context: ActionContext, action: Action) -> bool:
    parameters = {"child": action.preconditions["oid"]}
    return bool(fetch(context.connection, "retention", "find_pending_detach", parameters))


def drop(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Drop a detached table.

    With an archive, the table is dropped under its lock, and only if its content is exactly that of
    the archive.
    """
    if action.preconditions["archived"]:
        return _drop_proven(context, action)
    return run_steps(context, action)


def _drop_proven(context: ActionContext, action: Action) -> Mapping[str, Any]:
    *before, last = action.steps
    for step in before:
        context.run(step)
    *sure, drop_table = last.statements
    table = table_of(action)
    for _ in range(ARCHIVINGS):
        manifest = proven_manifest(context, action)
        with context.lock_retry.holding(context.connection, replace(last, statements=tuple(sure))):
            found = content_digest(context.connection, table, progress=context.progress)
            if found == manifest.digest:
                run_sql(context.connection, drop_table)
                return {"rows": manifest.n_rows, "archive": str(place_of(context, action))}
        context.progress(f"{action.object}: changed after it was archived; archiving it again")
        write(context, action)
    raise DamagedArchiveError(
        f"{action.object}: still being written to while it is archived; not dropped",
        hint="find the sessions that write to this table: it is no longer a partition",
    )
