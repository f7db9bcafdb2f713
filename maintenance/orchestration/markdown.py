"""Tables and code in the metadata, whatever the names in them hold."""

import re
from collections.abc import Iterable, Sequence

import dagster as dg


def code(text: str | None) -> str:
    """Show a name as it is, in one line, also inside a table; nothing for None."""
    if text is None:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    return f"{fence} {' '.join(text.splitlines())} {fence}".replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> dg.MarkdownMetadataValue:
    """Return a table; a heading that ends in a colon is a column of numbers."""
    rules = ["--:" if heading.endswith(":") else "---" for heading in head]
    headings = [heading.removesuffix(":") for heading in head]
    lines = [f"| {' | '.join(cells)} |" for cells in (headings, rules, *rows)]
    return dg.MetadataValue.md("\n".join(lines))


def sql(statements: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Return statements as a block to copy from."""
    text = ";\n".join(statements)
    fence = "`" * max(3, _longest_run(text) + 1)
    return dg.MetadataValue.md(f"{fence}sql\n{text};\n{fence}" if text else "nothing")


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
