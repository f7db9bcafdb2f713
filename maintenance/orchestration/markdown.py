"""Tables and code in the metadata, whatever the names in them hold."""

import re
from collections.abc import Iterable, Sequence

import dagster as dg

from maintenance.formatting import visible, visible_lines

SHOWN = 200
"""So many statements are shown at most."""

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#|~!&@]|:(?=//)|(?<=www)\.)")
"""At signs, and the colon or dot of what begins as an address does, make links."""


def code(text: str | None) -> str:
    """Show a name as it is, in one line, also inside a table; nothing for None."""
    if text is None:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    return f"{fence} {visible(' '.join(text.splitlines()))} {fence}".replace("|", "\\|")


def plain(text: str) -> str:
    """Show prose in one line: nothing in it is markup, wherever its names come from."""
    return _MARKUP.sub(r"\\\1", visible(" ".join(text.split())))


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], foot: str = ""
) -> dg.MarkdownMetadataValue:
    """Return a table as metadata; see `grid`."""
    return dg.MetadataValue.md(grid(head, rows) + (f"\n\n{foot}" if foot else ""))


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a heading that ends in a colon is a column of numbers."""
    rules = ["--:" if heading.endswith(":") else "---" for heading in head]
    headings = [heading.removesuffix(":") for heading in head]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rules, *rows))


def sql(statements: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Return statements as a block to copy from; the first ones, where they are very many."""
    text = visible_lines(";\n".join(statements[:SHOWN]))
    more = len(statements) - SHOWN
    rest = f"\n-- and {more:,} more" if more > 0 else ""
    fence = "`" * max(3, _longest_run(text) + 1)
    return dg.MetadataValue.md(f"{fence}sql\n{text};{rest}\n{fence}" if text else "nothing")


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
