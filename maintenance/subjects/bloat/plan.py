"""Plan for bloat: report it, and rebuild indexes if the policy says so."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from maintenance.ddl.guards import require
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.names import literal
from maintenance.policy import Policy
from maintenance.policy.thresholds import BloatPolicy
from maintenance.subjects.bloat.findings import findings, left_by_others
from maintenance.subjects.bloat.models import (
    BloatSnapshot,
    Leftover,
    Method,
    ObservedIndex,
    Rebuild,
)
from maintenance.subjects.bloat.rebuilds import is_due

MOST_REBUILT = 2
"""How many indexes one run rebuilds."""


def plan(policy: Policy, stock: BloatSnapshot, now: datetime, request: Request) -> Plan:
    """Return the findings, and the rebuilds to do."""
    section = policy.bloat
    if section is None:
        return Plan()
    ours = list(ours_among(stock.leftovers, stock.rebuilds))
    others = [left for left in stock.leftovers if left not in ours and request.includes(left.table)]
    told = (
        *findings(policy, section, stock, now, request),
        *left_by_others(policy, others),
    )
    if section.reindex != "concurrently":
        return Plan(findings=told)
    leftovers = [left for left in ours if request.includes(left.table)]
    cleaning = tuple(_clean(leftover) for leftover in leftovers)
    worst = list(_worst(stock, section, now, request))
    rebuilding = (_rebuild(stock, index, cleaning) for index in worst[:MOST_REBUILT])
    return Plan(actions=(*cleaning, *rebuilding), findings=told)


def ours_among(leftovers: Sequence[Leftover], rebuilds: Sequence[Rebuild]) -> Iterator[Leftover]:
    """Yield the invalid indexes left by failed or killed rebuilds of ours.

    An index that is being built now is left out.
    """
    open_ = [rebuild for rebuild in rebuilds if rebuild.ended_at is None]
    for leftover in leftovers:
        if not leftover.is_building and any(_is_of(leftover, rebuild) for rebuild in open_):
            yield leftover


def settled(leftovers: Sequence[Leftover], rebuilds: Sequence[Rebuild]) -> Iterator[Rebuild]:
    """Yield the rebuilds of killed runs without a leftover."""
    for rebuild in rebuilds:
        if rebuild.ended_at is None and not any(_is_of(left, rebuild) for left in leftovers):
            yield rebuild


def _is_of(leftover: Leftover, rebuild: Rebuild) -> bool:
    """Whether an invalid index was provably created by a rebuild.

    Before the swap it is the new index: it was observed during the build, or it is a copy of the
    rebuilt index that the table did not have when the rebuild began. After the swap it is the old
    index, which a valid copy has replaced.
    """
    if leftover.oid == rebuild.new_oid:
        return True
    if leftover.oid == rebuild.old_oid:
        return bool(leftover.twins)
    if rebuild.indexes_before is not None and (
        leftover.table_oid != rebuild.table_oid or leftover.oid in rebuild.indexes_before
    ):
        return False
    return leftover.is_copy and rebuild.old_oid in leftover.twins


def drop_leftover(leftover: Leftover) -> tuple[Step, Step]:
    """Return the steps that drop an invalid index without blocking readers and writers."""
    name = literal(str(leftover.relation))
    guard = require(
        "EXISTS (SELECT FROM pg_catalog.pg_index i WHERE NOT i.indisvalid"
        f" AND i.indexrelid = {leftover.oid} AND i.indexrelid = pg_catalog.to_regclass({name}))",
        f"{leftover.relation} is not the invalid index that was observed",
    )
    drop = Step(
        statements=(f"DROP INDEX CONCURRENTLY {leftover.relation}",),
        locks=(Lock(str(leftover.table), LockMode.SHARE_UPDATE_EXCLUSIVE),),
        concurrent=True,
    )
    return Step(statements=(guard,)), drop


def _clean(leftover: Leftover) -> Action:
    return Action(
        ActionKind.REMOVE_REBUILD,
        str(leftover.relation),
        drop_leftover(leftover),
        "left by a failed or killed rebuild: maintained on writes but not usable",
        table=str(leftover.table),
        destructive=False,
        preconditions={"oid": leftover.oid},
    )


def _worst(
    stock: BloatSnapshot, section: BloatPolicy, now: datetime, request: Request
) -> Iterator[ObservedIndex]:
    """Yield the indexes to rebuild, most bytes to free first."""
    sure = {Method.EXACT}
    if not stock.extension.is_usable:
        sure |= {Method.MEASURED_BEFORE, Method.ESTIMATE}
    chosen = [
        index
        for index in stock.indexes
        if request.includes(index.table)
        and is_due(index, stock, section, now)
        and stock.bloat[index.oid].method in sure
        and (stock.bloat[index.oid].fraction or 0) > section.index_fraction
    ]
    yield from sorted(chosen, key=lambda each: (-_won(stock, each), each.relation))


def _won(stock: BloatSnapshot, index: ObservedIndex) -> float:
    return (stock.bloat[index.oid].fraction or 0) * index.size_bytes


def _rebuild(stock: BloatSnapshot, index: ObservedIndex, cleaning: Sequence[Action]) -> Action:
    bloat = stock.bloat[index.oid]
    step = Step(
        statements=(f"REINDEX INDEX CONCURRENTLY {index.relation}",),
        locks=(Lock(str(index.table), LockMode.SHARE_UPDATE_EXCLUSIVE),),
        concurrent=True,
    )
    return Action(
        ActionKind.REINDEX,
        str(index.relation),
        (step,),
        f"bloat {bloat.fraction or 0:.0%} ({bloat.method})",
        table=str(index.table),
        after=tuple(each.id for each in cleaning if each.table == str(index.table)),
        preconditions={"oid": index.oid},
    )
