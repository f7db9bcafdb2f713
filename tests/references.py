"""The reference pages: keys of a policy, commands, kinds of findings, as the code has them.

`.venv/bin/python -m tests.references` writes docs/policy.md, docs/commands.md and docs/findings.md.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from maintenance.cli.commands import cli
from maintenance.engine.findings import FindingKind
from maintenance.engine.runbook_reader import entry
from maintenance.policy import json_schema

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "tests/unit/test_policy_example.yaml"

_NOTE = "<!-- Made from the code by `.venv/bin/python -m tests.references`; do not edit. -->\n"
_MOST_SUBJECTS = 3
"""More subjects of a kind are not named by the first of them."""
_MOST_VALUES = 12
"""How many values of a key are listed; kinds of findings are more, and have a page."""

_Schema = Mapping[str, Any]


def _cell(text: str) -> str:
    """Return text as it stands in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _code(value: object) -> str:
    return f"`{value}`"


# Keys of a policy

_POLICY = """\
# Keys of a policy

A policy is a YAML file, one a database. `database` with `name` and `url` is enough: what only
looks (`indexes`, `bloat`, `workload`, `capacity`) reports by itself, and what changes something
needs its section. Unknown keys are refused. `maintenance check --schema` prints the same as JSON
Schema, for editors.

Durations have a unit (`50 ms`, `4 hours`, `35 days`), sizes too (`10 MB`; 1 kB is 1024 bytes),
ages of retention are by the calendar (`24 months`). Numbers from 0 to 1 are shares. Times and
crons are in UTC. Relative paths start at the folder of the policy. A URL or a secret is a text
or, better, `{env: NAME}`. In the tables `[]` stands for each entry of a list.
"""


def policy_page() -> str:
    """Return the page of the keys of a policy."""
    schema = json_schema()
    examples = _examples()
    parts = [_NOTE + _POLICY, "## All sections\n", *_keys(schema["properties"], schema, "")]
    for name, rules in schema["properties"].items():
        parts += [f"\n## {name}\n", f"{rules['description']}\n"]
        parts += _sections(name, rules, schema["$defs"])
        parts += ["\n```yaml", examples[name], "```"]
    return "\n".join(parts) + "\n"


def _sections(path: str, rules: _Schema, known: _Schema, level: int = 2) -> Iterator[str]:
    """Yield the table of each section below a key, outer ones first."""
    for name, is_listed in _references(rules):
        section = known[name]
        kind = section["properties"].get("type", {}).get("const")
        place = f"{path}{'[]' if is_listed else ''}{f' of type {kind}' if kind else ''}"
        if level > 2 or kind:
            yield f"\n{'#' * max(level, 3)} {place}\n"
        yield from _keys(section["properties"], section, place)
        for key, below in section["properties"].items():
            yield from _sections(f"{place}.{key}", below, known, level + 1)


