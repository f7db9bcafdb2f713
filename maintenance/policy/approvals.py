"""Approvals of retention: what schedules may carry out, and what an approval covers."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from maintenance.periods import CalendarSpan
from maintenance.policy.models import Policy
from maintenance.policy.partitions import PartitionPolicy

_SEVERITY = {"keep": 0, "detach": 1, "archive_then_drop": 2, "drop": 3}
"""The actions of a retention, the most destructive last."""

_DAYS_A_MONTH = 365.2425 / 12


class Terms(NamedTuple):
    """Everything that decides what the retention of a table removes, and when."""

    action: str
    keep: CalendarSpan
    grace: CalendarSpan

    def cover(self, other: "Terms") -> bool:
        """Whether other terms destroy no more, and nothing earlier."""
        return (
            _SEVERITY[other.action] <= _SEVERITY.get(self.action, 0)
            and _days(other.keep) >= _days(self.keep)
            and _days(other.grace) >= _days(self.grace)
        )

    def __str__(self) -> str:
        return f"{self.action}, keep {self.keep}"


class Approval(NamedTuple):
    """An approved retention of one table.

    Attributes:
        table: the table's name as PostgreSQL quotes it.
        terms: of the policy that was approved.
        by: who approved it: role, user and host.
        how: `approve`, `apply` or `dagster`.
    """

    table: str
    terms: Terms
    at: datetime
    by: str
    how: str


Approvals = Mapping[str, Approval]
"""By the table's name as PostgreSQL quotes it."""


def terms_of(section: PartitionPolicy) -> Terms | None:
    """Return the terms of a table's retention if it removes partitions; None otherwise."""
    retention = section.retention
    if retention is None or retention.action == "keep":
        return None
    return Terms(retention.action, retention.keep, retention.grace)


def is_reporting(policy: Policy, section: PartitionPolicy) -> bool:
    """Whether the policy says that the retention of a table is only reported."""
    modes = [policy.database.mode, section.mode]
    return "report" in [*modes, *([section.retention.mode] if section.retention else [])]


def is_approved(policy: Policy, section: PartitionPolicy, approvals: Approvals) -> bool:
    """Whether a schedule may carry out the retention of a table.

    `mode: act`, written in the policy at the database, the table or its retention, approves it.
    """
    terms = terms_of(section)
    if terms is None:
        return True
    written = (policy.database, section, section.retention)
    if any(each is not None and "mode" in each.model_fields_set for each in written):
        return True
    approval = approvals.get(str(section.table))
    return approval is not None and approval.terms.cover(terms)


def withdrawn(policy: Policy, approvals: Approvals) -> Iterator[str]:
    """Yield the approved tables whose retention removes nothing any more.

    Their approval ends, so that a later change back needs a new one.
    """
    current = {str(section.table) for section in policy.partitions if terms_of(section)}
    yield from (table for table in approvals if table not in current)


def narrowed(policy: Policy, approvals: Approvals) -> Iterator[Approval]:
    """Yield approvals reduced to a retention that has become less destructive.

    A later change back is more destructive than the current policy, and needs a new approval.
    """
    for section in policy.partitions:
        approval, terms = approvals.get(str(section.table)), terms_of(section)
        if approval is None or terms is None or terms == approval.terms:
            continue
        if approval.terms.cover(terms):
            yield approval._replace(terms=terms)


def _days(span: CalendarSpan) -> float:
    return span.months * _DAYS_A_MONTH + span.days
