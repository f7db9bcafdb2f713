"""Markdown tables and code for the metadata, safe for any name."""

import re
from collections.abc import Iterable, Sequence

import dagster as dg

from maintenance.formatting import visible, visible_lines
from maintenance.redaction import redact_comment

SHOWN = 200
"""Maximum number of statements shown."""

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#|~!&@]|:(?=//)|(?<=www)\.)")
"""The at sign, and the colon or dot of an address: Markdown makes links of them."""


def code(text: str | None) -> str:
    """Return a name as inline code on one line, safe in tables; empty for None."""
    if text is None:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    return f"{fence} {visible(' '.join(text.splitlines()))} {fence}".replace("|", "\\|")


def plain(text: str) -> str:
    """Return prose on one line with all markup escaped."""
    return _MARKUP.sub(r"\\\1", visible(" ".join(text.split())))


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], foot: str = ""
) -> dg.MarkdownMetadataValue:
    """Return a table as metadata; see `grid`."""
    return dg.MetadataValue.md(grid(head, rows) + (f"\n\n{foot}" if foot else ""))


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a heading that ends in a colon is a column of numbers."""
    rules = ["--:" if heading.endswith(":") else "---" for heading in head]
    headings = [heading.removesuffix(":") for heading in head]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rules, *rows))


def sql(statements: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Return statements as a code block to copy; only the first ones if there are many."""
    text = visible_lines(";\n".join(map(redact_comment, statements[:SHOWN])))
    more = len(statements) - SHOWN
    rest = f"\n-- and {more:,} more" if more > 0 else ""
    fence = "`" * max(3, _longest_run(text) + 1)
    return dg.MetadataValue.md(f"{fence}sql\n{text};{rest}\n{fence}" if text else "nothing")


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
