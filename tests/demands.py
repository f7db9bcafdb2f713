"""What the plans of the example systems ask for, and the page that says what of it is served.

`python -m tests.demands` writes docs/systems.md from docs/systems/demands.yaml.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
import yaml

from maintenance.cli.commands import cli

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "docs/systems/demands.yaml"
PAGE = ROOT / "docs/systems.md"
COMMAND = "maintenance"
_WORDS = {True: "yes", False: "no"}
"""YAML reads yes and no as truth values."""


class State(StrEnum):
    """How far a demand is served, with the words of the page."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"
    OUT_OF_SCOPE = "out of scope"


@dataclass(frozen=True)
class Demand:
    """What one plan asks for.

    Attributes:
        id: system and name, with a slash between.
        demand: what is asked for, in one sentence.
        capability: one of the list in the file.
        served: yes, partly or no; None where it is out of scope.
        proof: tests, commands and sections of pages.
        missing: what is not there, where it is not served whole.
        note: how it is served, where that is not as the plan has it.
        out_of_scope: why it concerns application code or people only.
    """

    id: str
    demand: str
    capability: str
    served: str | None = None
    proof: tuple[str, ...] = ()
    missing: str = ""
    note: str = ""
    out_of_scope: str = ""

    @property
    def system(self) -> str:
        """The system whose plan it is of."""
        return self.id.partition("/")[0]

    @property
    def state(self) -> State:
        """How far it is served."""
        return State.OUT_OF_SCOPE if self.served is None else State(self.served)


def load() -> tuple[Sequence[str], Sequence[Demand]]:
    """Return the capabilities in their order, and all demands.

    Raises:
        TypeError: an entry has a key that is not known, or lacks one.
    """
    document = yaml.safe_load(SOURCE.read_text())
    found = [_read(entry) for entries in document["demands"].values() for entry in entries]
    return document["capabilities"], found


def _read(entry: dict[str, Any]) -> Demand:
    proof, served = entry.pop("proof", ()), entry.pop("served", None)
    return Demand(
        **entry,
        proof=(proof,) if isinstance(proof, str) else tuple(proof),
        served=_WORDS.get(served, served),
    )


# Proofs


def is_test(proof: str) -> bool:
    """Whether a proof is a test of the suite."""
    return "::" in proof


def is_command(proof: str) -> bool:
    """Whether a proof is a command."""
    return proof.startswith(f"{COMMAND} ")


def fault_of_test(proof: str) -> str | None:
    """Return why a test does not run with `make test`; None if it does."""
    path, _, name = proof.partition("::")
    if not (ROOT / path).is_file() or not Path(path).name.startswith("test_"):
        return f"no tests in {path}"
    statements = ast.parse((ROOT / path).read_text()).body
    functions = [each for each in statements if isinstance(each, ast.FunctionDef)]
    found = next((each for each in functions if each.name == name), None)
    if found is None or not name.startswith("test_"):
        return f"no test {name}"
    marks = [*found.decorator_list, *_marks_of_all(statements)]
    left_out = [each for each in map(ast.unparse, marks) if re.search(_LEFT_OUT, each)]
    return f"not always run: {left_out[0]}" if left_out else None


_LEFT_OUT = r"\bmark\.(slow|skip|skipif|xfail)\b"


def _marks_of_all(statements: Iterable[ast.stmt]) -> Iterator[ast.expr]:
    """Yield the marks of all tests of a file."""
    for each in statements:
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "pytestmark":
            yield each.value


def fault_of_command(proof: str) -> str | None:
    """Return why a command line is not one of `maintenance`; None if it is."""
    command: click.Command = cli
    arguments = 0
    for word in proof.split()[1:]:
        if isinstance(command, click.Group):
            named = command.get_command(click.Context(command), word)
            if named is None:
                return f"no command {word}"
            command = named
        elif word.startswith("-"):
            if not any(word in each.opts for each in command.params):
                return f"no option {word}"
        else:
            arguments += 1
    wanted = sum(isinstance(each, click.Argument) for each in command.params)
    return "no such argument" if arguments > wanted else None


