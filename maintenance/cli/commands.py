"""The commands. Standard output is the answer; progress and errors go to standard error."""

import json
import os
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import click

from maintenance.cli.alerts import alerts, notify
from maintenance.cli.batch import policy_of
from maintenance.cli.json_output import (
    applied_document,
    check_document,
    plan_document,
    status_document,
)
from maintenance.cli.metrics import metrics
from maintenance.cli.options import (
    FILE,
    NOW,
    ONLY,
    answer,
    policy_options,
    read_span,
    read_table,
)
from maintenance.cli.text_output import (
    error_console,
    render_applied,
    render_check,
    render_plan,
    render_restored,
    render_status,
)
from maintenance.engine.saved_plan import ReviewedPlan, read_reviewed
from maintenance.engine.scope import Request
from maintenance.errors import MaintenanceError, UsageError
from maintenance.names import QualifiedName
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.restore import restore_period
from maintenance.pipeline.run import Report
from maintenance.policy import (
    Policy,
    json_schema,
    load_policies,
    policy_paths,
)

LARGEST_PLAN = 256_000_000
"""Bytes of a saved plan; that of 10,000 partitions has about 20 million."""

PLAN_FILE = click.Path(path_type=Path)

CLOCK_OVERRIDE = "MAINTENANCE_ALLOW_CLOCK_OVERRIDE"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("maintenance"))
def cli() -> None:
    """Keeps PostgreSQL databases healthy with nobody watching."""


def main() -> None:
    """Run the command line; a mistake of the user's is one message, never a traceback."""
    cli()


@cli.command()
@policy_options
@click.option("--schema", is_flag=True, help="Print the policy's JSON Schema for editors.")
def check(policies: tuple[Path, ...], as_json: bool, schema: bool) -> None:
    """Read the policy, connect, report what does not fit; change nothing."""
    if schema:
        click.echo(json.dumps(json_schema(), indent=2))
        return
    answer(policies, as_json, pipeline.check, check_document, render_check)


@cli.command()
@policy_options
@ONLY
@NOW
@click.option("--out", type=FILE, help="Save the plan, to be reviewed and applied later.")
def plan(
    policies: tuple[Path, ...],
    as_json: bool,
    only: tuple[str, ...],
    now: datetime | None,
    out: Path | None,
) -> None:
    """Dry run: show actions with their SQL and locks, and findings; change nothing."""

    def work(policy: Policy) -> Report:
        report = pipeline.plan(policy, now=now, only=only)
        if out is not None:
            _save(out, policy, report, only)
        return report

    answer(policies, as_json, work, plan_document, render_plan)


@cli.command()
@policy_options
@ONLY
@NOW
@click.option("--table", callback=read_table, help="Only this table.")
@click.option("--period", "periods", multiple=True, help="This period, such as 2025-03.")
@click.option("--plan", "plan_file", type=PLAN_FILE, help="Exactly what this saved plan says.")
def apply(
    policies: tuple[Path, ...],
    as_json: bool,
    only: tuple[str, ...],
    now: datetime | None,
    table: QualifiedName | None,
    periods: tuple[str, ...],
    plan_file: Path | None,
) -> None:
    """Do what plan shows, and report what stands afterwards."""
    if now is not None and os.environ.get(CLOCK_OVERRIDE) != "1":
        raise UsageError(
            "apply --now: refused, the horizon would be counted from a moment that is not now",
            hint=f"for tests only: set {CLOCK_OVERRIDE}=1",
        )
    if periods and table is None:
        raise UsageError("--period without --table", hint="name the table that is to have it")

    reviewed = _reviewed(plan_file, only, table) if plan_file is not None else None

    def work(policy: Policy) -> Report:
        if reviewed is not None and reviewed.database != policy.database.name:
            raise UsageError(
                f"{plan_file}: a plan for {reviewed.database}, found {policy.database.name}",
                hint="name that database's policy with --policy",
            )
        return pipeline.apply(
            policy,
            now=now,
            only=reviewed.only if reviewed is not None else only,
            request=Request(table, periods),
            reviewed=reviewed,
            progress=error_console.print_progress,
        )

    answer(policies, as_json, work, applied_document, render_applied)


