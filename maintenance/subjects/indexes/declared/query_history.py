"""Read and record plans and times of declared queries in the store."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from maintenance.engine.actions import ActionKind
from maintenance.names import QualifiedName, parse_name
from maintenance.policy.query_sql import DeclaredQuery
from maintenance.server.session import Connection, fetch, run_statement
from maintenance.subjects.indexes.declared.plan_reader import Access, QueryPlan
from maintenance.subjects.indexes.declared.query_models import (
    Measurement,
    PlanMode,
    PlannedQuery,
    QueryKey,
)
from maintenance.subjects.indexes.declared.query_watch import Built, PlanBaseline, TimedProof

RECORD_EVERY = timedelta(hours=1)
"""Nightly plans are not recorded if there are some that are newer than this."""

LOOKED_BACK = timedelta(days=60)
"""Older plans are no baseline."""


def record_nightly(
    store: Connection,
    database: str,
    queries: Sequence[DeclaredQuery],
    plans: Iterable[Measurement],
    now: datetime,
) -> None:
    """Record the plans of one observation.

    Raises:
        psycopg.Error: the store failed.
    """
    _record(store, database, queries, plans, now, phase="nightly")


def record_proof(
    store: Connection,
    database: str,
    queries: Sequence[DeclaredQuery],
    measured: Iterable[Measurement],
    now: datetime,
    *,
    phase: str,
    run_id: str,
    index: QualifiedName,
) -> None:
    """Record the measurements before or after the build of an index.

    Raises:
        psycopg.Error: the store failed.
    """
    _record(store, database, queries, measured, now, phase=phase, run_id=run_id, object_=str(index))


def _record(
    store: Connection,
    database: str,
    queries: Sequence[DeclaredQuery],
    measured: Iterable[Measurement],
    now: datetime,
    *,
    phase: str,
    run_id: str | None = None,
    object_: str | None = None,
) -> None:
    digests = {query.name: query.digest for query in queries}
    rows = [_row(each, digests[each.key.query]) for each in measured]
    if not rows:
        return
    parameters = {
        "taken_at": now,
        "after": now - RECORD_EVERY,
        "database": database,
        "run_id": run_id,
        "phase": phase,
        "object": object_,
        "measurements": Jsonb(rows),
    }
    run_statement(store, "store", "add_query_measurements", parameters)


def _row(measured: Measurement, digest: str) -> dict[str, Any]:
    plan, timing, failure = measured.plan, measured.timing, measured.failure
    return {
        "query": measured.key.query,
        "text_digest": digest,
        "parameters": measured.key.number,
        "mode": measured.settled.value,
        "plan_digest": plan.digest if plan is not None else None,
        "plan": plan.as_json() if plan is not None else None,
        "cost": plan.cost if plan is not None else None,
        "times_ms": list(timing.times_ms) if timing is not None else None,
        "blocks": timing.buffers.total if timing is not None else None,
        "failure": failure.reason.value if failure is not None else None,
    }


def recall_baselines(
    store: Connection,
    database: str,
    queries: Sequence[DeclaredQuery],
    planned: Sequence[PlannedQuery],
    until: datetime,
) -> Mapping[QueryKey, PlanBaseline]:
    """Read the plans that the present ones are compared with.

    Args:
        store: a session on it.
        database: the policy's name.
        queries: as declared now; plans of another text are no baseline.
        planned: the same queries; plans from before a run dropped or undid an index of one of
            their tables are no baseline.
        until: a baseline is older if there is one.

    Raises:
        psycopg.Error: the store failed.
    """
    since = until - LOOKED_BACK
    period = {"database": database, "since": since}
    rows = fetch(store, "store", "list_index_changes", period)
    changes: dict[str, datetime] = {row.table_name: row.changed_at for row in rows}
    about = {
        **period,
        "until": until,
        "queries": [query.name for query in queries],
        "text_digests": [query.digest for query in queries],
        "changed_at": [
            max((changes[t] for t in map(str, each.tables) if t in changes), default=None)
            for each in planned
        ],
    }
    return {
        QueryKey(row.query, row.parameters): PlanBaseline(
            row.taken_at, PlanMode(row.mode), _plan(row.plan, row.cost)
        )
        for row in fetch(store, "store", "list_query_baselines", about)
    }


def recall_proofs(store: Connection, database: str, since: datetime) -> list[TimedProof]:
    """Read the times before and after the last build of each index.

    Raises:
        psycopg.Error: the store failed.
    """
    rows = fetch(store, "store", "list_query_proofs", {"database": database, "since": since})
    return [
        TimedProof(
            row.object,
            QueryKey(row.query, row.parameters),
            row.taken_at,
            tuple(row.before_ms),
            tuple(row.after_ms),
            row.is_replanned,
        )
        for row in rows
    ]


def recall_builds(
    store: Connection, database: str, indexes: Sequence[QualifiedName]
) -> Mapping[QualifiedName, Built]:
    """Read when runs last built indexes.

    Raises:
        psycopg.Error: the store failed.
    """
    by_name = {str(index): index for index in indexes}
    kind = ActionKind.CREATE_INDEX.value
    about = {"database": database, "objects": sorted(by_name), "kind": kind}
    rows = fetch(store, "store", "list_index_builds", about) if by_name else []
    return {by_name[row.object]: Built(row.done_at, row.table_reads) for row in rows}


def recall_drops(
    store: Connection, database: str, indexes: Iterable[QualifiedName]
) -> frozenset[QualifiedName]:
    """Return those of some indexes that a run dropped, or replaced.

    Raises:
        psycopg.Error: the store failed.
    """
    by_name = {str(index): index for index in indexes}
    kinds = [ActionKind.DROP_INDEX, ActionKind.REPLACE_INDEX]
    return frozenset(by_name[row.object] for row in _actions(store, database, by_name, kinds))


def _actions(
    store: Connection, database: str, objects: Iterable[str], kinds: Sequence[ActionKind]
) -> list[Any]:
    about = {"database": database, "objects": sorted(objects), "kinds": list(kinds)}
    return fetch(store, "store", "list_index_actions", about) if about["objects"] else []


def sum_executions(store: Connection, database: str, since: datetime) -> int:
    """Return how often runs planned or executed declared queries, at most.

    Raises:
        psycopg.Error: the store failed.
    """
    about = {"database": database, "since": since}
    (row,) = fetch(store, "store", "sum_query_executions", about)
    return int(row.n)


def _plan(stored: Mapping[str, Any], cost: float) -> QueryPlan:
    accesses = tuple(
        Access(
            parse_name(each["relation"]),
            parse_name(each["index"]) if each["index"] is not None else None,
            each["sorted_after"],
        )
        for each in stored["accesses"]
    )
    return QueryPlan(cost, accesses, stored["shape"])
