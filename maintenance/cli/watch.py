"""The command `watch`: one sample now, for cron where no Dagster runs."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from maintenance.cli.options import answer, policy_options
from maintenance.engine.findings import Severity
from maintenance.formatting import visible
from maintenance.pipeline import watch as watching
from maintenance.pipeline.watch_report import WatchReport, line_of
from maintenance.policy import Policy

_out = Console(highlight=False)
_STYLES = {Severity.ERROR: "bold red", Severity.WARN: "yellow", Severity.INFO: "dim"}


@click.command()
@policy_options
def watch(policies: tuple[Path, ...], as_json: bool) -> None:
    """Take one sample of connections, locks and lag, and update alerts."""
    answer(policies, as_json, watching.watch, _document, _render)


def _document(policy: Policy, report: WatchReport) -> dict[str, Any]:
    sample = None
    if report.sample is not None:
        sample = {**report.sample._asdict(), "taken_at": report.now.isoformat()}
    return {
        "database": policy.database.name,
        "now": report.now.isoformat(),
        "sample": sample,
        "not_kept": report.not_kept,
        "findings": [finding.as_json() for finding in report.findings],
        "alerts": None if report.round is None else len(report.round.alerts),
    }


def _render(policy: Policy, report: WatchReport) -> None:
    _out.print(Text(visible(f"{policy.database.name}: {line_of(report)}")), soft_wrap=True)
    for finding in report.findings:
        level = (finding.severity.value, _STYLES[finding.severity])
        text = Text.assemble(level, f" {finding.kind}: {visible(finding.message)}")
        _out.print(text, soft_wrap=True)
