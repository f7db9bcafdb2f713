"""The command `history`: what past runs did, from the journal."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from maintenance.cli.options import answer, policy_options, read_moment, read_table
from maintenance.engine.actions import ActionKind
from maintenance.errors import UsageError
from maintenance.formatting import listed, visible
from maintenance.monitoring.work_done import UNFINISHED, WorkDone, WorkLine, fold, look_back
from maintenance.names import QualifiedName, near
from maintenance.policy import Policy, read_moment_near
from maintenance.store.past_actions import Span

DEFAULT_SINCE = "7 days"
DEFAULT_LIMIT = 10_000
MOST_NAMED = 5
"""Number of objects named in one line."""

_out = Console(highlight=False)
_STYLES = {"done": "green", "failed": "bold red", "refused": "bold red", UNFINISHED: "yellow"}


def _read_kind(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    known = [kind.value for kind in ActionKind]
    for value in values:
        if value not in known:
            guess = ", ".join(near(value, known)) or ", ".join(known)
            raise click.BadParameter(f"{value!r} is no kind of action; did you mean {guess}?")
    return values


@click.command()
@policy_options
@click.option(
    "--since",
    default=DEFAULT_SINCE,
    show_default=True,
    help="Start: a duration until now (7 days) or an ISO 8601 time.",
)
@click.option("--until", callback=read_moment, help="End: an ISO 8601 time. Default: now.")
@click.option("--table", callback=read_table, help="Only this table or view.")
@click.option(
    "--kind", "kinds", multiple=True, callback=_read_kind, help="Only this kind; repeatable."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="Maximum number of actions, the newest ones.",
)
def history(
    policies: tuple[Path, ...],
    as_json: bool,
    since: str,
    until: datetime | None,
    table: QualifiedName | None,
    kinds: tuple[str, ...],
    limit: int,
) -> None:
    """Show what past runs did: created, archived, dropped, refreshed, analyzed, failed."""
    end = until or datetime.now(UTC)
    begin = _begin(since)
    if begin >= end:
        raise UsageError(f"--since: {begin:%Y-%m-%d %H:%M} UTC is not before {end:%Y-%m-%d %H:%M}")
    span = Span(begin, end, str(table) if table is not None else None, kinds)

    def work(policy: Policy) -> WorkDone:
        return look_back(policy, span, limit)

    answer(policies, as_json, work, _document, _render)


def _begin(text: str) -> datetime:
    try:
        return read_moment_near(text, datetime.now(UTC), back=True)
    except ValueError as exc:
        raise UsageError(f"--since: {exc}") from exc


def _document(policy: Policy, done: WorkDone) -> dict[str, Any]:
    return {"database": policy.database.name, **done.as_json()}


def _render(policy: Policy, done: WorkDone) -> None:
    """Print one line for many actions of a kind, those that failed first."""
    span = f"{done.span.since:%Y-%m-%d %H:%M} to {done.span.until:%Y-%m-%d %H:%M} UTC"
    _out.rule(f"[bold]{policy.database.name}[/]  {span}", align="left")
    for line in fold(done.actions):
        _out.print(_text(line), soft_wrap=True)
    if not done.actions:
        _out.print("nothing was done")
    for kind, n in done.n_skipped().items():
        _out.print(Text(f"not needed: {kind}, {n:,} times", style="dim"), soft_wrap=True)
    if not done.is_complete:
        more = f"the newest {len(done.actions):,} of {done.n_actions:,} actions; see --limit"
        _out.print(Text(more, style="yellow"), soft_wrap=True)


def _text(line: WorkLine) -> Text:
    names = listed(line.objects, MOST_NAMED)
    facts = "; ".join(line.facts) if not line.is_done else ", ".join(line.facts)
    return Text.assemble(
        (f"{line.at:%Y-%m-%d %H:%M}  ", "dim"),
        (line.verb, _STYLES.get(line.outcome, "")),
        visible(f" {line.what} {names}: {facts}"),
    )
