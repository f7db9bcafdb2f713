"""A policy file as plain data, with the line and column of every value."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml
from yaml.constructor import SafeConstructor
from yaml.events import Event
from yaml.reader import Reader

from maintenance.errors import Problem, ProblemReason
from maintenance.policy.base import Location

_MAX_DEPTH = 50
"""Far deeper than any policy; a hostile file can't exhaust the stack."""

_MAX_SHOWN = 60
_SECRET = re.compile(r"(://|password=).*", re.DOTALL | re.IGNORECASE)


class NotYamlError(Exception):
    """A text that is not valid YAML; carries the problem."""

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
    """Return the root node of a text's only document; None if it is empty.

    Raises:
        NotYamlError: the text is not valid YAML, or has several documents.
    """
    if match := Reader.NON_PRINTABLE.search(text):
        line, column = line_and_column(text[: match.start()])
        found = f"the character U+{ord(match[0]):04X}"
        raise NotYamlError(
            Problem(file, line, column, "", ProblemReason.NOT_YAML, found, "printable text")
        )
    loader = _Loader(text)
    loader.name = file
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise NotYamlError(_syntax_problem(file, error)) from None
    finally:
        loader.dispose()


def line_and_column(before: str) -> tuple[int, int]:
    """Return the line and column after a text, both from 1."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _syntax_problem(file: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    # Names of aliases and tags may be unquoted passwords; single characters are harmless.
    found = re.sub(r"'[^']{3,}'", "…", error.problem or "an error")
    hint = "indent with spaces" if "\\t" in found else error.context or ""
    return Problem(file, line, column, "", ProblemReason.NOT_YAML, found, "YAML", hint)


def shown(node: yaml.Node) -> str:
    """Return a value as written, shortened, with URLs redacted."""
    if isinstance(node, yaml.SequenceNode):
        return f"a list of {len(node.value)}"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    scalar = cast("yaml.ScalarNode", node)
    text = without_secrets(" ".join(str(scalar.value).split()))
    text = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
    return f'"{text}"' if scalar.style in ("'", '"') else text or "nothing"


def without_secrets(text: str) -> str:
    """Return a text without secrets: URLs and passwords redacted."""
    return _SECRET.sub(r"\1…", text)


_YAML = "tag:yaml.org,2002:"
_SCALARS = frozenset(f"{_YAML}{name}" for name in ("null", "bool", "int", "float", "timestamp"))
_TEXTS = frozenset({f"{_YAML}str", f"{_YAML}value"})

Entries = dict[str, tuple[yaml.Node, yaml.Node]]
"""The keys of a mapping, including merged ones, with the nodes of key and value."""


@dataclass(slots=True)
class Document:
    """One YAML document.

    Attributes:
        file: its name in messages.
        data: mappings with text keys, lists and scalars; None if the file is empty.
        root: the root node; None if the file is empty or not valid YAML.
        problems: its faults as YAML, including repeated keys.
        bases: the files that it extends, the nearest first.
    """

    file: str
    data: object = None
    root: yaml.Node | None = None
    problems: list[Problem] = field(default_factory=list[Problem])
    bases: tuple[Path, ...] = ()
    _entries: dict[int, Entries] = field(default_factory=dict[int, Entries])
    _values: dict[int, object] = field(default_factory=dict[int, object])
    _open: set[int] = field(default_factory=set[int])

    def find(self, place: Location) -> tuple[str, yaml.Node, yaml.Node]:
        """Return the dotted key of a location, and the nodes of its key and its value.

        Steps that the file does not have are left out; a missing last step is kept in the key,
        with the node of the mapping that lacks it.
        """
        assert self.root is not None
        key, key_node, node = "", self.root, self.root
        for position, step in enumerate(place):
            entries = self._entries.get(id(node), {})
            if isinstance(step, int) and isinstance(node, yaml.SequenceNode):
                key, key_node = f"{key}[{step}]", node.value[step]
                node = key_node
            elif isinstance(step, str) and step in entries:
                key = _join(key, step)
                key_node, node = entries[step]
            elif position == len(place) - 1:
                key, key_node = _join(key, str(step)), node
        return key, key_node, node

    def problem(
        self,
        node: yaml.Node,
        key: str,
        reason: ProblemReason,
        wanted: str,
        hint: str = "",
        found: str = "",
    ) -> Problem:
        """Return a problem at a node, in the file that has the node."""
        mark = node.start_mark
        found = found or shown(node)
        line, column = mark.line + 1, mark.column + 1
        return Problem(str(mark.name), line, column, key, reason, found, wanted, hint)

    def _report(
        self,
        node: yaml.Node,
        key: str,
        reason: ProblemReason,
        wanted: str,
        hint: str = "",
        found: str = "",
    ) -> None:
        self.problems.append(self.problem(node, key, reason, wanted, hint, found))

    def fill(self, base: "Document") -> None:
        """Take from another document what this one lacks: each key of mappings, also of inner ones.

        Values and lists of this one stay as they are.
        """
        assert self.root is not None
        assert base.root is not None
        self._entries = base._entries | self._entries  # noqa: SLF001 (of this class)
        self.root = self._filled(self.root, base.root)
        self.data = _filled(self.data, base.data)

    def _filled(self, node: yaml.Node, base: yaml.Node) -> yaml.Node:
        """Return a new node for a mapping: an alias may name the old one elsewhere."""
        if not (isinstance(node, yaml.MappingNode) and isinstance(base, yaml.MappingNode)):
            return node
        own, below = self._entries[id(node)], self._entries[id(base)]
        filled = yaml.MappingNode(node.tag, node.value, node.start_mark, node.end_mark)
        self._entries[id(filled)] = below | {
            name: (key, self._filled(value, below[name][1]) if name in below else value)
            for name, (key, value) in own.items()
        }
        return filled

    def read(self, node: yaml.Node, key: str = "") -> object:
        """Return a node's data; each node is read once, whatever the number of aliases."""
        if id(node) in self._open:
            self._report(
                node,
                key,
                ProblemReason.SELF_REFERENCE,
                "a value",
                found="an alias inside the node that it refers to",
            )
            return None
        if id(node) not in self._values:
            self._open.add(id(node))
            self._values[id(node)] = self._read(node, key)
            self._open.remove(id(node))
        return self._values[id(node)]

    def _read(self, node: yaml.Node, key: str) -> object:
        if isinstance(node, yaml.MappingNode):
            entries = self._entries[id(node)] = self._read_keys(node, key)
            return {
                name: self.read(value, _join(key, name)) for name, (_, value) in entries.items()
            }
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, f"{key}[{index}]") for index, item in enumerate(node.value)]
        return self._read_scalar(cast("yaml.ScalarNode", node), key)

    def _read_scalar(self, node: yaml.ScalarNode, key: str) -> object:
        if node.tag in _TEXTS:
            return node.value
        if node.tag not in _SCALARS:
            self._report(node, key, ProblemReason.YAML_TAG, "a plain value", found="a YAML tag")
            return None
        try:
            return cast("object", SafeConstructor().construct_object(node))  # pyright: ignore[reportUnknownMemberType]
        except (ValueError, KeyError, AttributeError, OverflowError):
            is_date = node.tag == f"{_YAML}timestamp"
            wanted = "a date that exists" if is_date else "a valid number"
            self._report(node, key, ProblemReason.OUT_OF_RANGE, wanted)
            return None

    def _read_keys(self, node: yaml.MappingNode, key: str) -> Entries:
        own: Entries = {}
        merged: Entries = {}
        for key_node, value in node.value:
            if key_node.tag == f"{_YAML}merge":
                merged = self._merged(value, key) | merged
            elif not isinstance(key_node, yaml.ScalarNode):
                self._report(key_node, key, ProblemReason.WRONG_TYPE, "a name for a key")
            elif key_node.value in own:
                first = own[key_node.value][0].start_mark.line + 1
                hint = f"first in line {first}; remove one"
                repeated = _join(key, key_node.value)
                self._report(key_node, repeated, ProblemReason.DUPLICATE_KEY, "each key once", hint)
            else:
                own[key_node.value] = (key_node, value)
        return merged | own

    def _merged(self, node: yaml.Node, key: str) -> Entries:
        """Return the entries that `<<` merges in; the first of several mappings wins."""
        self.read(node, key)
        entries: Entries = {}
        for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(part, yaml.MappingNode):  # a recursive one is reported
                entries = self._entries.get(id(part), {}) | entries
            else:
                self._report(part, _join(key, "<<"), ProblemReason.WRONG_TYPE, "a mapping to merge")
        return entries


def _filled(data: object, base: object) -> object:
    """Return data with what a mapping lacks, as the nodes."""
    if not (isinstance(data, dict) and isinstance(base, dict)):
        return cast("object", data)
    own, below = cast("dict[str, object]", data), cast("dict[str, object]", base)
    return below | {name: _filled(value, below.get(name)) for name, value in own.items()}


def read_document(text: str, file: str) -> Document:
    """Read one YAML document; its faults are in `problems`."""
    document = Document(file)
    try:
        document.root = compose(text, file)
    except NotYamlError as error:
        document.problems.append(error.problem)
    if document.root is not None:
        document.data = document.read(document.root)
    return document


def _join(key: str, step: str) -> str:
    return ".".join(filter(None, (key, without_secrets(step))))
