"""The command uninstall."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from maintenance.cli.options import answer, policy_options
from maintenance.cli.text_output import error_console
from maintenance.engine.actions import Action
from maintenance.engine.executor import Outcome
from maintenance.errors import UsageError
from maintenance.formatting import counted_noun, readable_size, visible
from maintenance.pipeline.uninstall import UninstallReport
from maintenance.pipeline.uninstall import uninstall as uninstall_from
from maintenance.policy import Policy, load_policies, policy_paths

_out = Console(highlight=False)
_STYLES = {Outcome.DONE: "green", Outcome.SKIPPED: "yellow"}


@click.command()
@policy_options
@click.option("--yes", is_flag=True, help="Remove it; without, it is only shown.")
def uninstall(policies: tuple[Path, ...], as_json: bool, yes: bool) -> None:
    """Show what runs have left in a database, store included; remove it with --yes.

    Tables with rows and archives are never removed: they are listed with what to do by hand.
    """
    if yes:
        _refuse_several(policies)

    def work(policy: Policy) -> UninstallReport:
        return uninstall_from(policy, act=yes, progress=error_console.print_progress)

    answer(policies, as_json, work, _document, _render)


def _refuse_several(policies: tuple[Path, ...]) -> None:
    loaded = load_policies(policy_paths(policies, os.environ))
    n_policies = len(loaded.loaded) + len(loaded.broken)
    if n_policies > 1:
        raise UsageError(
            f"uninstall --yes: {n_policies} policies, wanted one", hint="select it with --policy"
        )


def _document(_policy: Policy, report: UninstallReport) -> dict[str, Any]:
    return report.as_json()


def _render(policy: Policy, report: UninstallReport) -> None:
    _out.rule(f"[bold]{policy.database.name}[/]  uninstall", align="left")
    for line in _lines(report):
        _out.print(line, soft_wrap=True)


def _lines(report: UninstallReport) -> Iterator[Text]:
    if report.is_applied:
        yield from _results(report)
    else:
        yield from _planned(report)
    for kept in report.removal.kept:
        size = f", {readable_size(kept.size_bytes)}" if kept.size_bytes is not None else ""
        style = "bold red" if kept.is_refused else "yellow"
        yield Text.assemble(("kept", style), visible(f" {kept.object}{size}: {kept.reason}"))
        yield from _statements(kept.statements)
    yield Text("stays, for you to decide:", style="bold")
    for each in report.outside:
        yield Text(visible(f"  {each.what}: {each.text}"))
        yield from _statements(each.statements)
    yield _verdict(report)


def _results(report: UninstallReport) -> Iterator[Text]:
    for result in report.results:
        word = "removed" if result.outcome is Outcome.DONE else result.outcome.value
        outcome = (word, _STYLES.get(result.outcome, "bold red"))
        error = f": {result.error}" if result.error else ""
        yield Text.assemble(outcome, visible(f" {_what(result.action)}{error}"))
        yield from _statements(result.action.sql)


def _planned(report: UninstallReport) -> Iterator[Text]:
    for action in report.planned:
        yield Text.assemble(("remove", "bold"), visible(f" {_what(action)}"))
        yield from _statements(action.sql)
    if report.n_to_undo:
        n_runs = counted_noun(report.n_to_undo, "run")
        how = "maintenance history shows them, maintenance undo RUN takes one back"
        yield Text(f"{n_runs} can be undone only before: {how}", style="yellow")


def _what(action: Action) -> str:
    return f"{action.detail['what']} {action.object}: {action.reason}"


def _statements(statements: tuple[str, ...]) -> Iterator[Text]:
    for statement in statements:
        yield Text(f"    {visible(statement)}", style="dim")


def _verdict(report: UninstallReport) -> Text:
    if report.removal.is_refused:
        return Text("not complete: see what is kept and why, then run it again", style="bold red")
    if not report.planned:
        return Text("nothing is left to remove", style="green")
    if not report.is_applied:
        return Text("nothing was changed; stop the schedules, then run it with --yes")
    if report.ok:
        return Text("all of it was removed", style="green")
    return Text("not complete: see what failed, then run it again", style="bold red")
