"""Which indexes to drop: one plan, whose drops can all be carried out together.

Carried out together, they leave each foreign key that has an index with one, and each index that is
read with one that stays and can replace it. What that is not certain for is kept.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.definition_checks import has_few_values
from maintenance.subjects.indexes.foreign_keys import Served
from maintenance.subjects.indexes.models import Catalog, Index
from maintenance.subjects.indexes.redundancy import could_replace, is_same, rank
from maintenance.subjects.indexes.verdicts import Case, IssueKind, KeptFor

MUCH_LARGER = 6
"""An index this many times larger costs its readers more: nothing is taken for like it."""


class Drop(NamedTuple):
    """An index that could go, and why.

    Attributes:
        by: the index that covers it, which stays.
        by_pages: 8 kB blocks of that one; 0 if unknown.
        kept_for: why it is kept all the same; None if it is to be dropped.
    """

    case: Case
    kind: IssueKind
    by: Index | None = None
    by_pages: int = 0
    kept_for: KeptFor | None = None


def plan_drops(
    cases: Sequence[Case],
    idle: Sequence[Case],
    catalog: Catalog,
    served: Served,
    replacements: Mapping[int, Sequence[Index]],
    limits: IndexesPolicy,
) -> dict[int, Drop]:
    """Choose the indexes to drop, by the OID of their roots.

    Args:
        cases: all indexes.
        idle: those of them that look unused.
        catalog: with statistics of their columns.
        served: the indexes of each foreign key.
        replacements: the indexes that could replace each index.
        limits: thresholds.
    """
    plan = _Plan(cases, served, replacements)
    plan.add_unused([case for case in idle if case.is_proven])
    plan.add_covered()
    plan.add_copies()
    plan.add_few_values(catalog, limits)
    drops = {oid: plan.explained(drop) for oid, drop in plan.drops.items()}
    return without_conflicts(drops, cases, served, limits)


def without_conflicts(
    drops: Mapping[int, Drop], cases: Sequence[Case], served: Served, limits: IndexesPolicy
) -> dict[int, Drop]:
    """Return the drops that can be carried out together; those that conflict are left out.

    This checks the plan, however it was made: to leave a drop out never makes another one wrong.
    """
    if not drops:
        return {}
    roots = {leaf.oid: case.index.oid for case in cases for leaf in case.tree.members}
    gone = {oid for oid, drop in drops.items() if drop.kept_for is None}
    wrong = {oid for oid in gone if not _is_sound(drops[oid], gone, roots, limits)}
    for indexes in served.values():
        servants = {roots.get(index.oid, index.oid) for index in indexes}
        if servants and servants <= gone:
            wrong |= servants
    return {oid: drop for oid, drop in drops.items() if oid not in wrong}


def _is_sound(drop: Drop, gone: set[int], roots: Mapping[int, int], limits: IndexesPolicy) -> bool:
    case, by = drop.case, drop.by
    if by is not None:
        return roots.get(by.oid, by.oid) not in gone and could_replace(by, case.index)
    return case.is_free and case.is_proven and case.evidence.scans <= limits.unused.max_scans


class _Plan:
    """The plan while it is made: each step adds drops that those before it allow."""

    def __init__(
        self,
        cases: Sequence[Case],
        served: Served,
        replacements: Mapping[int, Sequence[Index]],
    ) -> None:
        self.drops: dict[int, Drop] = {}
        self._cases = cases
        self._replacements = replacements
        self._case_of = {index.oid: case for case in cases for index in case.tree.members}
        self._servants = [
            {self._root(index) for index in indexes} for indexes in served.values() if indexes
        ]
        self._keys: dict[int, list[int]] = defaultdict(list)
        for number, servants in enumerate(self._servants):
            for oid in servants:
                self._keys[oid].append(number)

    def add_unused(self, unused: Sequence[Case]) -> None:
        """Add indexes without use, the largest first: of two for a foreign key, one stays."""
        oids = {case.index.oid for case in unused}
        for case in sorted(unused, key=_size, reverse=True):
            equals = self._equals(case.index)
            # Of equal indexes, the server reads any: which one is kept is decided by their rank.
            if all(equal.oid in oids for equal in equals):
                needed = self._is_last_servant(case)
                self._add(Drop(case, IssueKind.UNUSED, kept_for=needed))

    def add_covered(self) -> None:
        """Add indexes that one that stays can replace."""

        @cache
        def is_covered(oid: int) -> bool:
            # An index of a partition goes with the partitioned one that it is attached to.
            index = self._case_of[oid].index
            return any(self._covers(a, index) for a in self._staying(index.oid))

        for case in self._cases:
            oid = case.tree.root.oid
            if oid in self._replacements and oid not in self.drops and case.is_advised:
                keepers = [
                    a
                    for a in self._staying(oid)
                    if not is_covered(a.oid) and self._covers(a, case.index)
                ]
                if keepers and not self._is_last_servant(case):
                    self._add_redundant(case, _best(keepers, case.index))

    def add_copies(self) -> None:
        """Add the copies of indexes that are kept although another one covers them."""
        for drop in list(self.drops.values()):
            index = drop.case.index
            if drop.kept_for is None or drop.kind is IssueKind.UNUSED:
                continue
            equals = [a for a in self._equals(index) if self._covers(a, index) and self._stays(a)]
            if equals and not self._is_last_servant(drop.case):
                by = max(equals, key=self._preference)
                self._add_redundant(drop.case, by)

    def add_few_values(self, catalog: Catalog, limits: IndexesPolicy) -> None:
        """Add indexes whose keys hardly select, if it is proven that nothing reads them."""
        keepers = {self._root(drop.by) for drop in self.drops.values() if drop.by is not None}
        for case in self._cases:
            if (
                has_few_values(case.tree, catalog, limits.low_cardinality)
                and case.index.oid not in self.drops
                and case.is_advised
                and case.is_free
                and case.index.oid not in keepers
                and case.is_proven
                and not case.evidence.observed
                and not self._is_last_servant(case)
            ):
                self._add(Drop(case, IssueKind.LOW_CARDINALITY))

    def _covers(self, a: Index, b: Index) -> bool:
        """Whether index B is redundant because A of the same table covers it.

        If each covers the other, the preference decides. Reversed sort orders are not equal,
        although a backward scan gives the same rows: the order was chosen on purpose.
        """
        return could_replace(a, b) and not (
            could_replace(b, a) and self._preference(b) > self._preference(a)
        )

    def _preference(self, index: Index) -> tuple[bool, bool, bool, bool, int, int]:
        """Return the sort key of equals: what an earlier run said stays, else the one read."""
        by_constraint, is_unique, n_included, number = rank(index)
        case = self._case_of[index.oid]
        is_read = case.evidence.observed > 0
        return by_constraint, is_unique, case.is_promised, is_read, n_included, number

    def explained(self, drop: Drop) -> Drop:
        """Return the drop of an unused index as one of a redundant one, if another covers it."""
        oid = drop.case.index.oid
        if drop.kind is not IssueKind.UNUSED or drop.kept_for or oid not in self._replacements:
            return drop
        keepers = [a for a in self._staying(oid) if self._stays(a)]
        if not keepers:
            return drop
        return self._redundant(drop.case, _best(keepers, drop.case.index))

    def _add(self, drop: Drop) -> None:
        oid = drop.case.index.oid
        self.drops[oid] = drop
        if drop.kept_for is None:
            for number in self._keys.get(oid, ()):
                self._servants[number].discard(oid)

    def _add_redundant(self, case: Case, by: Index) -> None:
        drop = self._redundant(case, by)
        reservation = self._reservation(drop)
        self._add(drop._replace(kept_for=reservation) if reservation else drop)

    def _redundant(self, case: Case, by: Index) -> Drop:
        kind = IssueKind.DUPLICATE if is_same(by, case.index) else IssueKind.REDUNDANT
        # One block is what an index has that was made with its table, until the next VACUUM.
        pages = self._pages(by) if case.tree.pages > 1 else 0
        return Drop(case, kind, by, pages)

    def _reservation(self, drop: Drop) -> KeptFor | None:
        """Return why an index that another one covers is kept all the same."""
        assert drop.by is not None, "superfluous by another one"
        keeper = self._case_of[drop.by.oid]
        is_read = drop.case.evidence.observed > 0
        is_alone = is_read and keeper.is_free and not keeper.evidence.observed
        # Of equals that can replace each other, none is unused as long as one is read.
        is_mutual = could_replace(drop.case.index, drop.by)
        if is_alone and not is_mutual:
            return KeptFor.READS
        if keeper.may_be_unused and not is_mutual:
            return KeptFor.EVIDENCE
        is_unread = drop.case.is_proven and not is_read
        is_costly = drop.by_pages >= MUCH_LARGER * drop.case.tree.pages > 0
        return KeptFor.SIZE if is_costly and not is_unread else None

    def _is_last_servant(self, case: Case) -> KeptFor | None:
        """Return the reason to keep an index that a foreign key has no other one than."""
        keys = self._keys.get(case.index.oid, ())
        is_last = any(len(self._servants[number]) <= 1 for number in keys)
        return KeptFor.FOREIGN_KEY if is_last else None

    def _equals(self, index: Index) -> Iterator[Index]:
        return (a for a in self._replacements.get(index.oid, ()) if could_replace(index, a))

    def _staying(self, oid: int) -> Iterator[Index]:
        """Yield the indexes that could replace one, but those that go because they are unused."""
        for a in self._replacements.get(oid, ()):
            drop = self.drops.get(self._root(a))
            if drop is None or drop.kept_for is not None or drop.kind is not IssueKind.UNUSED:
                yield a

    def _stays(self, index: Index) -> bool:
        drop = self.drops.get(self._root(index))
        return drop is None or drop.kept_for is not None

    def _root(self, index: Index) -> int:
        case = self._case_of.get(index.oid)
        return case.index.oid if case is not None else index.oid

    def _pages(self, index: Index) -> int:
        tree = self._case_of[index.oid].tree
        return tree.pages if tree.root.oid == index.oid else index.pages


def _best(keepers: Sequence[Index], index: Index) -> Index:
    return max(keepers, key=lambda a: (is_same(a, index), -len(a.keys), rank(a)))


def _size(case: Case) -> tuple[int, int, int]:
    return case.tree.pages, len(case.index.keys), case.index.oid
