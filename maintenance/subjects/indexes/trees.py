"""A partitioned index is one index: its leaves are judged, counted and dropped with it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from maintenance.subjects.indexes.models import Catalog, Index


@dataclass(frozen=True, slots=True)
class Tree:
    """An index with all that is attached to it, or alone.

    Attributes:
        root: what has a name for people, and is dropped.
        leaves: what is written and scanned; the root itself unless it is partitioned.
    """

    root: Index
    leaves: tuple[Index, ...]

    @property
    def pages(self) -> int:
        """8 kB blocks of all leaves."""
        return sum(leaf.pages for leaf in self.leaves)

    @property
    def is_building(self) -> bool:
        """Whether a build goes on anywhere in it."""
        return self.root.is_building or any(leaf.is_building for leaf in self.leaves)


def trees(catalog: Catalog) -> list[Tree]:
    """Put attached indexes below their roots, in the order in which the roots come."""
    attached: dict[int, list[Index]] = defaultdict(list)
    for index in catalog.indexes:
        if index.parent is not None:
            attached[index.parent].append(index)
    roots = (index for index in catalog.indexes if index.parent is None)
    return [Tree(root, tuple(_leaves(root, attached))) for root in roots]


def rows(tree: Tree, catalog: Catalog) -> float:
    """Estimate the rows of what a tree indexes; -1 where nobody knows."""
    whole = catalog.tables[tree.root.table_oid].rows
    if whole >= 0 or not tree.root.is_partitioned:
        return whole
    return _known(catalog.tables[leaf.table_oid].rows for leaf in tree.leaves)


def n_writes(tree: Tree, catalog: Catalog) -> int:
    """Count the row versions written to it since the counters began."""
    return sum(catalog.tables[leaf.table_oid].n_writes for leaf in tree.leaves)


def _leaves(index: Index, attached: dict[int, list[Index]]) -> Iterator[Index]:
    if not index.is_partitioned:
        yield index
    for child in attached.get(index.oid, ()):
        yield from _leaves(child, attached)


def _known(numbers: Iterable[float]) -> float:
    found = [number for number in numbers if number >= 0]
    return sum(found) if found else -1
