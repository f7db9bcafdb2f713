"""The command `status`: everything about one database, or a line for each of many."""

import json
import os
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from maintenance.cli.json_output import status_document
from maintenance.cli.options import answer, policy_options
from maintenance.cli.text_output import plain_table, render_status
from maintenance.formatting import visible
from maintenance.monitoring import Level
from maintenance.monitoring.fleet import HEAD, Fleet, cells, observe_fleet
from maintenance.pipeline import run as pipeline
from maintenance.policy import load_policies, policy_paths
from maintenance.redaction import redact_values

_STYLES = {Level.FINE: "green", Level.TODAY: "yellow", Level.NOW: "bold red"}

_out = Console(highlight=False)


@click.command()
@policy_options
@click.option("--brief", is_flag=True, help="Print one line a database, the worst first.")
def status(policies: tuple[Path, ...], as_json: bool, *, brief: bool) -> None:
    """Show findings, premake horizons and recent runs; change nothing."""
    if not brief:
        answer(policies, as_json, pipeline.status, status_document, render_status)
    fleet = observe_fleet(load_policies(policy_paths(policies, os.environ)))
    if as_json:
        click.echo(json.dumps(redact_values(fleet.as_json()), indent=2))
    else:
        _print(fleet)
    raise SystemExit(0 if fleet.ok else 1)


def _print(fleet: Fleet) -> None:
    shown = plain_table(*HEAD)
    shown.columns[0].no_wrap = True
    for row in fleet.rows:
        shown.add_row(
            *(escape(visible(cell)) for cell in cells(row, fleet.now)), style=_STYLES[row.level]
        )
    _out.print(shown)
