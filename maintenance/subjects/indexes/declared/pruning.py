"""How many partitions a plan reads, and why it can't leave any out. Pure.

A plan leaves partitions out while it is made (their scans are missing), when an execution starts
(a generic plan, or a condition with now(): `Subplans Removed`), or while it runs, row by row of a
join. EXPLAIN shows the first two. What is only found out while it runs is not judged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from maintenance.names import QualifiedName
from maintenance.subjects.indexes.declared.plan_conditions import (
    ColumnUse,
    How,
    Scan,
    shown_use,
)

PARTITIONS_READ = "partitions_read"
"""The name of what plans read among the facts of a plan."""

LEAST_PARTITIONS = 2
"""A table of fewer has nothing to leave out."""

_TEXTS = frozenset({"text", "varchar", "bpchar", "character varying", "character"})
"""Types between which a cast of a column changes nothing."""


class Partitioning(NamedTuple):
    """How a table is partitioned.

    Attributes:
        strategy: `r` range, `l` list, `h` hash, of the first level.
        n_partitions: those with rows, at all levels.
        keys: the key columns of all levels, with their types.
        has_expression: whether a key is an expression.
        is_pruning: whether the setting enable_partition_pruning is on.
    """

    relation: QualifiedName
    strategy: str
    n_partitions: int
    keys: Mapping[str, str]
    has_expression: bool = False
    is_pruning: bool = True


class Unpruned(StrEnum):
    """Why a query reads all partitions."""

    NO_CONDITION = "no_condition_on_the_key"
    FUNCTION = "function_on_the_key"
    CAST = "cast_of_the_key"
    EXPRESSION = "expression_on_the_key"
    ALTERNATIVE = "other_branch_of_or"
    OPERATOR = "operator"
    JOIN = "compared_with_another_table"
    SETTING = "enable_partition_pruning_off"
    UNKNOWN = "unknown"


class Cause(NamedTuple):
    """Why a query reads all partitions, with the expression or column."""

    reason: Unpruned
    text: str


@dataclass(frozen=True, slots=True)
class PartitionsRead:
    """The partitions of one table that a plan reads.

    Attributes:
        n_read: of `n_partitions`; those that a join leaves out while it runs count as read.
        removed_at_start: partitions that the plan has and the start of an execution leaves out, of
            all tables of the plan together.
        cause: why all are read; None if some are left out, all are wanted, or the plan decides
            while it runs, such as by a LIMIT on partitions that are read in their order.
    """

    relation: QualifiedName
    n_read: int
    n_partitions: int
    removed_at_start: int = 0
    cause: Cause | None = None

    def as_json(self) -> dict[str, Any]:
        """What is read, for documents."""
        return {
            "table": str(self.relation),
            "read": self.n_read,
            "partitions": self.n_partitions,
            "removed_at_start": self.removed_at_start,
            "reason": self.cause.reason.value if self.cause is not None else None,
        }


def partitions_read(
    scans: Sequence[Scan],
    removed_at_start: int,
    tables: Mapping[QualifiedName, Partitioning],
    roots: Mapping[QualifiedName, QualifiedName],
    named: Sequence[QualifiedName] = (),
) -> tuple[PartitionsRead, ...]:
    """Return what a plan reads of partitioned tables.

    Args:
        scans: of the plan.
        removed_at_start: partitions that the start of an execution leaves out.
        tables: partitioned tables, by name.
        roots: the partitioned table of each partition.
        named: the relations that the query names, of which a plan may read no partition at all.
    """
    by_table: dict[QualifiedName, list[Scan]] = {
        relation: [] for relation in named if relation in tables
    }
    for scan in scans:
        root = roots.get(scan.relation, scan.relation)
        if root in tables:
            by_table.setdefault(root, []).append(scan)
    return tuple(
        _read(tables[relation], found, removed_at_start) for relation, found in by_table.items()
    )


def _read(table: Partitioning, scans: Sequence[Scan], removed_at_start: int) -> PartitionsRead:
    n_read = len({scan.relation for scan in scans})
    is_all = n_read >= table.n_partitions >= LEAST_PARTITIONS
    cause = _cause(table, scans) if is_all else None
    return PartitionsRead(table.relation, n_read, table.n_partitions, removed_at_start, cause)


def _cause(table: Partitioning, scans: Sequence[Scan]) -> Cause | None:
    """Return why all partitions are read; None if the conditions want or may want them all."""
    if not table.is_pruning:
        return Cause(Unpruned.SETTING, "enable_partition_pruning is off")
    if all(scan.ends_early for scan in scans):
        return None
    if not all(scan.is_readable for scan in scans):
        return Cause(Unpruned.UNKNOWN, "its conditions were not understood")
    uses = list(
        dict.fromkeys(use for scan in scans for use in scan.uses if use.column in table.keys)
    )
    if any(_serves(use, table) for use in uses):
        return None
    return next(_causes(uses), None) or _without_condition(table, scans)


def _without_condition(table: Partitioning, scans: Sequence[Scan]) -> Cause:
    """Return why all partitions are read if no condition of the scans has a key."""
    joined = {each.column for scan in scans for each in scan.joined} & table.keys.keys()
    if joined:
        text = f"{min(joined)} is only compared with a column of another table"
        return Cause(Unpruned.JOIN, text)
    if table.has_expression:
        text = "the partition key is an expression, which its conditions do not have"
        return Cause(Unpruned.EXPRESSION, text)
    keys = ", ".join(table.keys)
    return Cause(Unpruned.NO_CONDITION, f"it has no condition on {keys}")


def _serves(use: ColumnUse, table: Partitioning) -> bool:
    """Whether a condition can leave partitions out, so that it wants all or is decided later."""
    if use.how is How.CAST:
        return use.detail in _TEXTS and table.keys[use.column] in _TEXTS
    if use.how is How.RANGE:
        return table.strategy != "h"
    return use.how in (How.EQUAL, How.ANY, How.IS_NULL, How.IS_TRUE, How.IS_FALSE)


_REASONS = {
    How.FUNCTION: Unpruned.FUNCTION,
    How.CAST: Unpruned.CAST,
    How.EXPRESSION: Unpruned.EXPRESSION,
    How.ALTERNATIVE: Unpruned.ALTERNATIVE,
    How.OPERATOR: Unpruned.OPERATOR,
    How.RANGE: Unpruned.OPERATOR,
}


def _causes(uses: Sequence[ColumnUse]) -> Iterator[Cause]:
    """Yield the reasons that conditions on the key show, the most telling first."""
    for how, reason in _REASONS.items():
        for use in uses:
            if use.how is how:
                yield Cause(reason, _said(use))


def _said(use: ColumnUse) -> str:
    shown = shown_use(use)
    if use.how is How.FUNCTION:
        return f"it compares {shown}, not {use.column} itself"
    if use.how is How.CAST:
        return f"it compares {shown}: cast the value, not the column"
    if use.how is How.EXPRESSION:
        return f"it computes with {shown} before it compares"
    if use.how is How.ALTERNATIVE:
        return f"{shown} is restricted in one branch of an OR only"
    return f"the operator {use.detail} on {shown} excludes no partition"
