"""Parse a view's SQL file without a server: the relations it reads, and its header."""

import re
from collections.abc import Collection, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path
from typing import Any

from maintenance.names import QualifiedName, quote
from maintenance.policy import MatviewPolicy, Policy
from maintenance.policy.sql_parser import nodes_of, parse
from maintenance.subjects.matviews.models import MatviewsObservation


def reads_of(
    policy: Policy, seen: MatviewsObservation
) -> Mapping[QualifiedName, frozenset[QualifiedName]]:
    """Return, for each view of a policy, the other views of the policy that it reads."""
    ours = {section.name for section in policy.matviews}
    return {
        section.name: frozenset(
            chain(
                ours.intersection(section.depends_on),
                seen.written.get(section.name, ()) if section.name not in seen.views else (),
                seen.views[section.name].reads if section.name in seen.views else (),
            )
        )
        for section in policy.matviews
    }


_SINCE = re.compile(r"since: \d+\Z")


def relations_read(policy: Policy, section: MatviewPolicy) -> tuple[QualifiedName, ...]:
    """Return the relations a view reads: those in its SQL and those in `depends_on`.

    A name without a schema is looked for in the first one of `database.search_path`.
    """
    default = policy.database.search_path.split(",")[0].strip().strip('"')
    named = _named(section.definition) if section.definition else ()
    found = {QualifiedName(schema or default, name) for schema, name in named}
    return tuple(sorted((found | set(section.depends_on)) - {section.name}))


def declared_reads(policy: Policy) -> dict[QualifiedName, tuple[QualifiedName, ...]]:
    """Return the relations each view of a policy reads, by its SQL and `depends_on`."""
    return {section.name: relations_read(policy, section) for section in policy.matviews}


@cache
def _named(definition: Path) -> tuple[tuple[str | None, str], ...]:
    # A tenth of a second, paid only where a policy has views.
    from pglast import ast  # noqa: PLC0415
    from pglast.visitors import Visitor  # noqa: PLC0415

    class Relations(Visitor):
        """Collects the names of relations, and the names defined by WITH."""

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
    found(parse(definition.read_text(encoding="utf-8-sig")))
    return tuple(
        (schema, name) for schema, name in found.read if schema or name not in found.defined
    )


def header(definition: Path) -> str:
    """Return the header comment of a file as Markdown, without its `since` line.

    The first line is `name: description`; empty lines separate paragraphs.
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
    """Return a file's SQL without its header comment."""
    lines = definition.read_text().splitlines()
    first = next((n for n, line in enumerate(lines) if not line.startswith("--")), 0)
    return "\n".join(lines[first:]).strip()


def relations_named(query: str) -> list[QualifiedName]:
    """Return the distinct relations a query names; schema "" if the name is unqualified.

    Args:
        query: SQL that parses, as `read_view_query` returns it.
    """
    from pglast import ast  # noqa: PLC0415 - a tenth of a second, needed late or never

    nodes = list(nodes_of(parse(query)[0].stmt))
    common = {str(node.ctename) for node in nodes if isinstance(node, ast.CommonTableExpr)}
    named = [
        QualifiedName(node.schemaname or "", str(node.relname))
        for node in nodes
        if isinstance(node, ast.RangeVar)
    ]
    return [name for name in dict.fromkeys(named) if name.schema or name.name not in common]


def written_reads(
    query: str, search_path: str, among: Collection[QualifiedName]
) -> frozenset[QualifiedName]:
    """Return which of the given relations a query names, under a search_path."""
    schemas = {part.strip() for part in search_path.split(",")}
    searched = {name for name in among if {name.schema, quote(name.schema)} & schemas}
    named = relations_named(query)
    plain = {name.name for name in named if name.schema == ""}
    return frozenset({*named} & {*among} | {name for name in searched if name.name in plain})


Reads = Mapping[QualifiedName, Collection[QualifiedName]]
"""For each view, the views it reads."""


def in_order(reads: Reads) -> tuple[QualifiedName, ...]:
    """Return views in dependency order; views in a cycle are left out."""
    circular = in_circles(reads)
    sorter = TopologicalSorter(
        {
            view: sorted((set(sources) & reads.keys()) - circular)
            for view, sources in sorted(reads.items())
            if view not in circular
        }
    )
    return tuple(sorter.static_order())


def upstream(name: QualifiedName, reads: Reads) -> set[QualifiedName]:
    """Return a view and all that it reads, directly or not."""
    waiting, found = [name], set[QualifiedName]()
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += reads.get(current, ())
    return found


def in_circles(reads: Reads) -> frozenset[QualifiedName]:
    """Return the views that are part of a dependency cycle."""
    remaining = {view: set(sources) for view, sources in reads.items()}
    circular: set[QualifiedName] = set()
    while True:
        try:
            TopologicalSorter(remaining).prepare()
        except CycleError as exc:
            circle = set(exc.args[1])
            circular |= circle
            remaining = {
                view: sources - circle for view, sources in remaining.items() if view not in circle
            }
        else:
            return frozenset(circular & reads.keys())
