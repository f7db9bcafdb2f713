"""YAML text as nodes, each with its line and column; what is no YAML as problems."""

import re
from typing import cast

import yaml
from yaml.events import Event
from yaml.reader import Reader

from maintenance.errors import Problem

_MAX_DEPTH = 50
"""Far deeper than any policy; keeps a hostile file from exhausting the stack."""

_MAX_SHOWN = 60
_SECRET = re.compile(r"(://|password=).*", re.DOTALL | re.IGNORECASE)


class NotYamlError(Exception):
    """A text that can't be composed; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class _Loader(yaml.SafeLoader):
    """Composes nodes down to a limited depth."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            event = cast("Event", self.peek_event())  # pyright: ignore[reportUnknownMemberType]
            mark = cast("yaml.Mark", event.start_mark)
            raise yaml.MarkedYAMLError(problem="very deep nesting", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def compose(text: str, file: str) -> yaml.Node | None:
    """Return the root node of a text's only document; None if there is none.

    Raises:
        NotYamlError: the text is no YAML, or more than one document.
    """
    if match := Reader.NON_PRINTABLE.search(text):
        line, column = line_and_column(text[: match.start()])
        found = f"the character U+{ord(match[0]):04X}"
        raise NotYamlError(Problem(file, line, column, "", found, "printable text"))
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise NotYamlError(_syntax_problem(file, error)) from None
    finally:
        loader.dispose()


def line_and_column(before: str) -> tuple[int, int]:
    """Return where the character behind a text stands, both from 1."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _syntax_problem(file: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    # Names of aliases and tags may be passwords that lack quotes; single characters help.
    found = re.sub(r"'[^']{3,}'", "…", error.problem or "an error")
    hint = "indent with spaces" if "\\t" in found else error.context or ""
    return Problem(file, line, column, "", found, "YAML", hint)


def shown(node: yaml.Node) -> str:
    """Return a value as the file has it, short, with the inside of urls left out."""
    if isinstance(node, yaml.SequenceNode):
        return f"a list of {len(node.value)}"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    scalar = cast("yaml.ScalarNode", node)
    text = without_secrets(" ".join(str(scalar.value).split()))
    text = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
    return f'"{text}"' if scalar.style in ("'", '"') else text or "nothing"


def without_secrets(text: str) -> str:
    """Return a text without what may be secret in it: the inside of urls, passwords."""
    return _SECRET.sub(r"\1…", text)
