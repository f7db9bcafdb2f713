"""The command `explain`: a finding's runbook entry, with the numbers of each case."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from maintenance.cli.options import answer, policy_options
from maintenance.engine.findings import FindingKind, Severity
from maintenance.formatting import visible
from maintenance.names import near
from maintenance.pipeline.explain import Case, Explanation
from maintenance.pipeline.explain import explain as explain_kind
from maintenance.policy import Policy

MOST_SHOWN = 20
"""Number of cases shown in full."""

MOST_FACTS = 12
"""Number of a finding's further facts shown."""

_out = Console(highlight=False)
_STYLES = {Severity.INFO: "cyan", Severity.WARN: "yellow", Severity.ERROR: "bold red"}


def _read_kind(_context: click.Context, _option: click.Parameter, value: str) -> FindingKind:
    known = [kind.value for kind in FindingKind]
    if value not in known:
        guess = ", ".join(near(value, known)) or ", ".join(known)
        raise click.BadParameter(f"{value!r} is no kind of finding; did you mean {guess}?")
    return FindingKind(value)


@click.command()
@click.argument("kind", callback=_read_kind)
@click.argument("name", metavar="[OBJECT]", required=False)
@policy_options
def explain(policies: tuple[Path, ...], as_json: bool, kind: FindingKind, name: str | None) -> None:
    """Explain a finding: what it means, its numbers here, and what to do."""

    def work(policy: Policy) -> Explanation:
        return explain_kind(policy, kind, name)

    answer(policies, as_json, work, _document, _render)


def _document(_policy: Policy, explanation: Explanation) -> dict[str, Any]:
    return {
        "database": explanation.database,
        "kind": explanation.kind.value,
        "entry": explanation.entry,
        "automatic_action": explanation.by_itself,
        "cases": [case.as_json() for case in explanation.cases],
    }


def _render(_policy: Policy, explanation: Explanation) -> None:
    _out.rule(f"[bold]{explanation.database}[/]  {explanation.kind}", align="left")
    for case in explanation.cases[:MOST_SHOWN]:
        _render_case(case)
    n_more = len(explanation.cases) - MOST_SHOWN
    if n_more > 0:
        _out.print(f"… and {n_more:,} more; name one, or see --json")
    if not explanation.cases:
        _out.print("no object has this finding now")
    _out.print()
    from rich.markdown import Markdown  # noqa: PLC0415 - 50 ms, needed by this command alone

    _out.print(Markdown(explanation.entry))


def _render_case(case: Case) -> None:
    finding = case.finding
    _out.print(
        Text.assemble(
            (finding.severity.value, _STYLES[finding.severity]), f" {visible(finding.message)}"
        ),
        soft_wrap=True,
    )
    facts = [case.numbers] if case.numbers else []
    facts += [f"{case.state} since {case.since:%Y-%m-%d %H:%M} UTC"] if case.since else []
    facts += ["no alert is open"] if not case.since else []
    facts.append(f"last seen {case.found_at:%Y-%m-%d %H:%M} UTC")
    facts += [f"{name}: {link}" for name, link in case.links.items()]
    plain = [(k, v) for k, v in finding.data.items() if isinstance(v, str | int | float)]
    facts += [f"{key}: {value}" for key, value in plain[:MOST_FACTS]]
    for fact in facts:
        _out.print(Text(f"  {visible(fact)}"), soft_wrap=True)
