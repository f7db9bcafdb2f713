"""Selects which due tables one run retires, and gives the reason for each of the others.

A table that can't be dropped does not count against `max_per_run`: otherwise one view could block
all months forever. A table whose state is unknown is kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from maintenance.catalog.history import History
from maintenance.names import QualifiedName
from maintenance.partition_set.bounds import Span
from maintenance.partition_set.expiry import Detached, Expired
from maintenance.subjects.retention.models import Blockers, Case
from maintenance.subjects.retention.safeguards import (
    Reason,
    reason_to_keep,
    reason_to_keep_detached,
)


class Kept(NamedTuple):
    """A table that is due and not retired.

    Attributes:
        text: the reason, in words.
        reason: the reason, as a short code.
        by: the relations that block it, if any.
        waits: whether it waits only for other due partitions to be retired.
        guarded: whether it may be in use, by evidence that outweighs its bounds.
        is_ordinary: whether this is normal operation.
    """

    relation: QualifiedName
    text: str
    reason: str
    by: tuple[str, ...] = ()
    waits: bool = False
    guarded: bool = False
    is_ordinary: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as data of a finding."""
        return {
            "partition": str(self.relation),
            "reason": self.reason,
            "by": list(self.by),
            "waits": self.waits,
        }


class Leaving(NamedTuple):
    """A partition that is retired, and the ids of the actions that must be done before."""

    item: Expired
    after: tuple[str, ...]


@dataclass(slots=True)
class Surroundings:
    """What the selection for one table depends on, other than its own policy.

    Attributes:
        due: partitions of all tables of the policy that are to be dropped.
        dropped: those whose drop is already planned, with the id of the drop.
    """

    blockers: Blockers
    history: History
    due: frozenset[QualifiedName] = frozenset()
    dropped: dict[QualifiedName, str] = field(default_factory=dict[QualifiedName, str])


class Choice(NamedTuple):
    """The selection of one run for one table.

    Attributes:
        finishing: detached tables that are dropped.
        leaving: partitions that are retired.
        kept: tables that are due and not retired.
        n_due: how many could be retired without `max_per_run`.
    """

    finishing: Sequence[Detached]
    leaving: Sequence[Leaving]
    kept: Sequence[Kept]
    n_due: int


def choose(
    case: Case,
    left: Sequence[Detached],
    free: Sequence[Expired],
    spans: Sequence[Span],
    around: Surroundings,
) -> Choice:
    """Select what is retired, oldest first: detached tables before attached partitions.

    A table whose last drop failed comes last: it may fail again.

    Args:
        case: the table whose partitions they are.
        left: tables that earlier runs detached, and that are due to be dropped.
        free: expired partitions that no hold of the policy covers.
        spans: all partitions, in order of time.
        around: what else the selection depends on.
    """
    kept = [*_guarded(case, left), *_with_dependents(left, around.blockers.dependents)]
    stuck = {each.relation for each in kept}
    left = [item for item in left if item.table.relation not in stuck]
    leaving: list[Leaving] = []
    for item in free:
        guard = reason_to_keep(case, item, spans, around.blockers.evidence)
        found = _kept_by(item.relation, guard) if guard else _kept_or_leaving(case, item, around)
        kept.append(found) if isinstance(found, Kept) else leaving.append(found)
    fresh = [item for item in left if not _failed(item, around.history)]
    again = [item for item in left if _failed(item, around.history)]
    going = [*fresh, *leaving, *again][: case.retention.max_per_run]
    return Choice(
        finishing=[item for item in going if isinstance(item, Detached)],
        leaving=[item for item in going if isinstance(item, Leaving)],
        kept=kept,
        n_due=len(left) + len(leaving),
    )


def _failed(item: Detached, history: History) -> bool:
    deed = history.past_actions.get(str(item.table.relation))
    return deed is not None and (deed.kind, deed.outcome) == ("drop_partition", "failed")


def _guarded(case: Case, left: Sequence[Detached]) -> Iterator[Kept]:
    for item in left:
        guard = reason_to_keep_detached(case, item)
        if guard is not None:
            yield _kept_by(item.table.relation, guard)


def _kept_by(relation: QualifiedName, guard: Reason) -> Kept:
    return Kept(relation, guard.text, "guarded", guarded=True, is_ordinary=guard.is_ordinary)


def _with_dependents(
    left: Sequence[Detached], dependents: Mapping[int, tuple[str, ...]]
) -> Iterator[Kept]:
    for item in left:
        if standing := dependents.get(item.table.oid):
            yield _depended_on(item.table.relation, standing)


def _depended_on(relation: QualifiedName, standing: Sequence[str]) -> Kept:
    text = f"{', '.join(standing)} depends on it"
    return Kept(relation, text, "dependents", tuple(standing))


def _kept_or_leaving(case: Case, item: Expired, around: Surroundings) -> Kept | Leaving:
    oid = item.span.partition.oid
    standing = around.blockers.dependents.get(oid, ())
    if case.drops and standing:
        return _depended_on(item.relation, standing)
    if not case.table.referenced_by:
        return Leaving(item, ())
    holders = around.blockers.holders.get(oid)
    if holders is None:
        others = ", ".join(map(str, case.table.referenced_by))
        return Kept(
            item.relation,
            f"foreign keys of {others} reference this table, and the reference check exceeded"
            " lock_timeout",
            "references_unknown",
            tuple(map(str, case.table.referenced_by)),
        )
    after = [around.dropped[holder] for holder in holders if holder in around.dropped]
    if len(after) == len(holders):
        return Leaving(item, tuple(after))
    listed = ", ".join(map(str, holders))
    waits = around.due.issuperset(holders) and item.relation not in holders
    text = f"rows of {listed} reference its rows"
    return Kept(item.relation, text, "referenced", tuple(map(str, holders)), waits)
