"""From the catalog to fingerprints: what a view's content follows from, as comparable facts."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from maintenance.matviews.models import Fingerprint, Function, Node, Relation
from maintenance.matviews.rules import FIRST_USER_OID, Used, used_by
from maintenance.matviews.steady import NAMES_OF_OBJECTS, unsteadiness
from maintenance.names import QualifiedName

_READABLE_KINDS = frozenset("rpvm")
_KINDS = {"f": "a foreign table", "S": "a sequence"}


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the catalog says of everything that some views read.

    Attributes:
        edges: what each node reads directly, with whether a partition is being detached.
        functions: by OID, those that pg_depend leaves out too.
        operators: the function behind each operator.
        types: for each type, the parts it is made of with their shapes.
        epoch: what must be the same for counters to be comparable.
        counts: whether the server counts rows at all.
    """

    edges: Mapping[Node, Collection[tuple[Node, bool]]]
    relations: Mapping[int, Relation]
    functions: Mapping[int, Function] = field(default_factory=dict[int, Function])
    operators: Mapping[int, int] = field(default_factory=dict[int, int])
    types: Mapping[int, Mapping[int, str]] = field(default_factory=dict[int, Mapping[int, str]])
    epoch: tuple[str | None, ...] = ()
    counts: bool = True
    used: Mapping[Node, Used] = field(default_factory=dict[Node, Used])


def read_trees(
    relations: Mapping[int, Relation], functions: Iterable[Function]
) -> dict[Node, Used]:
    """Read all stored queries, each once."""
    trees = {Node("relation", each.oid): each.rule for each in relations.values()}
    trees |= {Node("function", each.oid): each.body for each in functions}
    return {node: used_by(tree) for node, tree in trees.items() if tree is not None}


def closure(catalog: Catalog, root: int, extra: Collection[int] = ()) -> list[tuple[Node, bool]]:
    """Return everything that a view reads, itself left out, other materialized views' sources too.

    Args:
        catalog: what is known.
        root: the view's OID.
        extra: relations that it is declared to read.
    """
    start = Node("relation", root)
    found: dict[tuple[Node, bool], None] = {}
    waiting = [(Node("relation", oid), False) for oid in extra]
    waiting += catalog.edges.get(start, ())
    while waiting:
        step = waiting.pop()
        if step in found or step[0] == start:
            continue
        found[step] = None
        relation = catalog.relations.get(step[0].oid) if step[0].kind == "relation" else None
        if relation is None or relation.kind != "m":
            waiting += catalog.edges.get(step[0], ())
    return list(found)


def fingerprint_of(
    catalog: Catalog,
    root: int,
    reached: Sequence[tuple[Node, bool]],
    refreshed: Mapping[QualifiedName, int],
) -> Fingerprint:
    """Take the fingerprint of one view.

    Args:
        catalog: what is known.
        root: the view's OID.
        reached: everything that it reads, see `closure`.
        refreshed: for views of ours, the newest refresh that changed them.
    """
    relations = [
        catalog.relations[n.oid]
        for n, _ in reached
        if n.oid in catalog.relations and n.kind == "relation"
    ]
    trees = [
        catalog.used[node]
        for node, _ in [*reached, (Node("relation", root), False)]
        if node in catalog.used and not _is_matview(catalog, node, root)
    ]
    functions = _functions(catalog, reached, trees)
    types = _types(catalog, relations, trees)
    return Fingerprint(
        leaves={str(r.oid): r.counters for r in relations if r.holds_rows},
        shape=_digest(reached, relations, functions, types),
        epoch=catalog.epoch,
        upstream={str(r.name): refreshed[r.name] for r in relations if r.name in refreshed},
        unprovable=tuple(dict.fromkeys(_unprovable(catalog, relations, trees, functions, types))),
    )


def _is_matview(catalog: Catalog, node: Node, root: int) -> bool:
    """Whether a node's tree says how another view is made, which its rows say already."""
    return node.kind == "relation" and node.oid != root and catalog.relations[node.oid].kind == "m"


def _functions(
    catalog: Catalog, reached: Iterable[tuple[Node, bool]], trees: Iterable[Used]
) -> list[Function]:
    oids = {node.oid for node, _ in reached if node.kind == "function"}
    for tree in trees:
        oids |= tree.functions
        oids |= {catalog.operators[oid] for oid in tree.operators if oid in catalog.operators}
    return [catalog.functions[oid] for oid in sorted(oids) if oid in catalog.functions]


def _types(
    catalog: Catalog, relations: Iterable[Relation], trees: Iterable[Used]
) -> dict[int, str]:
    oids = {oid for relation in relations for oid in relation.types}
    oids |= {oid for tree in trees for oid in tree.types}
    parts = {oid: "" for oid in oids if oid < FIRST_USER_OID}
    for oid in oids - parts.keys():
        parts |= catalog.types.get(oid, {})
    return parts


def _unprovable(
    catalog: Catalog,
    relations: Iterable[Relation],
    trees: Iterable[Used],
    functions: Iterable[Function],
    types: Collection[int],
) -> Iterator[str]:
    if not catalog.counts:
        yield "track_counts is off, so that changes are not counted"
    for relation in relations:
        yield from _hidden_changes(relation)
    for tree in trees:
        yield from (f"it uses {words}" for words in tree.unsteady)
    for function in functions:
        if reason := unsteadiness(function):
            yield f"it calls {reason}"
    if NAMES_OF_OBJECTS & set(types):
        yield "it holds regclass or its like, whose text follows the catalog"


def _hidden_changes(relation: Relation) -> Iterator[str]:
    if relation.kind not in _READABLE_KINDS:
        yield f"it reads {relation.name}, {_KINDS.get(relation.kind, 'which is no table')}"
    if not relation.is_heap:
        yield f"it reads {relation.name}, whose storage may not count its rows"
    if relation.row_security:
        yield f"it reads {relation.name}, which has row security"


def _digest(
    reached: Iterable[tuple[Node, bool]],
    relations: Iterable[Relation],
    functions: Iterable[Function],
    types: Mapping[int, str],
) -> str:
    facts = [
        sorted([*node, pending] for node, pending in reached),
        sorted([r.oid, str(r.name), r.shape, r.row_security] for r in relations),
        sorted([f.oid, f.version] for f in functions if f.oid >= FIRST_USER_OID),
        sorted(types.items()),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
