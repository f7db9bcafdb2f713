"""Reading what fingerprints are made of: a few set-based queries that take no lock."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from maintenance.matviews.fingerprint import Catalog, read_trees
from maintenance.matviews.models import Function, Moment, Node, Relation, Session
from maintenance.matviews.rules import FIRST_USER_OID
from maintenance.names import QualifiedName
from maintenance.server.session import Connection, fetch


def read_moment(connection: Connection, ours: Collection[int]) -> Moment:
    """Say what time it is, and who else may hold writes; to be read before any counter.

    A session that ends between the two delivers its counts on the way out, so none that was not
    seen here hides a write from the counters.

    Args:
        connection: a session in a transaction.
        ours: process ids of our own sessions that write nothing but history.
    """
    rows = fetch(connection, "matviews", "list_sessions", {"ours": list(ours)})
    sessions = tuple(
        Session(r.pid, r.is_visible, r.open_since, r.changed_at) for r in rows if r.pid is not None
    )
    return Moment(rows[0].read_at, sessions, connection.info.server_version)


def read_catalog(
    connection: Connection, views: Collection[int], others: Collection[int]
) -> Catalog:
    """Read everything that views read.

    Args:
        connection: a session in a transaction.
        views: OIDs of the views.
        others: OIDs of relations that they are declared to read.
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
    catalog = Catalog(edges, relations)
    catalog = _with_functions(connection, catalog, nodes)
    return _with_epoch(connection, _with_types(connection, catalog))


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


def _with_functions(connection: Connection, catalog: Catalog, nodes: Collection[Node]) -> Catalog:
    used = read_trees(catalog.relations, ())
    wanted = {node.oid for node in nodes if node.kind == "function"}
    wanted |= {oid for tree in used.values() for oid in tree.functions}
    operators = {oid for tree in used.values() for oid in tree.operators}
    functions, behind = _functions(connection, wanted, operators)
    bodies = read_trees({}, functions.values())
    if bodies:
        inner = {oid for tree in bodies.values() for oid in tree.functions} - functions.keys()
        operators = {oid for tree in bodies.values() for oid in tree.operators} - behind.keys()
        more, behind_more = _functions(connection, inner, operators)
        functions, behind = functions | more, behind | behind_more
    return replace(catalog, functions=functions, operators=behind, used=used | bodies)


def _functions(
    connection: Connection, functions: Collection[int], operators: Collection[int]
) -> tuple[dict[int, Function], dict[int, int]]:
    parameters = {"functions": list(functions), "operators": list(operators)}
    rows = fetch(connection, "matviews", "list_functions", parameters)
    return {row.oid: _function(row) for row in rows}, {
        row.operator: row.oid for row in rows if row.operator is not None
    }


def _function(row: Any) -> Function:
    return Function(
        row.oid, row.name, row.volatility, row.language, row.kind, row.version, row.body
    )


def _with_types(connection: Connection, catalog: Catalog) -> Catalog:
    wanted = {oid for relation in catalog.relations.values() for oid in relation.types}
    wanted |= {oid for tree in catalog.used.values() for oid in tree.types}
    own = [oid for oid in wanted if oid >= FIRST_USER_OID]
    types: dict[int, dict[int, str]] = defaultdict(dict)
    if own:
        for row in fetch(connection, "matviews", "list_types", {"types": own}):
            types[row.root][row.oid] = row.shape
    return replace(catalog, types=types)


def _with_epoch(connection: Connection, catalog: Catalog) -> Catalog:
    (row,) = fetch(connection, "matviews", "describe_epoch")
    epoch = (row.stats_reset, row.started, row.system, row.timeline)
    return replace(catalog, epoch=epoch, counts=row.counts)
