"""Execution of a plan, and the check of its effects."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from maintenance.engine import executor
from maintenance.engine.action_context import ActionContext
from maintenance.engine.action_order import rounds
from maintenance.engine.actions import RECURRING, UNSEEN, Action, ActionKind
from maintenance.engine.executor import ExecutorRegistry, Outcome, Result
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.engine.subject import Subject
from maintenance.engine.time_budget import Budget
from maintenance.errors import (
    ArchiveError,
    BudgetError,
    BuildPostponedError,
    EffectError,
    LockNotAcquiredError,
    MaintenanceError,
    RegressionError,
)
from maintenance.names import QualifiedName
from maintenance.pipeline.context import RunContext
from maintenance.pipeline.gate import PauseWatch
from maintenance.policy import Policy
from maintenance.server.session import Connection, fetch
from maintenance.store import Journal

_FAILURES: Mapping[type[MaintenanceError], FindingKind] = {
    LockNotAcquiredError: FindingKind.LOCK_NOT_ACQUIRED,
    BuildPostponedError: FindingKind.INDEX_BUILD_POSTPONED,
    ArchiveError: FindingKind.ARCHIVE_UNVERIFIED,
    RegressionError: FindingKind.QUERY_REGRESSED,
}
"""Errors of actions that become findings of their own kind."""

_SEVERITIES = {FindingKind.INDEX_BUILD_POSTPONED: Severity.WARN}
"""The severities of those that are no error: nothing is worse than before, but later."""


_TOLD_BY_SUBJECT = frozenset({(FindingKind.LOCK_NOT_ACQUIRED, ActionKind.CONVERT_TABLE)})
"""Failures that the subject finds in the journal, also after this run: `conversion_waiting`."""


def execute_plan(
    run: RunContext, actions: Sequence[Action], journal: Journal, first_place: int = 0
) -> list[Result]:
    """Execute actions; record intents and outcomes in the journal.

    Args:
        run: the context of the run.
        actions: the actions, in order.
        journal: the journal of this run.
        first_place: number of actions that this run has executed before.

    Raises:
        UnreachableError: a connection was lost.
    """
    store, target = run.store, run.target
    assert store is not None, "executed actions are journaled"

    def context(connection: Connection) -> ActionContext:
        return ActionContext(connection, store, target, run.progress, str(journal.run_id))

    return executor.run(
        actions,
        _executors(run.subjects, run.policy),
        journal,
        connection=run.connection,
        opened=partial(target.database, "apply"),
        context=context,
        progress=run.progress,
        first_place=first_place,
        paused=PauseWatch(store, run.policy) if run.gate is not None else executor.never_paused,
    )


def superseded(run: RunContext, planned: Sequence[Action], again: Plan) -> Iterator[Result]:
    """Yield planned actions as skipped that are no longer planned after other actions of the run.

    Args:
        run: the context of the run.
        planned: ANALYZE and VACUUM, as planned at the start of the run.
        again: the current plan.
    """
    upkeep = rounds(again.actions).upkeep
    still = {action.id for action in upkeep}
    dropped = [action for action in planned if action.id not in still]
    if not dropped:
        return
    oids = [action.preconditions["oid"] for action in dropped]
    rows = fetch(run.connection, "catalog", "list_named", {"relations": oids})
    names = {row.oid: str(QualifiedName(row.schema, row.name)) for row in rows}
    taken_on = {action.preconditions["oid"] for action in upkeep}
    skipped = {skip.object: skip.reason for skip in again.skipped}
    for action in dropped:
        oid = action.preconditions["oid"]
        reason = _why_superseded(action, names.get(oid), is_planned=oid in taken_on)
        reason = skipped.get(names.get(oid, ""), reason)
        yield Result(action, Outcome.SKIPPED, error=f"{action.object}: {reason}")


def _why_superseded(action: Action, name: str | None, *, is_planned: bool) -> str:
    if name is None:
        return "it no longer exists: it was dropped or replaced in this run"
    if name != action.object and is_planned:
        return f"renamed to {name} in this run, and analyzed under that name"
    if name != action.object:
        return f"renamed to {name} in this run; its statistics are up to date"
    if is_planned:
        return "replaced by another action, after other actions of this run changed it"
    return "its statistics are up to date after the other actions of this run"


def _executors(subjects: Sequence[Subject[Any]], policy: Policy) -> ExecutorRegistry:
    budgets = {
        s.name: Budget(limit) for s in subjects if (limit := s.time_budget(policy)) is not None
    }
    return ExecutorRegistry(
        {kind: each for subject in subjects for kind, each in subject.executors.items()},
        {kind: subject.concurrency(policy) for subject in subjects for kind in subject.executors},
        {kind: budgets[s.name] for s in subjects if s.name in budgets for kind in s.executors},
    )


def check_effects(results: Sequence[Result], again: Plan) -> Iterator[Result]:
    """Mark actions as failed that a second plan asks for again: the catalog is unchanged."""
    seen = (action for action in again.actions if action.kind not in UNSEEN | RECURRING)
    still_wanted = {(action.kind, action.object) for action in seen}
    for result in results:
        action = result.action
        if result.outcome is Outcome.DONE and (action.kind, action.object) in still_wanted:
            cause = EffectError(
                f"{action.object}: statement succeeded, but the catalog is unchanged"
            )
            yield replace(result, outcome=Outcome.FAILED, error=str(cause), cause=cause)
        else:
            yield result


def failures(results: Sequence[Result], subjects: Sequence[Subject[Any]]) -> Iterator[Finding]:
    """Yield a finding for each failure that has a finding kind of its own."""
    for result in results:
        subject = _subject_of(result.action, subjects)
        kind = next((k for cause, k in _FAILURES.items() if isinstance(result.cause, cause)), None)
        if kind is not None and (kind, result.action.kind) not in _TOLD_BY_SUBJECT:
            name, error = result.action.object, str(result.error)
            message = error if error.startswith(f"{name}: ") else f"{name}: {error}"
            severity = _SEVERITIES.get(kind, Severity.ERROR)
            data = _facts(result.cause)
            yield Finding(kind, severity, name, message, data=data, subject=subject)


def _facts(cause: MaintenanceError | None) -> dict[str, Any]:
    """Return what an error says of who is behind it, with its reason, JSON-ready."""
    if isinstance(cause, BuildPostponedError):
        return {"reason": cause.reason, **cause.facts}
    if isinstance(cause, LockNotAcquiredError) and cause.holder:
        return {"reason": cause.reason, "holder": cause.holder}
    return {}


def _subject_of(action: Action, subjects: Sequence[Subject[Any]]) -> str:
    """Return the subject that acted; empty if several could have."""
    if len(subjects) == 1:
        return subjects[0].name
    return next((s.name for s in subjects if action.kind in s.executors), "")


NAMED = 5
"""Number of objects named in the message; `data` has up to `LISTED`."""

LISTED = 100


def left_over(
    policy: Policy, subjects: Sequence[Subject[Any]], results: Sequence[Result]
) -> Iterator[Finding]:
    """Yield one finding for each subject whose actions did not all fit into its time budget."""
    for subject in subjects:
        left = [
            result.action.object
            for result in results
            if isinstance(result.cause, BudgetError) and result.action.kind in subject.executors
        ]
        if left:
            yield _finding(policy, subject, left)


def _finding(policy: Policy, subject: Subject[Any], left: Sequence[str]) -> Finding:
    name = f"{policy.database.name}/{subject.name}"
    named = ", ".join(left[:NAMED]) + (", …" if len(left) > NAMED else "")
    return Finding(
        FindingKind.BUDGET_EXHAUSTED,
        Severity.WARN,
        name,
        f"{name}: time budget of {subject.time_budget(policy)} used up, {len(left)} actions not"
        f" run: {named}; retried on the next run, or increase time_budget",
        value=len(left),
        threshold=0,
        data={"objects": list(left[:LISTED])},
        subject=subject.name,
    )
