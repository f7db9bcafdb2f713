"""Partitioned indexes: an index and all attached indexes are advised on as one."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from maintenance.subjects.indexes.models import Catalog, Index


class Tree(NamedTuple):
    """An index with all indexes attached to it, if any.

    Attributes:
        root: the index that messages name and that is dropped.
        leaves: the indexes with storage; the root itself unless it is partitioned.
        inner: partitioned indexes between the root and the leaves.
    """

    root: Index
    leaves: tuple[Index, ...]
    inner: tuple[Index, ...] = ()

    @property
    def members(self) -> tuple[Index, ...]:
        """All its indexes, the root first."""
        return (self.root, *self.inner, *self.leaves) if self.root.is_partitioned else self.leaves

    @property
    def pages(self) -> int:
        """8 kB blocks of all leaves."""
        if not self.root.is_partitioned:
            return self.root.pages
        return sum(leaf.pages for leaf in self.leaves)

    @property
    def is_building(self) -> bool:
        """Whether any of its indexes is being built."""
        return self.root.is_building or any(leaf.is_building for leaf in self.leaves)


def trees(catalog: Catalog) -> list[Tree]:
    """Group attached indexes below their roots, in the order of the roots."""
    attached: dict[int, list[Index]] = defaultdict(list)
    for index in catalog.indexes:
        if index.parent is not None:
            attached[index.parent].append(index)
    roots = (index for index in catalog.indexes if index.parent is None)
    return [_tree(root, attached) for root in roots]


def rows(tree: Tree, catalog: Catalog) -> float:
    """Estimate the rows of the tables of a tree; -1 if unknown."""
    whole = catalog.tables[tree.root.table_oid].rows
    if whole >= 0 or not tree.root.is_partitioned:
        return whole
    return _known(catalog.tables[leaf.table_oid].rows for leaf in tree.leaves)


def n_writes(tree: Tree, catalog: Catalog) -> int:
    """Count the row versions written to it since the counters began."""
    return sum(catalog.tables[leaf.table_oid].n_writes for leaf in tree.leaves)


def parents_of_locked(catalog: Catalog) -> set[int]:
    """Return the partitioned tables above tables whose indexes could not be read."""
    locked: set[int] = set()
    if catalog.blind:
        for table in catalog.tables.values():
            above = table.parent if table.relation in catalog.blind else None
            while above is not None:
                locked.add(above)
                parent = catalog.tables.get(above)
                above = parent.parent if parent is not None else None
    return locked


def _tree(root: Index, attached: Mapping[int, list[Index]]) -> Tree:
    if not root.is_partitioned:
        return Tree(root, (root,))
    below = list(_below(root, attached))
    leaves = tuple(index for index in below if not index.is_partitioned)
    return Tree(root, leaves, tuple(index for index in below if index.is_partitioned))


def _below(index: Index, attached: Mapping[int, list[Index]]) -> Iterator[Index]:
    for child in attached.get(index.oid, ()):
        yield child
        yield from _below(child, attached)


def _known(numbers: Iterable[float]) -> float:
    found = [number for number in numbers if number >= 0]
    return sum(found) if found else -1
