"""Compute fingerprints: comparable facts that determine the content of a view."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from maintenance.names import QualifiedName
from maintenance.subjects.matviews.models import Fingerprint, Function, Node, Relation, Type
from maintenance.subjects.matviews.query_tree import FIRST_USER_OID, Used, used_by
from maintenance.subjects.matviews.volatility import (
    prints_anything,
    unknown_types,
    unsteadiness,
    unsteady_input,
    unsteady_output,
)

_READABLE_KINDS = frozenset("rpvmc")
_KINDS = {"f": "a foreign table", "S": "a sequence"}


@dataclass(frozen=True, slots=True)
class Catalog:
    """Catalog data of all objects that some views read.

    Attributes:
        edges: the nodes each node reads directly, and whether a partition is being detached.
        functions: by OID, including those without rows in pg_depend.
        operators: the functions behind each operator.
        parts: for each type, all its component types, including itself.
        epoch: values that must be equal for counters to be comparable.
        counts: whether track_counts is on.
        settings: those that differ from the server's defaults.
        used: the objects each stored query or domain uses.
    """

    edges: Mapping[Node, Collection[tuple[Node, bool]]]
    relations: Mapping[int, Relation]
    functions: Mapping[int, Function] = field(default_factory=dict[int, Function])
    operators: Mapping[int, Collection[int]] = field(default_factory=dict[int, Collection[int]])
    types: Mapping[int, Type] = field(default_factory=dict[int, Type])
    parts: Mapping[int, Collection[int]] = field(default_factory=dict[int, Collection[int]])
    epoch: tuple[str | None, ...] = ()
    counts: bool = True
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    used: Mapping[Node, Used] = field(default_factory=dict[Node, Used])


def read_trees(
    relations: Mapping[int, Relation], functions: Iterable[Function]
) -> dict[Node, Used]:
    """Parse all stored queries, each once."""
    trees = {Node("relation", each.oid): each.rule for each in relations.values()}
    trees |= {Node("function", each.oid): each.tree for each in functions}
    return {node: used_by(tree) for node, tree in trees.items() if tree is not None}


def closure(catalog: Catalog, root: int, extra: Collection[int] = ()) -> list[tuple[Node, bool]]:
    """Return all objects a view reads, except itself, including those behind other views.

    Args:
        catalog: data of all objects on the way.
        root: the view's OID.
        extra: relations named in its `depends_on`.
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
    """Compute the fingerprint of one view.

    Args:
        catalog: data of all objects on the way.
        root: the view's OID.
        reached: all objects that it reads, see `closure`.
        refreshed: for views of the policy, the newest refresh that changed them.
    """
    relations = [
        catalog.relations[n.oid]
        for n, _ in reached
        if n.oid in catalog.relations and n.kind == "relation"
    ]
    own = [
        node
        for node, _ in [*reached, (Node("relation", root), False)]
        if not _is_other_matview(catalog, node, root)
    ]
    using = _Using(catalog)
    using.add_nodes(using.add_types(oid for r in relations for oid in r.types))
    using.add_nodes(own)
    known = {relation.oid for relation in relations} | {root}
    return Fingerprint(
        leaves={str(r.oid): r.counters for r in relations if r.holds_rows},
        shape=_digest(reached, relations, using.functions.values(), using.types.values()),
        epoch=catalog.epoch,
        upstream={str(r.name): refreshed[r.name] for r in relations if r.name in refreshed},
        settings=catalog.settings,
        unprovable=tuple(dict.fromkeys(_unprovable(catalog, relations, using, known))),
    )


def _is_other_matview(catalog: Catalog, node: Node, root: int) -> bool:
    """Whether a node is another materialized view, whose rows are already counted."""
    if node.kind != "relation" or node.oid == root:
        return False
    relation = catalog.relations.get(node.oid)
    return relation is not None and relation.kind == "m"


