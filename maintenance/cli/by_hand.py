"""The commands `analyze`, `vacuum` and `refresh`: upkeep by hand, due or not."""

import os
from pathlib import Path

import click

from maintenance.cli.batch import policy_of
from maintenance.cli.json_output import applied_document
from maintenance.cli.options import answer, policy_options, read_table
from maintenance.cli.text_output import error_console, render_applied
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.by_hand import keep_up
from maintenance.pipeline.run import Report
from maintenance.policy import Policy, load_policies, policy_paths

TABLE = click.option(
    "--table", callback=read_table, required=True, help="Any table of the database."
)


@click.command()
@policy_options
@TABLE
def analyze(policies: tuple[Path, ...], as_json: bool, table: QualifiedName) -> None:
    """Analyze one table now, with its partitions, whether it is due or not."""
    _keep_up(policies, as_json, table, vacuum=False)


@click.command()
@policy_options
@TABLE
def vacuum(policies: tuple[Path, ...], as_json: bool, table: QualifiedName) -> None:
    """Vacuum and analyze one table now, with its partitions; blocks no reader or writer."""
    _keep_up(policies, as_json, table, vacuum=True)


def _keep_up(
    policies: tuple[Path, ...], as_json: bool, table: QualifiedName, *, vacuum: bool
) -> None:
    policy = policy_of(load_policies(policy_paths(policies, os.environ)), table)

    def work(policy: Policy) -> Report:
        return keep_up(policy, table, vacuum=vacuum, progress=error_console.print_progress)

    answer((policy.path,), as_json, work, applied_document, render_applied)


@click.command()
@policy_options
@click.option("--matview", callback=read_table, help="Refresh this materialized view only.")
@click.option("--force", is_flag=True, help="Also where nothing has changed since the last time.")
def refresh(
    policies: tuple[Path, ...], as_json: bool, matview: QualifiedName | None, force: bool
) -> None:
    """Refresh the materialized views of the policy now, in the order in which they read others."""
    if matview is not None:
        policies = (policy_of(load_policies(policy_paths(policies, os.environ)), matview).path,)

    def work(policy: Policy) -> Report:
        return pipeline.apply(
            policy,
            only=("matviews",),
            request=Request(matview, forced=force),
            progress=error_console.print_progress,
        )

    answer(policies, as_json, work, applied_document, render_applied)
