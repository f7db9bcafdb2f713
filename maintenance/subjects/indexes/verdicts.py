"""The case of one index, and the verdict on it: frozen, free of sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from maintenance.formatting import PAGE_BYTES
from maintenance.policy.thresholds import UnusedIndexes
from maintenance.subjects.indexes.models import ForeignKey, Index, Table
from maintenance.subjects.indexes.trees import Tree
from maintenance.subjects.indexes.usage import Evidence, ServerUsage, evidence


class IssueKind(StrEnum):
    """The possible issues of an index; the first that applies is reported."""

    INVALID = "invalid"
    DUPLICATE = "duplicate"
    REDUNDANT = "redundant"
    UNUSED = "unused"
    LOW_CARDINALITY = "low_cardinality"
    PREDICATE_IN_KEY = "predicate_in_key"
    WIDE_KEY = "wide_key"


class KeptFor(StrEnum):
    """Why an index with an issue is kept all the same."""

    FOREIGN_KEY = "last_index_of_foreign_key"
    READS = "only_this_index_is_read"
    SIZE = "covering_index_is_larger"
    EVIDENCE = "covering_index_may_be_unused"


class Verdict(NamedTuple):
    """The issue of one index, or of one partitioned index.

    Attributes:
        evidence: of its use.
        by: the index that covers it.
        by_pages: 8 kB blocks of that one; 0 if unknown.
        kept_for: why it is not to be dropped, although it has the issue.
        serves: foreign keys that no other index serves, once all advice is followed.
        keys: key columns that its predicate makes constant.
        skip_scans: indexes that stay and that find its first key by a skip scan.
        loses: expressions whose statistics the planner has by no other index that stays.
    """

    charge: IssueKind
    tree: Tree
    evidence: Evidence
    by: Index | None = None
    by_pages: int = 0
    kept_for: KeptFor | None = None
    serves: tuple[ForeignKey, ...] = ()
    keys: tuple[str, ...] = ()
    skip_scans: tuple[Index, ...] = ()
    loses: tuple[str, ...] = ()

    @property
    def is_drop(self) -> bool:
        """Whether the index is to be dropped. A partitioned index is repaired if it is invalid."""
        if self.charge is IssueKind.INVALID:
            return not self.tree.root.is_partitioned
        return self.charge in _DROPS and self.kept_for is None


_DROPS = frozenset(
    {IssueKind.DUPLICATE, IssueKind.REDUNDANT, IssueKind.UNUSED, IssueKind.LOW_CARDINALITY}
)


@dataclass(frozen=True)
class Case:
    """The input of the advice on one index or partitioned index.

    Attributes:
        tables: of all indexes, by OID.
        witnesses: every server, used only if usage is relevant.
        since: the beginning of the window.
        is_whole: whether its counters tell all: no partition of its table was locked, and it did
            not stay in the window for another one that was dropped, whose readers it has now.
        is_promised: whether an earlier run reported that it stays for an equal one.
    """

    tree: Tree
    tables: Mapping[int, Table]
    witnesses: Sequence[ServerUsage]
    since: datetime
    is_whole: bool = True
    is_promised: bool = False

    @cached_property
    def evidence(self) -> Evidence:
        """Its use, summed over all servers."""
        return evidence(self.witnesses, [leaf.oid for leaf in self.tree.leaves], self.since)

    @property
    def index(self) -> Index:
        """The index to drop: the root of the tree."""
        return self.tree.root

    @property
    def is_advised(self) -> bool:
        """Whether to advise on it at all: it is valid, and some table of it has rows to find."""
        root, leaves = self.tree.root, self.tree.leaves
        if not root.is_partitioned:
            return root.is_valid and not self.tables[root.table_oid].is_tiny
        return root.is_valid and not all(self.tables[leaf.table_oid].is_tiny for leaf in leaves)

    @property
    def is_proven(self) -> bool:
        """Whether the index and all its counters cover the whole window on all servers."""
        return self.is_whole and self.evidence.is_complete and self.evidence.existed

    @property
    def may_be_unused(self) -> bool:
        """Whether nothing is known to read it, and it is not proven that nothing does.

        An earlier or a later run may report it as unused: no other index is dropped for it.
        """
        return self.is_free and not self.evidence.observed and not self.is_proven

    @property
    def was_reset(self) -> bool:
        """Whether counters of its own were reset in the window, on some server."""
        oids = [leaf.oid for leaf in self.tree.leaves]
        return any(
            witness.was_reset(oid, self.since)
            for witness in self.witnesses
            if witness.knows_since(self.since)
            for oid in oids
        )

    @property
    def is_free(self) -> bool:
        """Whether it has no purpose but to be scanned."""
        index = self.index
        return not index.is_unique and not index.is_pinned and index.constraint is None

    def looks_unused(self, limits: UnusedIndexes) -> bool:
        """Whether an index of some size has no observed use and no other purpose."""
        return (
            self.tree.pages * PAGE_BYTES >= limits.min_size
            and self.is_free
            and self.is_advised
            and self.evidence.scans <= limits.max_scans
        )
