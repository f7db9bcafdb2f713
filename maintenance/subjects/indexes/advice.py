"""Advise on every index: a pure function of the observation and the policy."""

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from maintenance.policy.thresholds import IndexesPolicy, LowCardinality
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
        own_gaps: why the counters of some of them do not tell all, on whatever server.
        unindexed: foreign keys without an index that serves them, most deletes of referenced rows
            first.
    """

    since: datetime
    verdicts: tuple[Verdict, ...] = ()
    unproven: tuple[Index, ...] = ()
    reset: tuple[Index, ...] = ()
    gaps: tuple[tuple[str, Gap], ...] = ()
    own_gaps: tuple[tuple[Index, Gap], ...] = ()
    unindexed: tuple[UnservedKey, ...] = ()


def advise(
    catalog: Catalog,
    witnesses: Sequence[ServerUsage],
    policy: IndexesPolicy,
    now: datetime,
    successors: Mapping[str, Gap] = MappingProxyType({}),
    promised: Container[str] = frozenset(),
    replaceable: Mapping[int, Sequence[Index]] | None = None,
) -> Advice:
    """Return the advice on every index.

    Args:
        catalog: all indexes, with their tables.
        witnesses: every server of the cluster, including unreachable ones.
        policy: thresholds.
        now: the end of the window.
        successors: by name, indexes that stayed for one that was dropped in the window, and why.
        promised: names of indexes of which an earlier run reported that they stay for an equal one.
        replaceable: the indexes that could replace each index, if they are known already.
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
            tree.root.table_oid not in locked and _succession(tree, successors) is None,
            bool(promised) and str(tree.root.relation) in promised,
        )
        for tree in trees(catalog)
    ]
    idle = [case for case in cases if case.looks_unused(policy.unused)]
    if replaceable is None:
        replaceable = replacements(catalog)
    drops = plan_drops(cases, idle, catalog, served, replaceable, policy)
    verdicts = (_verdict(case, drops.get(case.tree.root.oid), catalog) for case in cases)
    found = [verdict for verdict in verdicts if verdict is not None]
    unproven = [case for case in idle if case.index.oid not in drops and not case.is_proven]
    gaps = ((witness.name, witness.gap(since)) for witness in witnesses)
    own = ((case.index, _own_gap(case, locked, successors)) for case in unproven)
    return Advice(
        since=since,
        verdicts=tuple(_with_context(found, catalog, served, policy.low_cardinality)),
        unproven=tuple(case.index for case in unproven),
        reset=tuple(case.index for case in unproven if case.was_reset),
        gaps=tuple((name, gap) for name, gap in gaps if gap is not None),
        own_gaps=tuple((index, gap) for index, gap in own if gap is not None),
        unindexed=tuple(unindexed(served, catalog)),
    )


def _succession(tree: Tree, successors: Mapping[str, Gap]) -> Gap | None:
    if not successors:
        return None
    found = (successors.get(str(index.relation)) for index in tree.members)
    return next((gap for gap in found if gap is not None), None)


def _own_gap(case: Case, locked: Container[int], successors: Mapping[str, Gap]) -> Gap | None:
    if case.index.table_oid in locked:
        return Gap("part_locked", "a partition of its table is locked")
    return _succession(case.tree, successors)


def _verdict(case: Case, drop: Drop | None, catalog: Catalog) -> Verdict | None:
    index = case.tree.root
    if not index.is_valid:
        return None if case.tree.is_building else _charged(IssueKind.INVALID, case)
    if not case.is_advised:
        return None
    table = catalog.tables[index.table_oid]
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
    """Add to verdicts what else their tables have once the advice is followed."""
    gone = {index.oid for v in verdicts if v.is_drop for index in v.tree.members}
    tables = {v.tree.root.table_oid for v in verdicts if v.is_drop or v.charge is IssueKind.UNUSED}
    staying: dict[int, list[Index]] = defaultdict(list)
    for index in catalog.indexes:
        if index.table_oid in tables and index.oid not in gone:
            staying[index.table_oid].append(index)
    keys = sole_servants(
        {key: [i for i in found if i.oid not in gone] for key, found in served.items()}
    )
    for verdict in verdicts:
        root = verdict.tree.root
        if verdict.is_drop and root.expressions:
            verdict = verdict._replace(loses=_lost(root, staying[root.table_oid]))  # noqa: PLW2901
        if verdict.charge is not IssueKind.UNUSED:
            yield verdict
            continue
        table = catalog.tables[root.table_oid]
        others = staying[root.table_oid] if catalog.has_skip_scan else ()
        yield verdict._replace(
            serves=tuple(key for index in verdict.tree.members for key in keys.get(index.oid, ())),
            skip_scans=tuple(
                other
                for other in others
                if other.oid != root.oid and finds_by_skip_scan(other, root, table, limits)
            ),
        )


def _lost(index: Index, others: Sequence[Index]) -> tuple[str, ...]:
    """Return the expressions of an index that no other one holds, over as many rows."""
    held = {
        text
        for other in others
        if other.is_valid and other.predicate in {None, index.predicate}
        for text in other.expressions
    }
    return tuple(text for text in index.expressions if index.is_valid and text not in held)