def fault_of_page(proof: str) -> str | None:
    """Return why a section of a page is none; None if it is there."""
    path, _, anchor = proof.partition("#")
    page = ROOT / path
    if not page.is_file():
        return f"no page {path}"
    return None if anchor in headings(page.read_text()) else f"no heading {anchor}"


_BLOCK = re.MULTILINE | re.DOTALL


def headings(text: str) -> dict[str, str]:
    """Return the headings of a page by their anchors."""
    found = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=_BLOCK), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-"): each for each in found}


# The page

_INTRODUCTION = """\
<!-- Made from systems/demands.yaml by `.venv/bin/python -m tests.demands`; do not edit. -->
# What the example systems ask for

The plans of five applications ask for {n_demands} things of their databases. Each is listed with
what proves that it is served: a test of the suite, a command, a section of a page. A test fails if
a proof that is named does not exist. The tests that are named run in the same suite, so a demand
whose proof fails, fails the suite. {n_out} further ones concern application code or people only.

Each cell has the number of demands **served / partly / not**.
"""


def render(capabilities: Sequence[str], demands: Sequence[Demand]) -> str:
    """Return the page as Markdown."""
    systems = list(dict.fromkeys(each.system for each in demands))
    asked = [each for each in demands if each.state is not State.OUT_OF_SCOPE]
    text = _INTRODUCTION.format(n_demands=len(asked), n_out=len(demands) - len(asked))
    lines = [text, *_table(capabilities, systems, asked)]
    for system in systems:
        lines += ["", f"## {system}", ""]
        own = [each for each in demands if each.system == system]
        states = Counter(each.state for each in own)
        sums = ", ".join(f"{states[state]} {_SAID[state]}" for state in State)
        lines += [f"{sums}. Details: [{system}](systems/{system}.md).", ""]
        lines += [
            "| capability | id | demand | served | proof, or what is missing |",
            "|---" * 5 + "|",
        ]
        order = sorted(own, key=lambda each: capabilities.index(each.capability))
        lines += [_row(each) for each in order]
    return "\n".join(lines) + "\n"


_SAID = {
    State.YES: "served",
    State.PARTLY: "partly",
    State.NO: "not",
    State.OUT_OF_SCOPE: "out of scope",
}


def _table(
    capabilities: Sequence[str], systems: Sequence[str], asked: Sequence[Demand]
) -> Iterator[str]:
    yield f"| | {' | '.join(systems)} | all |"
    yield "|---|" + "---|" * (len(systems) + 1)
    for capability in capabilities:
        of = [each for each in asked if each.capability == capability]
        if of:
            yield f"| {capability} | {_cells(systems, of)} |"
    yield f"| **all** | {_cells(systems, asked)} |"


def _cells(systems: Sequence[str], demands: Sequence[Demand]) -> str:
    by_system = [_counts(each for each in demands if each.system == name) for name in systems]
    return " | ".join([*by_system, _counts(demands)])


def _counts(demands: Iterable[Demand]) -> str:
    states = Counter(each.state for each in demands)
    if not states:
        return ""
    return f"{states[State.YES]} / {states[State.PARTLY]} / {states[State.NO]}"


def _row(demand: Demand) -> str:
    said = [demand.missing, demand.note, demand.out_of_scope, *map(_link, demand.proof)]
    text = " · ".join(filter(None, said))
    name = demand.id.partition("/")[2]
    return f"| {demand.capability} | `{name}` | {demand.demand} | {_SAID[demand.state]} | {text} |"


def _link(proof: str) -> str:
    if is_command(proof):
        return f"`{proof}`"
    if is_test(proof):
        path, _, name = proof.partition("::")
        return f"[{name}](../{path})"
    path, _, anchor = proof.partition("#")
    heading = headings((ROOT / path).read_text()).get(anchor, anchor)
    return f"[{Path(path).stem}: {heading}]({path.removeprefix('docs/')}#{anchor})"


if __name__ == "__main__":
    PAGE.write_text(render(*load()))
