"""The commands. Results go to standard output; progress and errors to standard error."""

import json
import os
import signal
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType

import click

from maintenance.cli.batch import policy_of
from maintenance.cli.json_output import (
    applied_document,
    check_document,
    plan_document,
)
from maintenance.cli.options import (
    FILE,
    NOW,
    ONLY,
    SCHEDULED,
    WAVES,
    answer,
    policy_options,
    read_span,
    read_table,
)
from maintenance.cli.text_output import (
    PlanDetail,
    error_console,
    render_applied,
    render_check,
    render_plan,
    render_restored,
)
from maintenance.engine.gate import Origin
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
"""Maximum size of a saved plan in bytes; a plan for 10,000 partitions has about 20 million."""

PLAN_FILE = click.Path(path_type=Path)

CLOCK_OVERRIDE = "MAINTENANCE_ALLOW_CLOCK_OVERRIDE"


COMMANDS = {
    "alerts": "alerts",
    "analyze": "by_hand",
    "approve": "modes",
    "explain": "explain",
    "history": "history",
    "init": "init",
    "metrics": "metrics",
    "notify": "alerts",
    "pause": "modes",
    "refresh": "by_hand",
    "resume": "modes",
    "status": "status",
    "undo": "undo",
    "uninstall": "uninstall",
    "vacuum": "by_hand",
    "watch": "watch",
}
"""Commands of other modules, each with its module; loaded when the command is used."""


class Commands(click.Group):
    """A group that loads a command when it is used: most of a short command is imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name, None if there is none."""
        if cmd_name in COMMANDS:
            return getattr(import_module(f"maintenance.cli.{COMMANDS[cmd_name]}"), cmd_name)
        return super().get_command(ctx, cmd_name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="maintenance")
def cli() -> None:
    """Unattended PostgreSQL maintenance."""


