"""Approvals of retention."""

from collections.abc import Iterable
from typing import Any

from psycopg.types.json import Jsonb

from maintenance.periods import CalendarSpan
from maintenance.policy.approvals import Approval, Approvals, Terms
from maintenance.server.session import Connection, fetch, run_statement


def read_approvals(connection: Connection, database: str) -> Approvals:
    """Return the approved retentions of a database."""
    rows = fetch(connection, "store", "list_approvals", {"database": database})
    return {row.table_name: _approval(row) for row in rows}


def keep_approvals(connection: Connection, database: str, approvals: Iterable[Approval]) -> None:
    """Record approvals, in place of earlier ones of the same tables."""
    rows = [_row(each) for each in approvals]
    if rows:
        parameters = {"database": database, "approvals": Jsonb(rows)}
        run_statement(connection, "store", "replace_approvals", parameters)


def forget_approvals(connection: Connection, database: str, tables: Iterable[str]) -> None:
    """Withdraw the approvals of tables."""
    if named := list(tables):
        parameters = {"database": database, "tables": named}
        run_statement(connection, "store", "forget_approvals", parameters)


def _approval(row: Any) -> Approval:
    keep = CalendarSpan(row.keep_months, row.keep_days)
    grace = CalendarSpan(row.grace_months, row.grace_days)
    terms = Terms(row.action, keep, grace)
    return Approval(row.table_name, terms, row.approved_at, row.approved_by, row.how)


def _row(approval: Approval) -> dict[str, Any]:
    action, keep, grace = approval.terms
    return {
        "table_name": approval.table,
        "action": action,
        "keep_months": keep.months,
        "keep_days": keep.days,
        "grace_months": grace.months,
        "grace_days": grace.days,
        "approved_at": approval.at.isoformat(),
        "approved_by": approval.by,
        "how": approval.how,
    }
