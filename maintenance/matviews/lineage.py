"""What a view's SQL file tells without any server: the relations it reads, and its header."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from maintenance.names import QualifiedName
from maintenance.policy import MatviewPolicy, Policy

_SINCE = re.compile(r"since: \d+\Z")


def relations_read(policy: Policy, section: MatviewPolicy) -> tuple[QualifiedName, ...]:
    """Return what a view reads: the relations of its SQL, and those of `depends_on`.

    A name without a schema is looked for in the first one of `database.search_path`.
    """
    default = policy.database.search_path.split(",")[0].strip().strip('"')
    named = _named(section.definition) if section.definition else ()
    found = {QualifiedName(schema or default, name) for schema, name in named}
    return tuple(sorted((found | set(section.depends_on)) - {section.name}))


def declared_reads(policy: Policy) -> dict[QualifiedName, tuple[QualifiedName, ...]]:
    """Return what each view of a policy reads, as its SQL and the policy have it."""
    return {section.name: relations_read(policy, section) for section in policy.matviews}


@cache
def _named(definition: Path) -> tuple[tuple[str | None, str], ...]:
    # A tenth of a second, paid only where a policy has views.
    from pglast import ast, parse_sql  # noqa: PLC0415
    from pglast.visitors import Visitor  # noqa: PLC0415

    class Relations(Visitor):
        """Collects the names of relations, and those that a WITH defines."""

        def __init__(self) -> None:
            super().__init__()
            self.read: list[tuple[str | None, str]] = []
            self.defined: set[str] = set()

        def visit_RangeVar(self, _ancestors: Any, node: ast.RangeVar) -> None:  # noqa: N802
            self.read.append((node.schemaname, str(node.relname)))

        def visit_CommonTableExpr(  # noqa: N802 - pglast's names
            self, _ancestors: Any, node: ast.CommonTableExpr
        ) -> None:
            self.defined.add(str(node.ctename))

    found = Relations()
    found(parse_sql(definition.read_text()))
    return tuple(
        (schema, name) for schema, name in found.read if schema or name not in found.defined
    )


def header(definition: Path) -> str:
    """Return the comment that a file begins with as Markdown, without the version it is for.

    The first line is `name: what it is`; lines without a text between are paragraphs.
    """
    paragraphs: list[list[str]] = [[]]
    for line in definition.read_text().splitlines():
        if not line.startswith("--"):
            break
        text = line.removeprefix("--").strip()
        if _SINCE.match(text) or not text:
            paragraphs.append([])
        else:
            paragraphs[-1].append(text)
    kept = [" ".join(lines) for lines in paragraphs if lines]
    if kept and (title := re.match(r"[\w.\"]+: ", kept[0])):
        kept[0] = kept[0][title.end() :].capitalize() + "."
    return "\n\n".join(kept)


def query(definition: Path) -> str:
    """Return a file's SQL without the comment that it begins with."""
    lines = definition.read_text().splitlines()
    first = next((n for n, line in enumerate(lines) if not line.startswith("--")), 0)
    return "\n".join(lines[first:]).strip()
