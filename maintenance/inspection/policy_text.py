"""Writes a proposed policy as commented YAML."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import yaml
from yaml.reader import Reader

from maintenance.formatting import visible
from maintenance.inspection.models import Entry, LeftOut, Setting, Subject
from maintenance.names import quote

WIDTH = 99
_LONGEST_COMMENT = 92


class Database(NamedTuple):
    """The database of a policy.

    Attributes:
        name: in the policy.
        variable: the environment variable with its url.
        found: what it is, such as `PostgreSQL 18.1, database shop`.
        schema: the schema that its url names, unquoted; None without.
    """

    name: str
    variable: str
    found: str
    schema: str | None = None


def policy_text(
    database: Database,
    entries: Sequence[Entry],
    left_out: Sequence[LeftOut],
    closing: Sequence[str],
) -> str:
    """Return the policy of a database as commented YAML.

    Args:
        database: its head.
        entries: what is proposed.
        left_out: what is not, as comments.
        closing: paragraphs at the end of the file, as comments.
    """
    parts = [
        "\n".join(_head(database)),
        *(text for subject in Subject if (text := _section(subject, entries, left_out))),
        "\n".join(line for paragraph in closing for line in _comment(paragraph)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(database: Database) -> Iterator[str]:
    yield from _comment(f"Policy of {database.found}, as maintenance init found it.")
    yield from _comment(
        "Each value that was inferred has its evidence beside it. What is not written has its"
        " default; maintenance check --schema prints all keys. No partition expires unless a"
        " retention section says so."
    )
    yield "database:"
    yield f"  name: {scalar(database.name)}"
    yield f"  url: {{env: {database.variable}}}"
    if database.schema is not None:
        path = scalar(quote(database.schema))
        yield f"  search_path: {path}  # the schema in the url"
    yield "  # mode: report  # only looks and plans, changes nothing"


def _section(subject: Subject, entries: Sequence[Entry], left_out: Sequence[LeftOut]) -> str:
    own = [entry for entry in entries if entry.subject is subject]
    absent = [each for each in left_out if each.subject is subject]
    if not own and not absent:
        return ""
    applies = any(entry.applies for entry in own)
    lines: list[str] = []
    if own:
        lines.append(f"{subject}:" if applies else f"# {subject}:")
    for entry in sorted(own, key=lambda entry: (not entry.applies, entry.relation)):
        lines += _entry(entry)
    for each in absent:
        lines += _comment(f"Left out: {each.relation}: {each.text}.", "  " if applies else "")
    return "\n".join(lines)


def _entry(entry: Entry) -> Iterator[str]:
    yield from _comment(entry.summary, "  ")
    for note in entry.notes:
        yield from _comment(note, "  ")
    if entry.obstacle:
        yield from _comment(f"Proposed only: {entry.obstacle}", "  ")
    for n, setting in enumerate(entry.settings):
        if not entry.applies:
            begin = "  # - " if n == 0 else "  #   "
        elif setting.applies:
            begin = "  - " if n == 0 else "    "
        else:
            begin = "    # "
        yield from _setting(setting, begin, inside="  " if n == 0 else "    ")


def _setting(setting: Setting, begin: str, inside: str) -> Iterator[str]:
    line = f"{begin}{setting.key}: {scalar(setting.value)}"
    evidence = plain(setting.evidence)
    if evidence and len(line) + len(evidence) + 4 > WIDTH:
        yield from _comment(evidence, inside)
        yield line
    else:
        yield f"{line}  # {evidence}" if evidence else line


def _comment(text: str, indent: str = "") -> Iterator[str]:
    wrapped = textwrap.wrap(
        plain(text), _LONGEST_COMMENT, break_long_words=False, break_on_hyphens=False
    )
    yield from (f"{indent}# {line}" for line in wrapped)


def plain(text: str) -> str:
    """Return a text as one line that YAML accepts in a comment."""
    return re.sub(Reader.NON_PRINTABLE, "?", visible(text))


def scalar(value: Any) -> str:
    """Return a value as YAML on one line."""
    style = '"' if isinstance(value, str) and plain(value) != value else None
    dumped = yaml.safe_dump(
        [value],
        default_flow_style=True,
        default_style=style,
        allow_unicode=style is None,
        width=10**6,
        sort_keys=False,
    )
    return dumped.strip()[1:-1]
