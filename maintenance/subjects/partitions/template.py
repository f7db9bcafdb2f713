"""Finds the template of partitions that are trees themselves, and the trees that differ from it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from zoneinfo import ZoneInfo

from maintenance.catalog.models import Partition, PropertyDifference
from maintenance.catalog.trees import Branch, Fault, Tree
from maintenance.ddl.trees import Blueprint, plain
from maintenance.formatting import listed
from maintenance.names import QualifiedName, quote
from maintenance.partition_key import PAST
from maintenance.partition_set.bounds import Span
from maintenance.partition_set.expected import PeriodRange, stamp
from maintenance.periods import period_at
from maintenance.policy import PartitionPolicy
from maintenance.subjects.partitions.names import Dated, bridge_name, tree_names

_HASH_BOUND = re.compile(r"FOR VALUES WITH \(modulus (\d+), remainder \d+\)\Z")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Siblings:
    """The template for new partitions of one table, and the partitions that differ from it.

    Attributes:
        model: the newest tree that can serve as template, with only the comments that all trees
            share; None if new partitions are plain tables.
        fault: why there are trees and none can serve as template, if so.
        differences: partitions, and tables below them, that differ from the model.
        refuses: whether one of them refuses rows of its own period.
    """

    model: Span | None = None
    fault: Fault | None = None
    differences: tuple[PropertyDifference, ...] = ()
    refuses: bool = False

    @property
    def are_trees(self) -> bool:
        """Whether any partition is partitioned itself."""
        return self.model is not None or self.fault is not None

    @property
    def unbuildable(self) -> str | None:
        """The reason, in words, why there are trees and none can serve as template, if so."""
        return None if self.fault is None else self.fault.text

    @property
    def tree(self) -> Tree | None:
        """The tree of the model."""
        return self.model.partition.tree if self.model is not None else None


PLAIN = Siblings()
"""For a table without partitions that are partitioned themselves."""


def siblings_of(spans: Sequence[Span], column: str) -> Siblings:
    """Find the model among a table's partitions, and compare the others with it.

    Args:
        spans: the partitions, in order of time.
        column: the key of the table; within a tree it may only be used for hash partitioning.
    """
    newest_first = [span for span in reversed(spans) if span.partition.kind == "p"]
    if not newest_first:
        return PLAIN
    fault_of = {span.partition.oid: _fault(span, column) for span in newest_first}
    model = next((span for span in newest_first if fault_of[span.partition.oid] is None), None)
    reference = model or newest_first[0]
    faults = [
        PropertyDifference(span.partition.relation, fault.text, reasons=(fault.reason,))
        for span in newest_first
        if (fault := fault_of[span.partition.oid]) is not None
    ]
    tree = reference.partition.tree
    differing: list[PropertyDifference] = []
    if tree is not None:
        others = (span for span in spans if span is not reference)
        differing = [oddity for span in others for oddity in _differences(span, tree)]
    return Siblings(
        model=_with_shared_comments(model, newest_first) if model is not None else None,
        fault=None if model is not None else fault_of[reference.partition.oid],
        differences=(*faults, *differing),
        refuses=any(_is_incomplete(span) for span in newest_first),
    )


def _with_shared_comments(model: Span, trees: Sequence[Span]) -> Span:
    """Remove comments that may describe one period only: a single tree shares none."""
    own = model.partition.tree
    assert own is not None, "it can be built again"
    others = [s.partition.tree.paths() for s in trees if s is not model and s.partition.tree]
    branches = tuple(
        branch
        if others
        and all(branch.comment == other[path].comment for other in others if path in other)
        else branch._replace(comment=None)
        for path, branch in own.paths().items()
    )
    return model._replace(partition=model.partition._replace(tree=Tree(branches)))


def _fault(span: Span, column: str) -> Fault | None:
    """Return the reason why a tree can't serve as template for another period, if any."""
    tree = span.partition.tree
    if tree is None:
        return Fault("unreadable", "its partitions could not be read")
    if tree.fault is not None:
        return tree.fault
    for branch in tree.branches:
        if branch.partition_by is None:
            continue
        if _depends_on(branch.partition_by, column):
            key = branch.partition_by
            what = f"{branch.relation} is partitioned by {key}, with bounds specific to its period"
            return Fault("bound_by_time", what)
    return next(_holes(tree), None)


def _depends_on(partition_by: str, column: str) -> bool:
    """Whether bounds of a key depend on the period; those of a hash never do."""
    pattern = rf"(?<![\w$]){re.escape(quote(column))}(?![\w$])"
    return not partition_by.startswith("HASH") and re.search(pattern, partition_by) is not None


def _is_incomplete(span: Span) -> bool:
    return span.partition.tree is not None and any(_holes(span.partition.tree))


def _holes(tree: Tree) -> Iterator[Fault]:
    """Yield the tables of a tree that refuse rows they should hold."""
    for branch in tree.branches:
        if branch.partition_by is None:
            continue
        children = tree.children(branch.oid)
        if not children:
            what = f"{branch.relation} has no partitions and refuses all rows"
            yield Fault("no_partitions", what)
        elif branch.partition_by.startswith("HASH") and _share(children) < 1:
            what = f"{branch.relation} lacks partitions of some remainders and refuses their rows"
            yield Fault("remainders_lacking", what)


