"""The command undo."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import click

from maintenance.cli.options import policy_options
from maintenance.cli.text_output import error_console, render_undone
from maintenance.errors import UsageError
from maintenance.pipeline.undo import LAST, UndoReport
from maintenance.pipeline.undo import undo as undo_run
from maintenance.policy import Policy, load_policies, policy_paths
from maintenance.redaction import redact_values


@click.command()
@policy_options
@click.argument("run")
def undo(policies: tuple[Path, ...], as_json: bool, run: str) -> None:
    """Undo a run: drop the indexes that it made, recreate those it dropped, take conversions back.

    RUN is the id of the run, the beginning of it, or last: the newest run that can be undone.
    """
    report = _undo(load_policies(policy_paths(policies, os.environ)).loaded, run)
    if as_json:
        click.echo(json.dumps(redact_values(report.as_json()), indent=2))
    else:
        render_undone(report)
    raise SystemExit(0 if report.ok else 1)


def _undo(policies: Sequence[Policy], run: str) -> UndoReport:
    """Undo the run on the database that it belongs to.

    Raises:
        UsageError: no database has such a run, or it is not clear which is meant.
    """
    if run == LAST and len(policies) > 1:
        raise UsageError(
            f"undo last: {len(policies)} policies, wanted one", hint="select it with --policy"
        )
    for place, policy in enumerate(policies, 1):
        try:
            return undo_run(policy, run, progress=error_console.print_progress)
        except UsageError as exc:
            if exc.reason != "unknown_run" or place == len(policies):
                raise
    raise UsageError("undo: no policy", hint="select one with --policy")
