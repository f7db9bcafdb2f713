"""Maintenance of the store itself: creates its monthly partitions and drops expired ones.

The store's tables that are partitioned by RANGE of `taken_at` are maintained by the same planners
and executors as the owner's tables.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from maintenance.catalog.observe import identify
from maintenance.engine.executor import Outcome, Result
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.engine.run_lock import exclusive_run
from maintenance.engine.scope import EVERYTHING
from maintenance.engine.subject import Subject
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName
from maintenance.periods import CalendarSpan, add_months, midnight
from maintenance.pipeline.context import RunContext
from maintenance.pipeline.execute import check_effects, execute_plan
from maintenance.pipeline.observe import observe_and_plan
from maintenance.policy import PartitionPolicy, Policy
from maintenance.server.session import Connection
from maintenance.store import Journal, forget_runs, history_due, longest_keep
from maintenance.subjects.partitions import PARTITIONS
from maintenance.subjects.retention import RETENTION

UPKEEP_LOCK = int.from_bytes(hashlib.sha256(b"maintenance store upkeep").digest()[:7])
"""The advisory lock that serializes upkeep by runs on databases that share a store."""

ONE_MONTH = CalendarSpan(1, 0)
PREMAKE = 1
MAX_PER_RUN = 12

_SUBJECTS: tuple[Subject[Any], ...] = (PARTITIONS, RETENTION)


def keep_history(run: RunContext, journal: Journal) -> tuple[Finding, ...]:
    """Create the store's partitions of this month and the next, and drop expired ones.

    The store is maintained as any database is: by the same pipeline, with two subjects. One
    statement shows, on most days, that nothing is to be done.

    Returns:
        Findings about the store's upkeep; a run continues in spite of them.

    Raises:
        UnreachableError: the connection to the store was lost.
    """
    assert run.store is not None, "executed actions are journaled"
    policy = run.policy
    try:
        upkeep = _upkeep(run, run.store)
        if not identify(run.store).has_clock_skew:
            last_kept = policy.store.keep.before(run.now.date())
            before = midnight(last_kept, ZoneInfo("UTC"))
            forget_runs(run.store, policy.database.name, before, journal.run_id)
        if not upkeep.policy.partitions:
            return ()
        assessment = observe_and_plan(upkeep)
        if not assessment.plan.actions:
            return _own(assessment.plan)
        limit = policy.locks.give_up_after
        with exclusive_run(run.store, limit, run.progress, key=UPKEEP_LOCK):
            planned = observe_and_plan(upkeep).plan
            results = execute_plan(upkeep, planned.actions, journal)
        after = observe_and_plan(upkeep).plan
        return (*_own(after), *_failures(check_effects(results, after)))
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        return (_unkept(policy.database.name, str(exc)),)


def _upkeep(run: RunContext, store: Connection) -> RunContext:
    """Return the run in which the store is the maintained database."""
    target = run.target.store_target(_tables(run.policy, store, run.now))
    # Its progress is not part of the run's own.
    return RunContext(target, run.now, _SUBJECTS, EVERYTHING, store, store)


def _own(plan: Plan) -> tuple[Finding, ...]:
    """Return the findings about the store's own tables; others are of the run itself."""
    return tuple(finding for finding in plan.findings if finding.subject)


def _tables(policy: Policy, store: Connection, now: datetime) -> Policy:
    """Return the policy for those of the store's own tables that need something now."""
    today = now.astimezone(UTC).date()
    wanted = longest_keep(store, policy.database.name, policy.store.keep, today)
    # Partitions are whole months, so keep at least one month.
    keep = min(wanted, ONE_MONTH, key=lambda span: span.before(today))
    next_month = add_months(today.replace(day=1), PREMAKE)
    moments = (now, midnight(next_month, ZoneInfo("UTC")))
    # A day too early rather than too late: the plan decides, in the zone of the policy.
    expired_by = midnight(keep.before(today) + timedelta(days=1), ZoneInfo("UTC"))
    due = history_due(store, moments, before=expired_by)
    sections = tuple(_section(table, keep) for table in due)
    return policy.model_copy(update={"partitions": sections})


def _section(table: QualifiedName, keep: CalendarSpan) -> PartitionPolicy:
    retention = {"keep": keep, "action": "drop", "max_per_run": MAX_PER_RUN}
    return PartitionPolicy.model_validate(
        {"table": str(table), "column": "taken_at", "premake": PREMAKE, "retention": retention}
    )


def _failures(results: Iterable[Result]) -> Iterator[Finding]:
    for result in results:
        if result.outcome is Outcome.FAILED:
            yield _unkept(result.action.object, str(result.error))


def _unkept(name: str, reason: str) -> Finding:
    return Finding(
        FindingKind.STORE_UNKEPT,
        Severity.ERROR,
        name,
        f"{name}: upkeep of the store failed: {reason}",
        data={"error": reason},
    )
