"""The commands `approve`, `pause` and `resume`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from maintenance.cli.options import answer, policy_options, read_moment, read_span, read_table
from maintenance.errors import UsageError
from maintenance.formatting import readable_size, visible
from maintenance.names import QualifiedName
from maintenance.pipeline import approve as approvals
from maintenance.pipeline import pause as pauses
from maintenance.pipeline.approve import Approved, ApproveReport
from maintenance.pipeline.pause import PauseReport
from maintenance.policy import Policy

_out = Console(highlight=False)


@click.command()
@policy_options
@click.option("--table", callback=read_table, help="Approve the retention of this table only.")
def approve(policies: tuple[Path, ...], as_json: bool, table: QualifiedName | None) -> None:
    """Approve that schedules archive, detach and drop by retention."""

    def work(policy: Policy) -> ApproveReport:
        return approvals.approve(policy, table)

    answer(policies, as_json, work, _approve_document, _render_approved)


def _span(context: click.Context, option: click.Parameter, value: str | None) -> timedelta | None:
    return read_span(context, option, value) if value is not None else None


@click.command()
@policy_options
@click.option("--for", "span", callback=_span, help="Length of the pause, such as 4 hours.")
@click.option("--until", callback=read_moment, help="ISO 8601 time at which the pause ends.")
@click.option("--reason", default="", help="Shown wherever the pause is.")
def pause(
    policies: tuple[Path, ...],
    as_json: bool,
    span: timedelta | None,
    until: datetime | None,
    reason: str,
) -> None:
    """Pause: observe and alert, but change nothing until resumed."""
    if span is not None and until is not None:
        raise UsageError("--for and --until can't be combined", hint="give one of them, or none")
    end = datetime.now(UTC) + span if span is not None else until

    def work(policy: Policy) -> PauseReport:
        return pauses.pause(policy, end, reason)

    answer(policies, as_json, work, _pause_document, _render_pause)


@click.command()
@policy_options
def resume(policies: tuple[Path, ...], as_json: bool) -> None:
    """End a pause."""
    answer(policies, as_json, pauses.resume, _pause_document, _render_pause)


def _approve_document(policy: Policy, report: ApproveReport) -> dict[str, Any]:
    del policy
    return {
        "database": report.database,
        "now": report.now.isoformat(),
        "approved": [each.as_json() for each in report.approved],
    }


def _render_approved(policy: Policy, report: ApproveReport) -> None:
    del policy
    if not report.approved:
        _out.print(f"{report.database}: no retention removes partitions, nothing to approve")
    for each in report.approved:
        _out.print(Text(visible(_told(each))), soft_wrap=True)


def _told(each: Approved) -> str:
    approval = each.approval
    state = f"approved before by {approval.by}" if each.was_approved else "approved"
    parts = [f"{approval.table}: {state}: {approval.terms}"]
    if periods := each.due.get("periods"):
        rows = each.due.get("rows")
        counted = f", ~{rows:,} rows" if rows is not None else ""
        known = each.due.get("bytes")
        size = f", {readable_size(known)}" if known is not None else ""
        parts.append(f"the next run retires {', '.join(periods)}{counted}{size}")
    if each.is_reporting:
        parts.append("mode: report in the policy, so nothing is retired until that is changed")
    return "; ".join(parts)


def _pause_document(policy: Policy, report: PauseReport) -> dict[str, Any]:
    del policy
    return report.as_json()


def _render_pause(policy: Policy, report: PauseReport) -> None:
    del policy
    if report.pause is not None:
        state = str(report.pause)
    else:
        state = "resumed" if report.ended is not None else "not paused"
    _out.print(Text(visible(f"{report.database}: {state}")), soft_wrap=True)
