"""Advise on every index: a pure function of the observation and the policy."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from maintenance.policy.thresholds import IndexesPolicy, LowCardinality, UnusedIndexes
from maintenance.subjects.indexes.definition_checks import (
    constant_keys,
    finds_by_skip_scan,
    is_wide,
)
from maintenance.subjects.indexes.drop_plan import Drop, plan_drops
from maintenance.subjects.indexes.foreign_keys import (
    Served,
    UnservedKey,
    servants,
    sole_servants,
    unindexed,
)
from maintenance.subjects.indexes.models import Catalog, Index
from maintenance.subjects.indexes.redundancy import replacements
from maintenance.subjects.indexes.trees import Tree, parents_of_locked, trees
from maintenance.subjects.indexes.usage import Gap, ServerUsage
from maintenance.subjects.indexes.verdicts import Case, IssueKind, Verdict


@dataclass(frozen=True, slots=True)
class Advice:
    """The advice on all indexes of one database.

    Attributes:
        since: the beginning of the window.
        unproven: indexes without observed use, but with incomplete evidence.
        reset: those of them whose own counters were reset in the window.
        gaps: why the evidence is incomplete, by the server's name.
        unindexed: foreign keys without an index that serves them, most deletes of referenced rows
            first.
    """

    since: datetime
    verdicts: tuple[Verdict, ...] = ()
    unproven: tuple[Index, ...] = ()
    reset: tuple[Index, ...] = ()
    gaps: tuple[tuple[str, Gap], ...] = ()
    unindexed: tuple[UnservedKey, ...] = ()


def advise(
    catalog: Catalog,
    witnesses: Sequence[ServerUsage],
    policy: IndexesPolicy,
    now: datetime,
    successors: Collection[str] = (),
) -> Advice:
    """Return the advice on every index.

    Args:
        catalog: all indexes, with their tables.
        witnesses: every server of the cluster, including unreachable ones.
        policy: thresholds.
        now: the end of the window.
        successors: names of indexes that stayed for one that was dropped in the window.
    """
    since = now - policy.unused.window
    served = servants(catalog)
    locked = parents_of_locked(catalog)
    cases = [
        Case(
            tree,
            catalog.tables,
            witnesses,
            since,
            tree.root.table_oid not in locked and not _has_succeeded(tree, successors),
        )
        for tree in trees(catalog)
    ]
    replacing = replacements(catalog)
    drops = plan_drops(cases, catalog, served, replacing, policy)
    verdicts = (_verdict(case, drops.get(case.index.oid), catalog) for case in cases)
    found = [verdict for verdict in verdicts if verdict is not None]
    unproven = [
        case for case in cases if case.index.oid not in drops and _is_unproven(case, policy.unused)
    ]
    gaps = ((witness.name, witness.gap(since)) for witness in witnesses)
    return Advice(
        since=since,
        verdicts=tuple(_with_context(found, catalog, served, policy.low_cardinality)),
        unproven=tuple(case.index for case in unproven),
        reset=tuple(case.index for case in unproven if case.was_reset),
        gaps=tuple((name, gap) for name, gap in gaps if gap is not None),
        unindexed=tuple(unindexed(served, catalog)),
    )


def _has_succeeded(tree: Tree, successors: Collection[str]) -> bool:
    return bool(successors) and any(str(index.relation) in successors for index in tree.members)


def _verdict(case: Case, drop: Drop | None, catalog: Catalog) -> Verdict | None:
    index, table = case.index, catalog.tables[case.index.table_oid]
    if not index.is_valid:
        return None if case.tree.is_building else _charged(IssueKind.INVALID, case)
    if not case.is_advised:
        return None
    if drop is not None:
        evidence = case.evidence
        return Verdict(drop.kind, case.tree, evidence, drop.by, drop.by_pages, drop.kept_for)
    if keys := constant_keys(index, table):
        return _charged(IssueKind.PREDICATE_IN_KEY, case, tuple(keys))
    return _charged(IssueKind.WIDE_KEY, case) if is_wide(index, table) else None


def _charged(charge: IssueKind, case: Case, keys: tuple[str, ...] = ()) -> Verdict:
    return Verdict(charge, case.tree, case.evidence, keys=keys)


def _with_context(
    verdicts: Sequence[Verdict], catalog: Catalog, served: Served, limits: LowCardinality
) -> Iterator[Verdict]:
    """Add to verdicts on unused indexes what else their tables have once the advice is followed."""
    gone = {index.oid for v in verdicts if v.is_drop for index in v.tree.members}
    tables = {v.tree.root.table_oid for v in verdicts if v.charge is IssueKind.UNUSED}
    staying: dict[int, list[Index]] = defaultdict(list)
    for index in catalog.indexes:
        if index.table_oid in tables and index.oid not in gone:
            staying[index.table_oid].append(index)
    keys = sole_servants(
        {key: [i for i in found if i.oid not in gone] for key, found in served.items()}
    )
    for verdict in verdicts:
        root = verdict.tree.root
        if verdict.charge is not IssueKind.UNUSED:
            yield verdict
            continue
        table = catalog.tables[root.table_oid]
        others = staying[root.table_oid] if catalog.has_skip_scan else ()
        yield replace(
            verdict,
            serves=tuple(key for index in verdict.tree.members for key in keys.get(index.oid, ())),
            skip_scans=tuple(
                other
                for other in others
                if other.oid != root.oid and finds_by_skip_scan(other, root, table, limits)
            ),
        )


def _is_unproven(case: Case, limits: UnusedIndexes) -> bool:
    return case.looks_unused(limits) and not case.is_proven
