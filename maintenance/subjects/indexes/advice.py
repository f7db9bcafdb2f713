"""Advise on every index: a pure function of the observation and the policy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from maintenance.formatting import PAGE_BYTES
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.definition_checks import constant_keys, has_few_values, is_wide
from maintenance.subjects.indexes.foreign_keys import (
    Served,
    UnservedKey,
    servants,
    sole_servants,
    unindexed,
)
from maintenance.subjects.indexes.models import Catalog, ForeignKey, Index, Table
from maintenance.subjects.indexes.redundancy import Redundancy, redundancies
from maintenance.subjects.indexes.trees import Tree, trees
from maintenance.subjects.indexes.usage import Evidence, Gap, ServerUsage, evidence


class IssueKind(StrEnum):
    """The possible issues of an index; the first that applies is reported."""

    INVALID = "invalid"
    DUPLICATE = "duplicate"
    REDUNDANT = "redundant"
    UNUSED = "unused"
    LOW_CARDINALITY = "low_cardinality"
    PREDICATE_IN_KEY = "predicate_in_key"
    WIDE_KEY = "wide_key"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The issue of one index, or of one partitioned index.

    Attributes:
        evidence: of its use; None if use is irrelevant.
        by: the index that covers it.
        serves: foreign keys that no other index serves.
        keys: key columns that its predicate makes constant.
    """

    charge: IssueKind
    tree: Tree
    evidence: Evidence
    by: Index | None = None
    serves: tuple[ForeignKey, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """The advice on all indexes of one database.

    Attributes:
        since: the beginning of the window.
        unproven: indexes without observed use, but with incomplete evidence.
        gaps: why the evidence is incomplete, by the server's name.
        unindexed: foreign keys without an index that serves them, most deletes of referenced rows
            first.
    """

    since: datetime
    verdicts: tuple[Verdict, ...] = ()
    unproven: tuple[Index, ...] = ()
    gaps: tuple[tuple[str, Gap], ...] = ()
    unindexed: tuple[UnservedKey, ...] = ()


@dataclass(frozen=True)
class Case:
    """The input of the advice on one index or partitioned index.

    Attributes:
        table: the table of its root.
        witnesses: every server, used only if usage is relevant.
        since: the beginning of the window.
        redundancy: the index that covers it, if any.
        serves: foreign keys that no other index serves.
    """

    tree: Tree
    table: Table
    witnesses: Sequence[ServerUsage]
    since: datetime
    redundancy: Redundancy | None = None
    serves: tuple[ForeignKey, ...] = ()

    @cached_property
    def evidence(self) -> Evidence:
        """Its use, summed over all servers."""
        return evidence(self.witnesses, [leaf.oid for leaf in self.tree.leaves], self.since)

    @property
    def index(self) -> Index:
        """The index to drop: the root of the tree."""
        return self.tree.root

    @property
    def is_proven(self) -> bool:
        """Whether the index and all its counters cover the whole window on all servers."""
        return self.evidence.is_complete and self.evidence.existed


def advise(
    catalog: Catalog, witnesses: Sequence[ServerUsage], policy: IndexesPolicy, now: datetime
) -> Advice:
    """Return the advice on every index.

    Args:
        catalog: all indexes, with their tables.
        witnesses: every server of the cluster, including unreachable ones.
        policy: thresholds.
        now: the end of the window.
    """
    since = now - policy.unused.window
    served = servants(catalog)
    cases = list(_cases(catalog, witnesses, served, since))
    verdicts = (_verdict(case, catalog, policy) for case in cases)
    gaps = ((witness.name, witness.gap(since)) for witness in witnesses)
    return Advice(
        since=since,
        verdicts=tuple(verdict for verdict in verdicts if verdict is not None),
        unproven=tuple(case.index for case in cases if _is_unproven(case, policy)),
        gaps=tuple((name, gap) for name, gap in gaps if gap is not None),
        unindexed=tuple(unindexed(served, catalog)),
    )


def _cases(
    catalog: Catalog, witnesses: Sequence[ServerUsage], served: Served, since: datetime
) -> Iterator[Case]:
    superfluous = {found.index.oid: found for found in redundancies(catalog)}
    sole = sole_servants(served)
    for tree in trees(catalog):
        index = tree.root
        yield Case(
            tree,
            catalog.tables[index.table_oid],
            witnesses,
            since,
            superfluous.get(index.oid),
            tuple(sole.get(index.oid, ())),
        )


def _verdict(case: Case, catalog: Catalog, policy: IndexesPolicy) -> Verdict | None:
    index, found = case.index, case.redundancy
    if not index.is_valid:
        return None if case.tree.is_building else _charged(IssueKind.INVALID, case)
    if found is not None:
        return _charged(IssueKind.DUPLICATE if found.is_duplicate else IssueKind.REDUNDANT, case)
    if _looks_unused(case, policy) and case.is_proven:
        return _charged(IssueKind.UNUSED, case)
    if not case.serves and has_few_values(case.tree, catalog, policy.low_cardinality):
        return _charged(IssueKind.LOW_CARDINALITY, case)
    if keys := constant_keys(index, case.table):
        return _charged(IssueKind.PREDICATE_IN_KEY, case, tuple(keys))
    return _charged(IssueKind.WIDE_KEY, case) if is_wide(index, case.table) else None


def _charged(charge: IssueKind, case: Case, keys: tuple[str, ...] = ()) -> Verdict:
    by = case.redundancy.by if case.redundancy is not None else None
    return Verdict(charge, case.tree, case.evidence, by, case.serves, keys)


def _looks_unused(case: Case, policy: IndexesPolicy) -> bool:
    """Whether an index has no observed use and no other purpose."""
    index = case.index
    return (
        not index.is_unique
        and not index.is_pinned
        and index.constraint is None
        and case.tree.pages * PAGE_BYTES >= policy.unused.min_size
        and case.evidence.scans <= policy.unused.max_scans
    )


def _is_unproven(case: Case, policy: IndexesPolicy) -> bool:
    return (
        case.index.is_valid
        and case.redundancy is None
        and _looks_unused(case, policy)
        and not case.is_proven
    )
