"""The reasons against a conversion that views and materialized views on a table give."""

from collections.abc import Iterator

from maintenance.names import QualifiedName, quote
from maintenance.subjects.conversion.matviews import index_head
from maintenance.subjects.conversion.models import (
    ConvertibleTable,
    DependentMatview,
    Fact,
    Obstacle,
)

_KINDS = {"view": "VIEW", "matview": "MATERIALIZED VIEW"}
_NOT_CARRIED = {
    "dependent": "depends on it",
    "matview": "is a materialized view on it",
    "statistics": "is a statistics object on it",
    "extension": "is the extension that it belongs to",
    "security label": "labels it",
}
"""Kinds of objects on a materialized view that are not created again."""


def obstacles_of_views(seen: ConvertibleTable) -> Iterator[Obstacle]:
    """Yield the reasons: views that can't be replaced, and materialized views built again."""
    for kind in _KINDS:
        for each in seen.of(kind):
            yield from _of_view(seen.name, seen.table.properties.owner, each)
    for view in seen.matviews:
        yield from _of_matview(view)


def _of_view(table: QualifiedName, owner: str, each: Fact) -> Iterator[Obstacle]:
    facts, kind = each.definition, _KINDS[each.kind]
    named = f"{kind.lower()} {each.name}"
    if facts["owner"] != owner:
        yield _about(
            each,
            "view_of_other_owner",
            f"{named} belongs to {quote(facts['owner'])}, and has to be replaced. Run ALTER {kind}"
            f" {each.name} OWNER TO {quote(owner)}, or drop it until the table is converted",
        )
    if not facts["plain"] or facts["whole_row"]:
        yield _about(
            each,
            "view_needs_table",
            f"{named} depends on the row type or the primary key of {table}. Name its columns, all"
            " of them in GROUP BY",
        )
    if f"ONLY {table}" in facts["text"]:
        yield _about(
            each,
            "view_reads_only",
            f"{named} reads ONLY {table}, which holds no rows itself then",
        )
    if each.kind == "matview" and not facts["creatable"]:
        yield _about(
            each,
            "owner_lacks_create",
            f"{named} can't be built again in its schema. Run GRANT CREATE ON its SCHEMA TO"
            f" {quote(owner)} and this role",
        )


def _of_matview(view: DependentMatview) -> Iterator[Obstacle]:
    """Yield what on a materialized view is not carried over."""
    owner = view.table["owner"]
    for each in view.of("view"):
        yield from _of_view(view.name, owner, each)
    for kind, what in _NOT_CARRIED.items():
        for each in view.of(kind):
            yield Obstacle(
                "matview_on_table",
                f"materialized view {view.name} is to be built again, and {each.name} {what}. Drop"
                " it until the table is converted, or let the view read a view on the table",
                (str(view.name), each.name),
            )
    for each in view.of("index"):
        facts = each.definition
        is_known = facts["text"].startswith(index_head(view.name, each))
        if not facts["valid"] or facts["targets"] or not is_known:
            yield Obstacle(
                "matview_on_table",
                f"index {quote(each.name)} of materialized view {view.name} is invalid, or has"
                " statistics targets. Build it again without",
                (str(view.name), each.name),
            )


def _about(fact: Fact, code: str, text: str) -> Obstacle:
    return Obstacle(code, text, (fact.name,))
