"""Read the trees of all subpartitioned partitions with one query, or none if there are none."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from maintenance.catalog.models import MarkedTable, Partition
from maintenance.catalog.trees import Branch, Tree
from maintenance.names import QualifiedName
from maintenance.server.session import Connection, fetch

Children = Mapping[int, Sequence[Partition]]
"""Lists of partitions by the OID of their parent."""


def grown(connection: Connection, children: Children) -> Children:
    """Return partitions with their trees and the total sizes and rows."""
    trees = _read(connection, [p.oid for found in children.values() for p in found if _is_tree(p)])
    if not trees:
        return children
    return {parent: [_with_tree(p, trees) for p in found] for parent, found in children.items()}


def grown_marked(
    connection: Connection, tables: Iterable[tuple[MarkedTable, str]]
) -> tuple[MarkedTable, ...]:
    """Return marked tables with their trees and sizes; each is given with its kind."""
    known = list(tables)
    trees = _read(connection, [table.oid for table, kind in known if kind == "p"])
    return tuple(_marked_with_tree(table, trees.get(table.oid)) for table, _ in known)


def drifted_branches(connection: Connection, children: Children, most: int) -> list[Any]:
    """Return the tables within trees that may differ from the partitioned table at the top."""
    pairs = [
        (parent, branch.oid)
        for parent, found in children.items()
        for partition in found
        if partition.tree is not None
        for branch in partition.tree.below
    ]
    if not pairs:
        return []
    tops, branches = map(list, zip(*pairs, strict=True))
    parameters = {"tops": tops, "branches": branches, "most": most}
    return fetch(connection, "catalog", "list_drifted_branches", parameters)


def unreadable(partition: Partition) -> QualifiedName | None:
    """Return the table of a partition that could not be read, if any."""
    if partition.bound is None or (_is_tree(partition) and partition.tree is None):
        return partition.relation
    return partition.tree.unreadable if partition.tree is not None else None


def _is_tree(partition: Partition) -> bool:
    return partition.kind == "p"


def _read(connection: Connection, roots: Collection[int]) -> dict[int, Tree]:
    if not roots:
        return {}
    branches: dict[int, list[Branch]] = defaultdict(list)
    for row in fetch(connection, "catalog", "list_trees", {"roots": list(roots)}):
        branches[row.root].append(_branch(row))
    return {root: Tree(tuple(found)) for root, found in branches.items()}


def _branch(row: Any) -> Branch:
    return Branch(
        parent=row.parent,
        oid=row.oid,
        relation=QualifiedName(row.schema, row.name),
        kind=row.kind,
        detach_pending=row.detach_pending,
        bound=row.bound,
        pages=row.pages,
        rows=row.rows,
        partition_by=row.partition_by,
        identity=tuple(row.identity or ()),
        tablespace=row.tablespace,
        access_method=row.access_method,
        options=tuple(row.options or ()),
        settings=tuple((column, key, value) for column, key, value in row.settings or ()),
        publications=tuple(row.publications or ()),
        policies=tuple((name, clauses) for name, clauses in row.policies or ()),
        comment=row.comment,
        columns_described=row.columns_described,
        n_statistics=row.n_statistics,
    )


def _with_tree(partition: Partition, trees: Mapping[int, Tree]) -> Partition:
    tree = trees.get(partition.oid)
    if tree is None:
        return partition
    return partition._replace(tree=tree, pages=tree.pages, rows=tree.rows)


def _marked_with_tree(table: MarkedTable, tree: Tree | None) -> MarkedTable:
    if tree is None:
        return table
    return replace(table, pages=tree.pages, tree=tree)
