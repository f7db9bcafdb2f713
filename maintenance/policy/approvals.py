"""Approvals of retention: what schedules may carry out, and what an approval covers."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from maintenance.periods import CalendarSpan
from maintenance.policy.models import Policy
from maintenance.policy.partitions import PartitionPolicy, RetentionPolicy

_SEVERITY = {"keep": 0, "detach": 1, "archive_then_drop": 2, "drop": 3}
"""The actions of a retention, the most destructive last."""

_DAYS_A_MONTH = 365.2425 / 12


class Approval(NamedTuple):
    """An approved retention of one table.

    Attributes:
        table: the table's name as PostgreSQL quotes it.
        action, keep, grace: of the policy that was approved.
        by: who approved it: role, user and host.
        how: `approve`, `apply` or `dagster`.
    """

    table: str
    action: str
    keep: CalendarSpan
    grace: CalendarSpan
    at: datetime
    by: str
    how: str

    def covers(self, retention: RetentionPolicy) -> bool:
        """Whether a retention destroys no more, and nothing earlier, than what was approved."""
        return (
            _SEVERITY[retention.action] <= _SEVERITY.get(self.action, 0)
            and _days(retention.keep) >= _days(self.keep)
            and _days(retention.grace) >= _days(self.grace)
        )


Approvals = Mapping[str, Approval]
"""By the table's name as PostgreSQL quotes it."""


def destructive(section: PartitionPolicy) -> RetentionPolicy | None:
    """Return the retention of a table if it removes partitions; None otherwise."""
    retention = section.retention
    return retention if retention is not None and retention.action != "keep" else None


def is_reporting(policy: Policy, section: PartitionPolicy) -> bool:
    """Whether the policy says that the retention of a table is only reported."""
    modes = [policy.database.mode, section.mode]
    return "report" in [*modes, *([section.retention.mode] if section.retention else [])]


def is_approved(policy: Policy, section: PartitionPolicy, approvals: Approvals) -> bool:
    """Whether a schedule may carry out the retention of a table.

    `mode: act`, written in the policy at the database, the table or its retention, approves it.
    """
    retention = destructive(section)
    if retention is None:
        return True
    written = (policy.database, section, retention)
    if any("mode" in each.model_fields_set for each in written):
        return True
    approval = approvals.get(str(section.table))
    return approval is not None and approval.covers(retention)


def withdrawn(policy: Policy, approvals: Approvals) -> Iterator[str]:
    """Yield the approved tables whose retention removes nothing any more.

    Their approval ends, so that a later change back needs a new one.
    """
    current = {str(section.table) for section in policy.partitions if destructive(section)}
    yield from (table for table in approvals if table not in current)


def narrowed(policy: Policy, approvals: Approvals) -> Iterator[Approval]:
    """Yield approvals reduced to a retention that has become less destructive.

    A later change back is more destructive than the current policy, and needs a new approval.
    """
    for section in policy.partitions:
        approval, retention = approvals.get(str(section.table)), destructive(section)
        if approval is None or retention is None or not approval.covers(retention):
            continue
        now = (retention.action, retention.keep, retention.grace)
        if now != (approval.action, approval.keep, approval.grace):
            action, keep, grace = now
            yield approval._replace(action=action, keep=keep, grace=grace)


def _days(span: CalendarSpan) -> float:
    return span.months * _DAYS_A_MONTH + span.days
