"""The store keeps itself: its months exist before a run records, and expired ones go.

A table of the store that is partitioned by RANGE of `taken_at` is found by that alone, and
served by the same planners and executors as the owner's tables.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from maintenance.catalog.observe import observe
from maintenance.engine import executor as runner
from maintenance.engine.action_context import ActionContext
from maintenance.engine.executor import ExecutorRegistry, Outcome, Result
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.history import recall
from maintenance.engine.lock_retry import LockRetry, Progress, silent
from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan, join
from maintenance.engine.run_lock import exclusive_run
from maintenance.engine.scope import EVERYTHING
from maintenance.engine.sessions import store_session
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName
from maintenance.periods import CalendarSpan, midnight
from maintenance.policy import PartitionPolicy, Policy
from maintenance.server.session import Connection
from maintenance.store import Journal, forget_runs, history_tables, longest_keep
from maintenance.subjects.partitions import PARTITIONS
from maintenance.subjects.retention import RETENTION, RetentionObservation

UPKEEP_LOCK = int.from_bytes(hashlib.sha256(b"maintenance store upkeep").digest()[:7])
"""The advisory lock that keeps apart runs on databases that share a store."""

ONE_MONTH = CalendarSpan(1, 0)
PREMAKE = 1
MAX_PER_RUN = 12

_EXECUTORS = ExecutorRegistry({**PARTITIONS.executors, **RETENTION.executors})


def keep_history(
    policy: Policy,
    store: Connection,
    journal: Journal,
    now: datetime,
    *,
    environ: Mapping[str, str],
    progress: Progress,
) -> tuple[Finding, ...]:
    """See to it that the month of `now` and the next exist, and that expired ones are gone.

    Returns:
        What keeps the store from being as it should; a run goes on all the same.

    Raises:
        UnreachableError: the store is gone.
    """
    try:
        tables = _tables(policy, store, now)
        last_kept = policy.store.keep.before(now.date())
        before = midnight(last_kept, ZoneInfo("UTC"))
        forget_runs(store, policy.database.name, before, journal.run_id)
        plan = _plan(tables, store, now, environ)
        if not plan.actions:
            return plan.findings
        with exclusive_run(store, policy.locks.give_up_after, progress, key=UPKEEP_LOCK):
            plan = _plan(tables, store, now, environ)
            results = _carry_out(policy, plan, store, journal, environ, progress)
        return (*_plan(tables, store, now, environ).findings, *_failures(results))
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        return (_unkept(policy.database.name, str(exc)),)


def _tables(policy: Policy, store: Connection, now: datetime) -> Policy:
    """Return the policy by which the store's own tables are kept."""
    wanted = longest_keep(store, policy.database.name, policy.store.keep, now.date())
    # Whole months go, so none may go sooner than it was long.
    keep = min(wanted, ONE_MONTH, key=lambda span: span.before(now.date()))
    sections = tuple(_section(table, keep) for table in history_tables(store))
    return policy.model_copy(update={"partitions": sections})


def _section(table: QualifiedName, keep: CalendarSpan) -> PartitionPolicy:
    retention = {"keep": keep, "action": "drop", "max_per_run": MAX_PER_RUN}
    return PartitionPolicy.model_validate(
        {"table": str(table), "column": "taken_at", "premake": PREMAKE, "retention": retention}
    )


def _plan(tables: Policy, store: Connection, now: datetime, environ: Mapping[str, str]) -> Plan:
    if not tables.partitions:
        return Plan()
    snapshot = observe(store, PARTITIONS.relations(tables), time_cap=tables.observe.time_cap)
    history = recall(store, tables.database.name, snapshot, now)
    snapshot = replace(snapshot, history=history)
    context = ObserveContext(tables, now, EVERYTHING, snapshot, store, store, environ)
    partitions = PARTITIONS.plan(tables, PARTITIONS.observe(context), now, EVERYTHING)
    # Foreign keys point to none of our tables.
    return join(
        [partitions, RETENTION.plan(tables, RetentionObservation(snapshot), now, EVERYTHING)]
    )


def _carry_out(
    policy: Policy,
    plan: Plan,
    store: Connection,
    journal: Journal,
    environ: Mapping[str, str],
    progress: Progress,
) -> list[Result]:
    ladder = LockRetry.from_policy(policy.locks)

    def context(connection: Connection) -> ActionContext:
        run_id = str(journal.run_id)
        return ActionContext(connection, store, policy, environ, ladder, progress, run_id)

    return runner.run(
        plan.actions,
        _EXECUTORS,
        journal,
        connection=store,
        opened=partial(store_session, policy, environ),
        context=context,
        progress=silent,  # of no interest to whoever waits for the run
    )


def _failures(results: list[Result]) -> Iterator[Finding]:
    for result in results:
        if result.outcome is Outcome.FAILED:
            yield _unkept(result.action.object, str(result.error))


def _unkept(name: str, reason: str) -> Finding:
    return Finding(
        FindingKind.STORE_UNKEPT,
        Severity.ERROR,
        name,
        f"{name}: the store's history can't be kept: {reason}",
        data={"error": reason},
    )
