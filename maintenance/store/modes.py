"""Approvals of retention, and pauses of a database."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from maintenance.periods import CalendarSpan
from maintenance.policy.modes import Approval, Approvals, Pause
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


def read_pause(connection: Connection, database: str) -> Pause | None:
    """Return the active pause of a database, by the clock of the store; None without one."""
    rows = fetch(connection, "store", "find_pause", {"database": database})
    return Pause(*rows[0]) if rows else None


def begin_pause(
    connection: Connection, database: str, until: datetime | None, reason: str, by: str
) -> None:
    """Pause a database; an active pause is replaced."""
    parameters = {"database": database, "until": until, "reason": reason, "paused_by": by}
    run_statement(connection, "store", "add_pause", parameters)


def end_pause(connection: Connection, database: str, by: str) -> None:
    """End the pause of a database, if there is one."""
    run_statement(connection, "store", "end_pause", {"database": database, "ended_by": by})


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
