"""The documents, and the fenced blocks in them by language: each is tried as far as it can be.

A policy is loaded by the loader of policies, alone or as a part of the smallest one; a command line
is read by the command that it calls; SQL by the parser of PostgreSQL; Python is compiled.
"""

import ast
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, cast

import click
import pglast
import yaml

from maintenance.errors import MaintenanceError, PolicyError, Problem, ProblemReason
from maintenance.policy import parse_policy
from maintenance.policy.models import Policy

ROOT = Path(__file__).parents[1]
DOCS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")]
LIVING = [path for path in DOCS if path.parent.name != "decisions" and path.name != "CHANGELOG.md"]
"""Documents that follow the software; what was decided and changed stays as it was written."""

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_URL = {"name": "app", "url": {"env": "APP_URL"}}
_AROUND = {"database": _URL, "redis": {"url": {"env": "REDIS_URL"}}}
"""Sections around a part of a policy, where it has none of them."""
_HOME = ROOT / "policies/document.yaml"
"""Where a policy of a document is thought to be: paths in it start there."""


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        document: its path below the repository.
        language: as it is written behind the fence; empty if it is not.
        text: without the indentation of the fence.
    """

    document: str
    language: str
    text: str


def blocks(path: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a document."""
    for indent, language, text in _FENCE.findall(path.read_text(encoding="utf-8")):
        flush = re.sub(f"^{indent}", "", text, flags=re.MULTILINE)
        yield Block(str(path.relative_to(ROOT)), language, flush)


def fault_of_mention(line: str) -> str | None:
    """Return why a command that a sentence mentions does not exist; it may lack what it needs."""
    try:
        _try_sh(line)
    except (click.MissingParameter, click.BadOptionUsage, click.BadParameter):
        return None
    except click.ClickException as exc:
        return exc.format_message()
    return None


def mentioned_commands(path: Path) -> list[str]:
    """Return the command lines within the sentences of a document."""
    found = re.findall(r"`(maintenance [a-z][^`]*)`", path.read_text(encoding="utf-8"))
    return [" ".join(line.split()) for line in found]


def fault_of(block: Block) -> str | None:
    """Return why a block does not work; None if it does, as far as its language can be tried."""
    if block.language not in _TRIALS:
        return f"no trial for the language {block.language!r}"
    try:
        _TRIALS[block.language](block.text)
    except (MaintenanceError, click.ClickException, pglast.Error, SyntaxError, ValueError) as exc:
        return str(exc) or type(exc).__name__
    except yaml.YAMLError as exc:
        return str(exc)
    return None


# Policies


def _try_yaml(text: str) -> None:
    read: Any = yaml.safe_load(text)
    if not isinstance(read, dict):
        raise ValueError("found no mapping")  # noqa: TRY004 (a fault of the block)
    document = cast("dict[str, Any]", read)
    if not set(Policy.model_fields) & set(document):
        return  # of another program
    whole = _AROUND | document
    whole["database"] = _URL | whole["database"]
    try:
        parse_policy(yaml.safe_dump(whole, sort_keys=False), _HOME)
    except PolicyError as exc:
        lacking = {_section(each) for each in exc.problems if each.reason is _NO_FILE}
        rest = [e for e in exc.problems if e.reason is _UNKNOWN or _section(e) not in lacking]
        if rest:
            raise PolicyError(rest) from exc


_NO_FILE, _UNKNOWN = ProblemReason.NO_SUCH_FILE, ProblemReason.UNKNOWN_KEY


def _section(problem: Problem) -> str:
    """Return the section with a problem: its files are the reader's, and settings refer to them."""
    return re.split(r"[.\[]", problem.key)[0]


# Command lines

_PROGRAMS: Mapping[str, tuple[str, str]] = {
    "maintenance": ("maintenance.cli.commands", "cli"),
    "dagster": ("dagster._cli", "cli"),
    "dagster-daemon": ("dagster._daemon.cli", "cli"),
    "dagster-webserver": ("dagster_webserver.cli", "dagster_webserver"),
}
"""Programs whose command lines are read, with their click commands."""


def _try_sh(text: str) -> None:
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r" && | \| |; ", line):
            if words := shlex.split(part, comments=True):
                _read(Path(words[0]).name, words[1:])


def _try_text(text: str) -> None:
    """Try the lines that call us, of which a list of commands leaves out what is required."""
    for line in text.splitlines():
        if line.startswith("maintenance ") and "[OPTIONS]" not in line:
            with suppress(click.MissingParameter):
                _try_sh(line)


def _read(program: str, words: list[str]) -> None:
    """Read a command line as its program does, without running it.

    Raises:
        ClickException: it has no such command or option, or lacks one.
    """
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        if unknown := [word for word in words if "=" not in word and word not in targets]:
            raise click.UsageError(f"no target {unknown[0]}")
    if program not in _PROGRAMS:
        return
    module, name = _PROGRAMS[program]
    command: click.Command = getattr(import_module(module), name)
    context = click.Context(command, info_name=program)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        _, command_below, words = command.resolve_command(context, words)
        assert command_below is not None
        command = command_below
        context = click.Context(command, info_name=command.name, parent=context)
    try:
        if "--help" not in words:
            command.make_context(command.name, words, parent=context.parent)
    except click.exceptions.Exit:
        return  # such as --version


# Other languages


def _try_json(text: str) -> None:
    json.loads(text)


def _try_sql(text: str) -> None:
    pglast.parse_sql(text)


def _try_python(text: str) -> None:
    ast.parse(text)


def _leave(_text: str) -> None:
    """What no parser here reads."""


_TRIALS: Mapping[str, Callable[[str], None]] = {
    "": _try_text,
    "ini": _leave,
    "json": _try_json,
    "nginx": _leave,
    "python": _try_python,
    "sh": _try_sh,
    "sql": _try_sql,
    "text": _try_text,
    "yaml": _try_yaml,
}
