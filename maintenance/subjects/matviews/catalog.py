"""Read the inputs of fingerprints with a few set-based queries that take no lock."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from maintenance.names import QualifiedName
from maintenance.server.session import Connection, fetch
from maintenance.subjects.matviews.fingerprint import Catalog, read_trees
from maintenance.subjects.matviews.models import Function, Moment, Node, Relation, Session, Type
from maintenance.subjects.matviews.query_tree import Used, used_by
from maintenance.subjects.matviews.settings import CATEGORIES, IRRELEVANT


def read_moment(connection: Connection, ours: Collection[int]) -> Moment:
    """Read the server's clock and the sessions with uncounted writes; call before any counter.

    A session that ends between the two reads reports its counts on exit, so a session not listed
    here can't hide a write from the counters.

    Args:
        connection: a session in a transaction.
        ours: process ids of our own sessions, which write only to the store.
    """
    rows = fetch(connection, "matviews", "list_sessions", {"ours": list(ours)})
    sessions = tuple(
        Session(
            r.pid,
            r.is_visible,
            r.open_since,
            r.changed_at,
            r.is_streaming,
            r.username,
            r.application,
            r.xact_start,
        )
        for r in rows
        if r.pid is not None
    )
    return Moment(rows[0].read_at, sessions)


def read_catalog(
    connection: Connection, views: Collection[int], others: Collection[int]
) -> Catalog:
    """Read all objects that views depend on.

    Args:
        connection: a session in a transaction.
        views: OIDs of the views.
        others: OIDs of relations named in their `depends_on`.
    """
    edges: dict[Node, list[tuple[Node, bool]]] = defaultdict(list)
    parameters = {"views": list(views), "others": list(others)}
    nodes: set[Node] = set()
    for row in fetch(connection, "matviews", "list_edges", parameters):
        node = Node(row.to_class, row.to_oid)
        nodes.add(node)
        if row.oid is not None:
            edges[Node(row.of_class, row.oid)].append((node, row.pending))
    relations = _relations(connection, [node.oid for node in nodes if node.kind == "relation"])
    catalog = Catalog(edges, relations, used=read_trees(relations, ()))
    wanted = {node.oid for node in nodes if node.kind == "function"}
    return _with_epoch(connection, _with_everything_used(connection, catalog, wanted))


def _relations(connection: Connection, oids: Collection[int]) -> dict[int, Relation]:
    rows = fetch(connection, "matviews", "list_relations", {"relations": list(oids)})
    return {
        row.oid: Relation(
            oid=row.oid,
            name=QualifiedName(row.schema, row.name),
            kind=row.kind,
            counters=(row.filenode, row.n_inserted, row.n_updated, row.n_deleted),
            shape=row.shape,
            row_security=row.row_security,
            is_heap=row.is_heap,
            types=tuple(row.types or ()),
            rule=row.rule,
        )
        for row in rows
    }


def _with_everything_used(
    connection: Connection, catalog: Catalog, functions: Collection[int]
) -> Catalog:
    """Look up functions, operators and types, and their own dependencies, recursively."""
    found = _Lookup(catalog)
    wanted = set(functions)
    types = {oid for relation in catalog.relations.values() for oid in relation.types}
    for used in catalog.used.values():
        found.await_tree(used)
    found.await_types(types)
    found.await_functions(wanted)
    while found.is_waiting:
        if found.types:
            _look_up_types(connection, found)
        if found.functions or found.operators:
            _look_up_functions(connection, found)
    return found.catalog


@dataclass(slots=True)
class _Lookup:
    """The catalog read so far, and the OIDs still to look up."""

    catalog: Catalog
    functions: set[int] = field(default_factory=set[int])
    operators: set[int] = field(default_factory=set[int])
    types: set[int] = field(default_factory=set[int])
    asked: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])

    @property
    def is_waiting(self) -> bool:
        return bool(self.functions or self.operators or self.types)

    def await_tree(self, used: Used) -> None:
        self.await_functions(used.functions)
        self.operators |= self._new("operator", used.operators)
        self.await_types(used.types)

    def await_functions(self, oids: Collection[int]) -> None:
        self.functions |= self._new("function", oids)

    def await_types(self, oids: Collection[int]) -> None:
        self.types |= self._new("type", oids)

    def add_tree(self, node: Node, tree: str | None) -> None:
        if tree is not None:
            used = used_by(tree)
            self.catalog = replace(self.catalog, used={**self.catalog.used, node: used})
            self.await_tree(used)

    def _new(self, kind: str, oids: Collection[int]) -> set[int]:
        new = {oid for oid in oids if (kind, oid) not in self.asked}
        self.asked |= {(kind, oid) for oid in new}
        return new


def _look_up_types(connection: Connection, found: _Lookup) -> None:
    wanted, found.types = found.types, set()
    parts: dict[int, set[int]] = defaultdict(set)
    types: dict[int, Type] = {}
    for row in fetch(connection, "matviews", "list_types", {"types": list(wanted)}):
        parts[row.root].add(row.oid)
        if row.oid in types or row.oid in found.catalog.types:
            continue
        types[row.oid] = Type(
            oid=row.oid,
            name=row.name,
            kind=row.kind,
            shape=row.shape,
            is_array=row.is_array,
            input=row.input,
            output=row.output,
            functions=tuple(row.functions),
            extension=row.extension,
            has_own_class=row.has_own_class,
        )
        found.add_tree(Node("type", row.oid), row.checks)
        found.await_functions({row.input, row.output, *row.functions} - {0})
    catalog = found.catalog
    found.catalog = replace(
        catalog, types={**catalog.types, **types}, parts={**catalog.parts, **parts}
    )


def _look_up_functions(connection: Connection, found: _Lookup) -> None:
    parameters = {"functions": list(found.functions), "operators": list(found.operators)}
    found.functions, found.operators = set(), set()
    functions: dict[int, Function] = {}
    behind: dict[int, set[int]] = defaultdict(set)
    for row in fetch(connection, "matviews", "list_functions", parameters):
        if row.operator is not None:
            behind[row.operator].add(row.oid)
        if row.oid not in functions and row.oid not in found.catalog.functions:
            functions[row.oid] = function = _function(row)
            found.asked.add(("function", row.oid))
            found.add_tree(Node("function", row.oid), function.tree)
            found.await_functions(function.parts)
            found.await_types(function.parsed)
    catalog = found.catalog
    found.catalog = replace(
        catalog,
        functions={**catalog.functions, **functions},
        operators={**catalog.operators, **behind},
    )


def _function(row: Any) -> Function:
    return Function(
        oid=row.oid,
        name=row.name,
        volatility=row.volatility,
        language=row.language,
        kind=row.kind,
        version=row.version,
        body=row.body,
        defaults=row.defaults,
        extension=row.extension,
        parts=tuple(row.parts or ()),
        parsed=tuple(row.parsed or ()),
        is_constructor=row.is_constructor,
    )


def _with_epoch(connection: Connection, catalog: Catalog) -> Catalog:
    parameters = {"irrelevant": list(IRRELEVANT), "categories": list(CATEGORIES)}
    (row,) = fetch(connection, "matviews", "describe_epoch", parameters)
    epoch = (row.stats_reset, row.started, row.system, row.timeline, row.crashed, row.collation)
    return replace(catalog, epoch=epoch, counts=row.counts, settings=dict(row.settings or {}))