def _share(children: Sequence[Branch]) -> Fraction:
    """Return the share of all hashes that the partitions of a table cover."""
    bounds = (_HASH_BOUND.match(child.bound or "") for child in children)
    return sum((Fraction(1, int(bound[1])) for bound in bounds if bound), Fraction())


def _differences(span: Span, model: Tree) -> Iterator[PropertyDifference]:
    partition = span.partition
    if partition.kind != "p":
        what = f"is not partitioned itself, unlike {model.root.relation}"
        yield PropertyDifference(partition.relation, what, reasons=("not_partitioned",))
        return
    if partition.tree is None:
        return
    own, wanted = partition.tree.paths(), model.paths()
    for path, branch in own.items():
        if path in wanted:
            others = list(_other_properties(branch, wanted[path]))
            if others:
                what = "; ".join(other.text for other in others)
                what = f"{what}, unlike {wanted[path].relation}"
                yield PropertyDifference(
                    branch.relation, what, reasons=tuple(each.reason for each in others)
                )
    for words, reason, paths in (
        ("lacks", "partitions_lacking", wanted.keys() - own),
        ("has", "partitions_more", own.keys() - wanted),
    ):
        if paths:
            shown = listed((" / ".join(path) for path in sorted(paths)), _SHOWN)
            what = f"{words} {shown}, unlike {model.root.relation}"
            yield PropertyDifference(partition.relation, what, reasons=(reason,))


def _other_properties(branch: Branch, wanted: Branch) -> Iterator[Fault]:
    if branch.partition_by != wanted.partition_by:
        yield Fault("partition_key", f"partitioned by {branch.partition_by or 'nothing'}")
    if branch.tablespace != wanted.tablespace:
        yield Fault("tablespace", f"tablespace {branch.tablespace or 'of the database'}")
    if branch.access_method != wanted.access_method:
        yield Fault("access_method", f"access method {branch.access_method or 'of its leaves'}")
    if branch.options != wanted.options:
        yield Fault("storage_options", f"storage options {{{','.join(branch.options)}}}")
    if branch.settings != wanted.settings:
        settings = (" ".join(setting) for setting in branch.settings)
        yield Fault("column_settings", f"settings of columns {{{', '.join(settings)}}}")
    if branch.publications != wanted.publications:
        yield Fault("publications", f"publications {{{', '.join(branch.publications)}}}")
    yield from _other_words(branch, wanted)


def _other_words(branch: Branch, wanted: Branch) -> Iterator[Fault]:
    """Yield differences of comments, row security policies and extended statistics."""
    if policies := set(branch.policies) ^ set(wanted.policies):
        names = ", ".join(sorted({name for name, _ in policies}))
        yield Fault("row_security_policies", f"row security policies {names}")
    if wanted.comment and not branch.comment:
        yield Fault("comment", "no comment")
    if wanted.columns_described and not branch.columns_described:
        yield Fault("column_comments", "no comments on columns")
    if branch.n_statistics != wanted.n_statistics:
        yield Fault("extended_statistics", f"extended statistics {branch.n_statistics}")


def slot_name(policy: PartitionPolicy, slot: PeriodRange) -> str:
    """Return the name of a slot's partition; a part of a period is named after its beginning."""
    name = policy.child_name(slot.period)
    return bridge_name(name, policy.table.name, stamp(slot.lower)) if slot.is_bridge else name


def of_slot(
    policy: PartitionPolicy,
    siblings: Siblings,
    calendar: ZoneInfo,
    partition: QualifiedName,
    slot: PeriodRange,
) -> Blueprint:
    """Return the blueprint of a slot's partition, modeled on its siblings.

    Args:
        policy: the table's.
        siblings: the template.
        calendar: of the positions of their bounds, see `partition_key.KeyCodec`.
        partition: the name of the new partition.
        slot: its range.
    """
    model, tree = siblings.model, siblings.tree
    if model is None or tree is None:
        return plain(partition)
    part_of, part = policy.period_part, ""
    if model.lower > PAST:
        part = part_of(period_at(model.lower, policy.interval, calendar))
    old = Dated(tree.root.relation.name, part)
    new_part = part_of(slot.period)
    if slot.is_bridge:
        new_part = bridge_name(new_part, policy.table.name, stamp(slot.lower))
    return Blueprint(tree, tree_names(tree, old, partition, new_part))


def in_place(default: Partition) -> Blueprint:
    """Return the blueprint of the default partition, with its own names."""
    branches = default.whole.branches
    return Blueprint(default.whole, {branch.oid: branch.relation for branch in branches})


def like_default(default: Partition, partition: QualifiedName) -> Blueprint:
    """Return the blueprint of a partition like the default partition, with another name."""
    old = Dated(default.relation.name, "")
    return Blueprint(default.whole, tree_names(default.whole, old, partition, ""))