@cli.command()
@policy_options
def status(policies: tuple[Path, ...], as_json: bool) -> None:
    """Show findings, horizons and the newest runs; change nothing."""
    answer(policies, as_json, pipeline.status, status_document, render_status)


@cli.command()
@policy_options
@click.option("--table", callback=read_table, required=True, help="The partitioned table.")
@click.option("--period", required=True, help="The archived period, such as 2024-01.")
@click.option("--as", "into", callback=read_table, help="Restore into a table of its own.")
@click.option(
    "--hold",
    callback=read_span,
    default="30 days",
    show_default=True,
    help="How long retention leaves the restored period alone.",
)
@click.option("--from", "url", help="Where the archives are; default: the policy's archive url.")
def restore(
    policies: tuple[Path, ...],
    as_json: bool,
    table: QualifiedName,
    period: str,
    into: QualifiedName | None,
    hold: timedelta,
    url: str | None,
) -> None:
    """Bring an archived period back, verified: attached, or as a table of its own."""
    policy = policy_of(load_policies(policy_paths(policies, os.environ)), table)
    report = restore_period(
        policy,
        table,
        period,
        into=into,
        hold=hold,
        url=url,
        progress=error_console.print_progress,
    )
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        render_restored(report)


@cli.command()
@policy_options
@click.option("--matview", callback=read_table, required=True, help="The materialized view.")
def rebuild(policies: tuple[Path, ...], as_json: bool, matview: QualifiedName) -> None:
    """Replace a drifted view by its definition; it is never absent."""
    policy = policy_of(load_policies(policy_paths(policies, os.environ)), matview)

    def work(policy: Policy) -> Report:
        return pipeline.apply(
            policy,
            only=("matviews",),
            request=Request(matview, rebuild=True),
            progress=error_console.print_progress,
        )

    answer((policy.path,), as_json, work, applied_document, render_applied)


@cli.command()
@click.option("--once", is_flag=True, help="Run the main job, show what it did, and stop.")
@click.option("--port", default=3000, show_default=True, help="Where the Dagster UI is served.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".demo"),
    show_default=True,
    help="Folder for the servers' data; delete it to begin anew.",
)
def demo(once: bool, port: int, data: Path) -> None:
    """Start PostgreSQL, sample data and Dagster here, and run the main job."""
    from maintenance.demo.main import run_demo  # noqa: PLC0415 - loads the demo's servers

    try:
        run_demo(data=data, once=once, port=port)
    except MaintenanceError as exc:
        error_console.print_error(exc)
        raise SystemExit(exc.exit_code) from exc


def _save(out: Path, policy: Policy, report: Report, only: tuple[str, ...]) -> None:
    actions = tuple(action.as_json() for action in report.plan.actions)
    document = ReviewedPlan(policy.database.name, policy.hash, only, actions).as_json()
    try:
        out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    except OSError as exc:
        raise UsageError(f"{out}: {exc.strerror}, wanted a file to write") from exc


def _reviewed(file: Path, only: tuple[str, ...], table: QualifiedName | None) -> ReviewedPlan:
    if only or table is not None:
        raise UsageError("--plan says all: leave out --only, --table and --period")
    try:
        if not file.is_file():  # to open a FIFO would wait for whoever writes to it
            raise UsageError(f"{file}: found no regular file, wanted a saved plan")
        if file.stat().st_size > LARGEST_PLAN:
            raise UsageError(f"{file}: found more than {LARGEST_PLAN:,} bytes, wanted a saved plan")
        return read_reviewed(file.read_text("utf-8"), str(file))
    except (OSError, ValueError) as exc:
        raise UsageError(f"{file}: can't be read as UTF-8 text, wanted a saved plan") from exc


for command in (alerts, metrics, notify):
    cli.add_command(command)
