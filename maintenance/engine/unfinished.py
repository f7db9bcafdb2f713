"""Telling what the time budgets of subjects left undone."""

from collections.abc import Iterator, Sequence
from typing import Any

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.runner import Result
from maintenance.engine.subject import Subject
from maintenance.errors import BudgetError
from maintenance.policy import Policy

NAMED = 5
"""So many objects the message names; `data` has up to `LISTED`."""

LISTED = 100


def left_over(
    policy: Policy, subjects: Sequence[Subject[Any]], results: Sequence[Result]
) -> Iterator[Finding]:
    """Yield one finding for each subject whose actions did not all fit, the most pressing first."""
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
        f"{name}: {len(left)} actions did not fit into {subject.time_budget(policy)}: {named};"
        " the next run goes on, or give it more time",
        value=len(left),
        threshold=0,
        data={"objects": list(left[:LISTED])},
    )