@dataclass(slots=True)
class _Using:
    """All objects that the queries of one view use, down to the functions of types.

    Attributes:
        lost: objects that could not be found, as text.
    """

    catalog: Catalog
    functions: dict[int, Function] = field(default_factory=dict[int, Function])
    types: dict[int, Type] = field(default_factory=dict[int, Type])
    trees: dict[Node, Used] = field(default_factory=dict[Node, Used])
    lost: list[str] = field(default_factory=list[str])

    def add_nodes(self, nodes: Iterable[Node]) -> None:
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if node.kind == "function":
                waiting += self._add_function(node.oid)
            if node in self.trees or node not in self.catalog.used:
                continue
            self.trees[node] = used = self.catalog.used[node]
            waiting += [Node("function", oid) for oid in used.functions - self.functions.keys()]
            for oid in used.operators:
                behind = self.catalog.operators.get(oid)
                if behind is None:
                    self.lost.append(f"operator {oid}, which no longer exists")
                waiting += [Node("function", each) for each in behind or ()]
            waiting += self.add_types(used.types)

    def add_types(self, oids: Iterable[int]) -> list[Node]:
        """Add types with all their parts; return their constraint and cast functions."""
        found: list[Node] = []
        for oid in oids:
            if oid not in self.catalog.parts:
                self.lost.append(f"type {oid}, which no longer exists")
            for part in self.catalog.parts.get(oid, ()):
                if part in self.types:
                    continue
                self.types[part] = type_ = self.catalog.types[part]
                found += [Node("type", part), *(Node("function", f) for f in type_.functions)]
        return found

    def parts_of(self, oids: Iterable[int]) -> list[Type]:
        """Return types with all their parts."""
        parts = {part for oid in oids for part in self.catalog.parts.get(oid, ())}
        return [self.catalog.types[part] for part in sorted(parts)]

    def _add_function(self, oid: int) -> list[Node]:
        if oid in self.functions:
            return []
        function = self.catalog.functions.get(oid)
        if function is None:
            self.lost.append(f"function {oid}, which no longer exists")
            return []
        self.functions[oid] = function
        return [
            *(Node("function", part) for part in function.parts),
            *self.add_types(function.parsed),
        ]


def _unprovable(
    catalog: Catalog, relations: Iterable[Relation], using: _Using, known: Collection[int]
) -> Iterator[str]:
    if not catalog.counts:
        yield "track_counts is off, so changes are not counted"
    for relation in relations:
        yield from _hidden_changes(relation)
    for tree in using.trees.values():
        yield from (f"it uses {words}" for words in tree.unsteady)
        if tree.relations - set(known):
            yield "it reads a relation through a type or an operator, which is not supported"
    for function in using.functions.values():
        if reason := unsteadiness(function):
            yield f"it calls {reason}"
    yield from (f"it uses {words}" for words in using.lost)
    yield from unknown_types(using.types.values())
    yield from _conversions(catalog, using)


def _conversions(catalog: Catalog, using: _Using) -> Iterator[str]:
    """Yield the conversions to or from text that are not proven immutable."""
    prints = any(tree.prints for tree in using.trees.values())
    if prints or any(map(prints_anything, using.functions.values())):
        yield from unsteady_output(using.types.values(), catalog.functions)
    parsed = {oid for tree in using.trees.values() for oid in tree.parsed}
    parsed |= {oid for function in using.functions.values() for oid in function.parsed}
    yield from unsteady_input(using.parts_of(parsed), catalog.functions)


def _hidden_changes(relation: Relation) -> Iterator[str]:
    if relation.kind not in _READABLE_KINDS:
        yield f"it reads {relation.name}, {_KINDS.get(relation.kind, 'which is not a table')}"
    if not relation.is_heap:
        yield f"it reads {relation.name}, whose table access method may not count changes"
    if relation.row_security:
        yield f"it reads {relation.name}, which has row-level security"


def _digest(
    reached: Iterable[tuple[Node, bool]],
    relations: Iterable[Relation],
    functions: Iterable[Function],
    types: Iterable[Type],
) -> str:
    facts = [
        sorted([*node, pending] for node, pending in reached),
        sorted([r.oid, str(r.name), r.shape, r.row_security] for r in relations),
        sorted([f.oid, f.version] for f in functions if f.oid >= FIRST_USER_OID),
        sorted([t.oid, t.shape] for t in types),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