def _references(rules: Any, *, is_listed: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield the names of the sections that a value may be, and whether it is a list of them."""
    if "$ref" in rules:
        yield rules["$ref"].rpartition("/")[2], is_listed
    for each in (*rules.get("anyOf", ()), *rules.get("oneOf", ())):
        yield from _references(each, is_listed=is_listed)
    if "items" in rules:
        yield from _references(rules["items"], is_listed=True)


def _keys(keys: _Schema, section: _Schema, path: str) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---" * 4 + "|"
    for key, rules in keys.items():
        default = "required" if key in section.get("required", ()) else _default(rules)
        name = f"[`{key}`](#{key})" if not path else _code(key)
        about, value = _cell(rules["description"]), {**rules, "description": "text"}
        yield f"| {name} | {_cell(_value(value))} | {_cell(default)} | {about} |"


def _default(rules: _Schema) -> str:
    default = rules.get("default")
    if default is None or default in ([], {}):
        return "" if default != {} else "as below"
    text = yaml.safe_dump(default, default_flow_style=True, width=1000).removesuffix("...\n")
    return _code(text.strip())


def _value(rules: _Schema) -> str:
    """Return which values a key may have, in words."""
    for word, say in _SAYINGS.items():
        if word in rules:
            return say(rules)
    return "text"


def _alternatives(rules: _Schema) -> str:
    branches = rules.get("anyOf") or rules["oneOf"]
    said = [_value(each) for each in branches if each.get("type") != "null"]
    return ", or ".join(dict.fromkeys(said))


def _listed(rules: _Schema) -> str:
    return f"list: {_value(rules['items'])}"


def _mapping(rules: _Schema) -> str:
    if "env" in rules.get("properties", {}):
        return "`{env: NAME}`"
    if "properties" in rules:
        keys = ", ".join(f"{key}: …" for key in rules["properties"])
        return _code(f"{{{keys}}}")
    return f"names with values: {_value(rules['additionalProperties'])}"


def _enum(rules: _Schema) -> str:
    values = [each for each in rules["enum"] if each is not False]
    if len(values) > _MOST_VALUES:
        return "[kinds of findings](findings.md)"
    return ", ".join(map(_code, values))


def _typed(rules: _Schema) -> str:
    kind = rules["type"]
    if kind == "boolean":
        return "`true`, `false`"
    if kind in ("integer", "number"):
        ends = [f"{word} {rules[key]}" for key, word in _ENDS.items() if key in rules]
        return " ".join(("whole number" if kind == "integer" else "number", *ends))
    return rules.get("description", "text")


_ENDS = {"minimum": "from", "maximum": "to"}

_SAYINGS: Mapping[str, Callable[[_Schema], str]] = {
    "$ref": lambda _: "section",
    "anyOf": _alternatives,
    "oneOf": _alternatives,
    "enum": _enum,
    "const": lambda rules: _code(rules["const"]),
    "items": _listed,
    "additionalProperties": _mapping,
    "examples": lambda rules: "such as " + ", ".join(map(_code, rules["examples"])),
    "type": _typed,
}
"""How a value is described, by the first of these words that its schema has."""


def _examples() -> Mapping[str, str]:
    """Return the part of the example with each section, comments included."""
    text = EXAMPLE.read_text(encoding="utf-8")
    parts = re.findall(r"^(\w+):.*?(?=^\w|\Z)", text, re.MULTILINE | re.DOTALL)
    whole = re.split(r"^(?=\w+:)", text, flags=re.MULTILINE)[1:]
    examples = dict(zip(parts, (part.rstrip() for part in whole), strict=True))
    return {"extends": "extends: shared.yaml", **examples}


# Commands

_COMMANDS = """\
# Commands

Options, arguments and defaults of `maintenance`. Results go to standard output, progress and
errors to standard error. Exit codes and what the commands are for are in the
[README](../README.md#commands).
"""


def commands_page() -> str:
    """Return the page of the commands."""
    return "\n".join(
        [_NOTE + _COMMANDS, *_command(cli, click.Context(cli, info_name="maintenance"))]
    )


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    path = context.command_path
    is_top = context.parent is None
    if not is_top:
        yield f"## {path}\n"
        yield f"{(command.help or '').strip()}\n"
        yield f"```text\n{' '.join((path, *command.collect_usage_pieces(context)))}\n```\n"
        options = [each for each in command.params if isinstance(each, click.Option)]
        if options:
            yield from ("| option | meaning |", "|---|---|")
            yield from (_option(each, context) for each in options)
            yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, name
            yield from _command(below, click.Context(below, info_name=name, parent=context))


def _option(option: click.Option, context: click.Context) -> str:
    value = "" if option.is_flag else _cell(f" {option.make_metavar(context)}")
    notes = [option.help or ""]
    if option.required:
        notes.append("Required.")
    if option.show_default and not option.is_flag:
        notes.append(f"Default: `{option.default}`.")
    written = " ".join(filter(None, (", ".join(option.opts), value)))
    return f"| `{written}` | {_cell(' '.join(notes))} |"


# Kinds of findings

_FINDINGS = """\
# Kinds of findings

A finding says that something is not as it should be: its kind, its object, a severity, a message,
and mostly a value with a threshold. Each kind has an entry in the [runbook](runbook.md): what it
means, how urgent it is, what to do, and what is done without you. `maintenance explain KIND`
shows it with the numbers of your database.

The severity depends on the case and is in the entry: *information* needs nothing now, a *warning*
will need you, an *error* means that writes fail or soon will, or that what the policy promises
can't be had. Kinds marked *advice* are information for the weekly review; no sink receives them
unless it names the kind. Those marked *check* are reported by `maintenance check` too, before
anything runs.
"""


def findings_page() -> str:
    """Return the page of the kinds of findings."""
    parts = [_NOTE + _FINDINGS]
    for title in sorted({_title(kind) for kind in FindingKind}):
        own = [kind for kind in FindingKind if _title(kind) == title]
        parts += [f"## {title}\n", "| kind | | unit of the value | meaning |", "|---" * 4 + "|"]
        parts += [*map(_finding, own), ""]
    return "\n".join(parts)


def _title(kind: FindingKind) -> str:
    subjects = kind.spec.subjects
    if not subjects:
        return "of runs, sensors and commands"
    return subjects[0] if len(subjects) <= _MOST_SUBJECTS else "of several subjects"


def _finding(kind: FindingKind) -> str:
    spec = kind.spec
    marks = ", ".join(_marks(advice=spec.is_advice, check=spec.is_fitness or spec.is_of_check))
    meaning = _cell(_first_sentence(entry(kind)))
    return (
        f"| [`{kind.value}`](runbook.md#{kind.value}) | {marks} | {spec.unit.value} | {meaning} |"
    )


def _marks(**marks: bool) -> Iterable[str]:
    return (name for name, is_set in marks.items() if is_set)


def _first_sentence(text: str) -> str:
    first, *_ = re.split(r"(?<=[.:])\s+(?=[A-Z*`])", " ".join(text.split()), maxsplit=1)
    return first


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/policy.md": policy_page,
    "docs/commands.md": commands_page,
    "docs/findings.md": findings_page,
}
"""Each page with the function that makes it."""


if __name__ == "__main__":
    for name, render in PAGES.items():
        (ROOT / name).write_text(render(), encoding="utf-8")
