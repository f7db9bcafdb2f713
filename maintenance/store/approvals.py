"""Approvals of retention."""

from collections.abc import Iterable
from typing import Any

from psycopg.types.json import Jsonb

from maintenance.periods import CalendarSpan
from maintenance.policy.approvals import Approval, Approvals
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
    return Approval(
        row.table_name, row.action, keep, grace, row.approved_at, row.approved_by, row.how
    )


def _row(approval: Approval) -> dict[str, Any]:
    return {
        "table_name": approval.table,
        "action": approval.action,
        "keep_months": approval.keep.months,
        "keep_days": approval.keep.days,
        "grace_months": approval.grace.months,
        "grace_days": approval.grace.days,
        "approved_at": approval.at.isoformat(),
        "approved_by": approval.by,
        "how": approval.how,
    }
