"""Approval of the retention of tables, so that a schedule may carry it out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from maintenance.engine.findings import Finding, FindingKind
from maintenance.engine.scope import Request
from maintenance.engine.target import Target
from maintenance.errors import UsageError
from maintenance.names import QualifiedName
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.gate import approval_of, who
from maintenance.policy import PartitionPolicy, Policy
from maintenance.policy.approvals import Approval, is_reporting, terms_of
from maintenance.store import migrate
from maintenance.store.approvals import keep_approvals, read_approvals


@dataclass(frozen=True, slots=True)
class Approved:
    """The approved retention of one table.

    Attributes:
        due: facts about what the next run would retire; empty if nothing is due, or if it was
            approved before.
        was_approved: whether the same retention was approved before.
        is_reporting: whether the policy says `mode: report`, so that nothing is retired all the
            same.
    """

    approval: Approval
    due: Mapping[str, Any]
    was_approved: bool
    is_reporting: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as the command line prints it."""
        approval = self.approval
        return {
            "table": approval.table,
            **{name: str(value) for name, value in approval.terms._asdict().items()},
            "approved_at": approval.at.isoformat(),
            "approved_by": approval.by,
            "was_approved": self.was_approved,
            "report_mode": self.is_reporting,
            "due": dict(self.due),
        }


@dataclass(frozen=True, slots=True)
class ApproveReport:
    """What was approved on one database."""

    database: str
    now: datetime
    approved: tuple[Approved, ...]

    @property
    def ok(self) -> bool:
        """Always true: an approval that fails is an error."""
        return True


def approve(
    on: Policy | Target,
    table: QualifiedName | None = None,
    *,
    how: str = "approve",
) -> ApproveReport:
    """Approve the retention of a table, or of all tables that have a destructive one.

    Args:
        on: the database: its policy, or a target that has variables of its own.
        table: only this table; all if None.
        how: `approve` from the command line, `dagster` from a job.

    Raises:
        UsageError: the table has no retention that removes partitions.
        UnreachableError, MaintenanceError: as `pipeline.plan`; or the store can't be created.
    """
    target = Target.of(on)
    policy = target.policy
    sections = _sections(policy, table)
    now = datetime.now(UTC)
    if not sections:
        return ApproveReport(policy.database.name, now, ())
    report = pipeline.plan(target, only=["retention"], request=Request(table))
    waiting = {f.object: f for f in report.findings if f.kind is FindingKind.RETENTION_UNAPPROVED}
    name = policy.database.name
    with target.store() as store:
        migrate(store)
        by, known = who(store), read_approvals(store, name)
        approved = tuple(_approved(policy, sections, waiting, known, by, how))
        keep_approvals(store, name, [each.approval for each in approved if not each.was_approved])
    return ApproveReport(name, now, approved)


def _sections(policy: Policy, table: QualifiedName | None) -> list[PartitionPolicy]:
    found = [each for each in policy.partitions if terms_of(each) is not None]
    if table is None:
        return found
    named = [each for each in found if each.table == table]
    if not named:
        listed = ", ".join(str(each.table) for each in found) or "none"
        raise UsageError(
            f"{table}: policy {policy.database.name} has no retention of this table that removes"
            " partitions, so there is nothing to approve",
            hint=f"tables with such a retention: {listed}",
        )
    return named


def _approved(
    policy: Policy,
    sections: list[PartitionPolicy],
    waiting: Mapping[str, Finding],
    known: Mapping[str, Approval],
    by: str,
    how: str,
) -> Iterator[Approved]:
    for section in sections:
        terms, earlier = terms_of(section), known.get(str(section.table))
        assert terms is not None, "sections whose retention removes nothing are left out"
        was_approved = earlier is not None and earlier.terms.cover(terms)
        new = approval_of(section, terms, by, how)
        due = waiting.get(str(section.table))
        yield Approved(
            earlier if earlier is not None and was_approved else new,
            due.data if due is not None else {},
            was_approved,
            is_reporting(policy, section),
        )
