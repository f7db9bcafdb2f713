"""Carrying out a plan, and holding what came of it against a second look."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from maintenance.engine import runner
from maintenance.engine.actions import RECURRING, UNSEEN
from maintenance.engine.budget import Budget
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.ladder import Ladder
from maintenance.engine.plans import Plan
from maintenance.engine.runner import Crew, Outcome, Result
from maintenance.engine.subject import Subject
from maintenance.engine.workbench import Workbench
from maintenance.errors import ArchiveError, EffectError, LockNotAcquiredError, MaintenanceError
from maintenance.policy import Policy
from maintenance.server.session import Connection
from maintenance.sessions import on_database
from maintenance.store import Journal
from maintenance.visits import Visit

_FAILURES: Mapping[type[MaintenanceError], FindingKind] = {
    LockNotAcquiredError: FindingKind.LOCK_NOT_ACQUIRED,
    ArchiveError: FindingKind.ARCHIVE_UNVERIFIED,
}
"""Failures of actions that are findings of their own."""


def carry_out(visit: Visit, planned: Plan, journal: Journal) -> list[Result]:
    """Carry out a plan, with its intents and outcomes in the journal.

    Raises:
        UnreachableError: a connection is gone.
    """
    policy, store = visit.policy, visit.store
    assert store is not None, "what is carried out is journaled"
    locks = policy.locks
    ladder = Ladder(locks.lock_timeout, locks.patient_lock_timeout, locks.give_up_after)

    def bench(connection: Connection) -> Workbench:
        run_id = str(journal.run_id)
        return Workbench(connection, store, policy, visit.environ, ladder, visit.progress, run_id)

    return runner.run(
        planned.actions,
        _crew(visit.subjects, policy),
        journal,
        connection=visit.connection,
        opened=partial(on_database, policy, visit.environ, "apply"),
        bench=bench,
        progress=visit.progress,
    )


def _crew(subjects: Sequence[Subject[Any]], policy: Policy) -> Crew:
    budgets = {
        s.name: Budget(limit) for s in subjects if (limit := s.time_budget(policy)) is not None
    }
    return Crew(
        {kind: each for subject in subjects for kind, each in subject.executors.items()},
        {kind: subject.width(policy) for subject in subjects for kind in subject.executors},
        {kind: budgets[s.name] for s in subjects if s.name in budgets for kind in s.executors},
    )


def verified(results: Sequence[Result], again: Plan) -> Iterator[Result]:
    """Call done only what the catalog shows: what a second plan asks for again has failed."""
    seen = (action for action in again.actions if action.kind not in UNSEEN | RECURRING)
    still_wanted = {(action.kind, action.object) for action in seen}
    for result in results:
        action = result.action
        if result.outcome is Outcome.DONE and (action.kind, action.object) in still_wanted:
            cause = EffectError(f"{action.object}: done, and yet the catalog does not show it")
            yield replace(result, outcome=Outcome.FAILED, error=str(cause), cause=cause)
        else:
            yield result


def failures(results: Sequence[Result], subjects: Sequence[Subject[Any]]) -> Iterator[Finding]:
    """Yield the failures that are findings of their own."""
    subject = subjects[0].name if len(subjects) == 1 else ""
    for result in results:
        kind = next((k for cause, k in _FAILURES.items() if isinstance(result.cause, cause)), None)
        if kind is not None:
            name = result.action.object
            message = f"{name}: {result.error}"
            yield Finding(kind, Severity.ERROR, name, message, subject=subject)