def main() -> None:
    """Run the command line; a usage error is printed as one message, without a traceback.

    SIGTERM, with which schedulers end a process, ends it as Ctrl-C does, and cleans up.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        cli()
    except SystemExit as end:
        if end.code == _TERMINATED:  # so that a scheduler sees the signal that it sent
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)
        raise


_TERMINATED = 128 + signal.SIGTERM


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(_TERMINATED)


@cli.command()
@policy_options
@click.option("--schema", is_flag=True, help="Print the JSON Schema of policy files, for editors.")
def check(policies: tuple[Path, ...], as_json: bool, schema: bool) -> None:
    """Check the policy against the database; change nothing."""
    if schema:
        click.echo(json.dumps(json_schema(), indent=2))
        return
    answer(policies, as_json, pipeline.check, check_document, render_check)


@cli.command()
@policy_options
@ONLY
@WAVES
@NOW
@SCHEDULED
@click.option("--out", type=FILE, help="Save the plan to this file, for review and apply --plan.")
@click.option("--brief", is_flag=True, help="Print one line an action, without statements.")
@click.option("--sql", is_flag=True, help="Print every statement, also the DO blocks around them.")
def plan(
    policies: tuple[Path, ...],
    as_json: bool,
    only: tuple[str, ...],
    waves: tuple[int, ...],
    now: datetime | None,
    out: Path | None,
    *,
    scheduled: bool,
    brief: bool,
    sql: bool,
) -> None:
    """Dry run: show actions with SQL and locks, and findings."""
    if brief and sql:
        raise UsageError("--brief can't be combined with --sql", hint="use one of them")
    detail = PlanDetail.BRIEF if brief else PlanDetail.SQL if sql else PlanDetail.USUAL

    def work(policy: Policy) -> Report:
        report = pipeline.plan(
            policy, now=now, only=only, request=Request(waves=waves), origin=_origin(scheduled)
        )
        if out is not None:
            _save(out, policy, report, only)
        return report

    answer(policies, as_json, work, plan_document, partial(render_plan, detail=detail))


@cli.command()
@policy_options
@ONLY
@WAVES
@NOW
@click.option("--table", callback=read_table, help="Work on this table only.")
@click.option(
    "--period", "periods", multiple=True, help="Period to create, such as 2025-03; repeatable."
)
@click.option("--plan", "plan_file", type=PLAN_FILE, help="Apply exactly this saved plan.")
@click.option("--again", is_flag=True, help="Carry out again what was undone.")
@SCHEDULED
def apply(
    policies: tuple[Path, ...],
    as_json: bool,
    only: tuple[str, ...],
    waves: tuple[int, ...],
    now: datetime | None,
    table: QualifiedName | None,
    periods: tuple[str, ...],
    plan_file: Path | None,
    again: bool,
    scheduled: bool,
) -> None:
    """Apply what plan shows, then report the remaining findings."""
    if now is not None and os.environ.get(CLOCK_OVERRIDE) != "1":
        raise UsageError(
            "apply --now: refused: partitions would be created relative to a false current time",
            hint=f"for tests only, set {CLOCK_OVERRIDE}=1",
        )
    if periods and table is None:
        raise UsageError("--period requires --table", hint="add --table NAME")
    if scheduled and plan_file is not None:
        raise UsageError(
            "--plan can't be combined with --scheduled",
            hint="omit --scheduled: somebody has read this plan",
        )

    reviewed = _reviewed(plan_file, only, table) if plan_file is not None else None

    def work(policy: Policy) -> Report:
        if reviewed is not None and reviewed.database != policy.database.name:
            raise UsageError(
                f"{plan_file}: this plan is for database {reviewed.database},"
                f" but the policy is for {policy.database.name}",
                hint="select that database's policy with --policy",
            )
        return pipeline.apply(
            policy,
            now=now,
            only=reviewed.only if reviewed is not None else only,
            request=Request(table, periods, again=again, waves=waves),
            reviewed=reviewed,
            progress=error_console.print_progress,
            origin=_origin(scheduled),
        )

    answer(policies, as_json, work, applied_document, render_applied)


def _origin(scheduled: bool) -> Origin:
    return Origin.SCHEDULED if scheduled else Origin.COMMAND


@cli.command()
@policy_options
@click.option("--table", callback=read_table, required=True, help="Partitioned table.")
@click.option("--period", required=True, help="Archived period, such as 2024-01.")
@click.option("--as", "into", callback=read_table, help="Restore into a new table of this name.")
@click.option(
    "--hold",
    callback=read_span,
    default="30 days",
    show_default=True,
    help="Exclude the restored partition from retention for this long.",
)
@click.option("--from", "url", help="Archive location. Default: archive url of the policy.")
def restore(
    policies: tuple[Path, ...],
    as_json: bool,
    table: QualifiedName,
    period: str,
    into: QualifiedName | None,
    hold: timedelta,
    url: str | None,
) -> None:
    """Restore an archived period and verify every row."""
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
@click.option("--matview", callback=read_table, required=True, help="Materialized view to rebuild.")
def rebuild(policies: tuple[Path, ...], as_json: bool, matview: QualifiedName) -> None:
    """Rebuild a materialized view from its SQL file."""
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
@click.option("--once", is_flag=True, help="Run the main job, print the results and stop.")
@click.option("--port", default=3000, show_default=True, help="Port of the Dagster UI.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".demo"),
    show_default=True,
    help="Data directory of the demo servers; delete it to start from scratch.",
)
@click.option(
    "--system",
    "names",
    multiple=True,
    metavar="NAME",
    help="Example system, such as nova; may be repeated. Default: all five.",
)
def demo(once: bool, port: int, data: Path, names: tuple[str, ...]) -> None:
    """Run the local demo: PostgreSQL, sample data and Dagster."""
    from maintenance.demo.main import run_demo  # noqa: PLC0415 - loads the demo's servers

    try:
        run_demo(data=data, names=names, once=once, port=port)
    except MaintenanceError as exc:
        error_console.print_error(exc)
        raise SystemExit(exc.exit_code) from exc


def _save(out: Path, policy: Policy, report: Report, only: tuple[str, ...]) -> None:
    actions = tuple(action.as_json() for action in report.plan.actions)
    document = ReviewedPlan(policy.database.name, policy.hash, only, actions).as_json()
    try:
        out.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    except OSError as exc:
        raise UsageError(f"{out}: can't be written: {exc.strerror}") from exc


def _reviewed(file: Path, only: tuple[str, ...], table: QualifiedName | None) -> ReviewedPlan:
    if only or table is not None:
        raise UsageError("--plan can't be combined with --only, --table or --period")
    try:
        if not file.is_file():  # opening a FIFO would block until it has a writer
            raise UsageError(f"{file}: not a regular file, wanted a saved plan")
        if file.stat().st_size > LARGEST_PLAN:
            raise UsageError(f"{file}: larger than {LARGEST_PLAN:,} bytes, wanted a saved plan")
        return read_reviewed(file.read_text("utf-8"), str(file))
    except (OSError, ValueError) as exc:
        raise UsageError(f"{file}: not readable as UTF-8 text, wanted a saved plan") from exc
