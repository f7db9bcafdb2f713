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
from maintenance.pipeline.run import Report
from maintenance.policy import Policy, StatisticsPolicy, load_policies, policy_paths

TABLE = click.option(
    "--table", callback=read_table, required=True, help="Any table of the database."
)


@click.command()
@policy_options
@TABLE
def analyze(policies: tuple[Path, ...], as_json: bool, table: QualifiedName) -> None:
    """Analyze one table now, with its partitions, whether it is due or not."""
    _keep_up(policies, as_json, Request(table, forced=True))


@click.command()
@policy_options
@TABLE
def vacuum(policies: tuple[Path, ...], as_json: bool, table: QualifiedName) -> None:
    """Vacuum and analyze one table now, with its partitions; blocks no reader or writer."""
    _keep_up(policies, as_json, Request(table, forced=True, vacuum=True))


def _keep_up(policies: tuple[Path, ...], as_json: bool, request: Request) -> None:
    assert request.table is not None, "the option is required"
    policy = policy_of(load_policies(policy_paths(policies, os.environ)), request.table)

    def work(policy: Policy) -> Report:
        return pipeline.apply(
            _with_statistics(policy),
            only=("statistics",),
            request=request,
            progress=error_console.print_progress,
        )

    answer((policy.path,), as_json, work, applied_document, render_applied)


def _with_statistics(policy: Policy) -> Policy:
    """Return a policy with the section of statistics, with its defaults if it has none."""
    if policy.statistics is not None:
        return policy
    return policy.model_copy(update={"statistics": StatisticsPolicy()})


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
