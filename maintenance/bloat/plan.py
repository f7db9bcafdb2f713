"""Planning against bloat: what is too empty is told, and indexes are rebuilt where asked for."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from maintenance.bloat.findings import findings
from maintenance.bloat.models import Leftover, Method, Rebuild, SeenIndex, Stock
from maintenance.ddl.guards import require
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.engine.plans import Plan
from maintenance.engine.requests import Request
from maintenance.names import literal
from maintenance.policy import Policy

MOST_REBUILT = 2
"""Indexes rebuilt by one run."""
REST = timedelta(days=10)
"""An index that was rebuilt is left alone for so long."""


def plan(policy: Policy, stock: Stock, now: datetime, request: Request) -> Plan:
    """Plan what to tell and what to rebuild."""
    section = policy.bloat
    if section is None:
        return Plan()
    told = tuple(findings(policy, section, stock, now, request))
    if section.reindex != "concurrently":
        return Plan(findings=told)
    leftovers = [
        left for left in ours_among(stock.leftovers, stock.rebuilds) if request.concerns(left.table)
    ]
    cleaning = tuple(_clean(leftover) for leftover in leftovers)
    worst = list(_worst(stock, section.index_fraction, now, request))
    rebuilding = (_rebuild(stock, index, cleaning) for index in worst[:MOST_REBUILT])
    return Plan(actions=(*cleaning, *rebuilding), findings=told)


def ours_among(leftovers: Sequence[Leftover], rebuilds: Sequence[Rebuild]) -> Iterator[Leftover]:
    """Yield the invalid indexes that a killed rebuild of ours has left, known by OIDs alone.

    Before the swap that is the new index, a twin of the one that was to be rebuilt; after it,
    the old one. What somebody is building just now is left alone.
    """
    open_ = [rebuild for rebuild in rebuilds if rebuild.ended_at is None]
    known = {oid for rebuild in open_ for oid in (rebuild.old_oid, rebuild.new_oid)}
    started = {rebuild.old_oid for rebuild in open_}
    for leftover in leftovers:
        is_twin = bool(started.intersection(leftover.twins))
        if not leftover.is_building and (leftover.oid in known or is_twin):
            yield leftover


def settled(leftovers: Sequence[Leftover], rebuilds: Sequence[Rebuild]) -> Iterator[Rebuild]:
    """Yield the rebuilds of killed runs of which nothing is left."""
    for rebuild in rebuilds:
        if rebuild.ended_at is None and not any(_is_of(left, rebuild) for left in leftovers):
            yield rebuild


def _is_of(leftover: Leftover, rebuild: Rebuild) -> bool:
    by_oid = leftover.oid in (rebuild.old_oid, rebuild.new_oid)
    return by_oid or rebuild.old_oid in leftover.twins


def drop_leftover(leftover: Leftover) -> tuple[Step, Step]:
    """Return the steps that drop an invalid index without stopping readers and writers."""
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
        "a rebuild that was killed has left it; it costs writes and serves no query",
        table=str(leftover.table),
        destructive=False,
        preconditions={"oid": leftover.oid},
    )


def _worst(stock: Stock, threshold: float, now: datetime, request: Request) -> Iterator[SeenIndex]:
    """Yield the indexes to rebuild, the most to win first."""
    measurable = stock.extension.schema is not None and not stock.extension.remedy
    sure = {Method.EXACT} if measurable else {Method.EXACT, Method.ESTIMATE}
    rested = _rested(stock.rebuilds, now)
    chosen = [
        index
        for index in stock.indexes
        if index.is_rebuildable
        and index.manageable
        and request.concerns(index.table)
        and str(index.relation) not in rested
        and stock.bloat[index.oid].method in sure
        and (stock.bloat[index.oid].fraction or 0) > threshold
    ]
    yield from sorted(chosen, key=lambda each: (-_won(stock, each), each.relation))


def _rested(rebuilds: Sequence[Rebuild], now: datetime) -> set[str]:
    return {
        rebuild.name
        for rebuild in rebuilds
        if rebuild.size_after is not None and rebuild.started_at > now - REST
    }


def _won(stock: Stock, index: SeenIndex) -> float:
    return (stock.bloat[index.oid].fraction or 0) * index.size_bytes


def _rebuild(stock: Stock, index: SeenIndex, cleaning: Sequence[Action]) -> Action:
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
        f"{bloat.fraction or 0:.0%} of it is empty ({bloat.method})",
        table=str(index.table),
        after=tuple(each.id for each in cleaning if each.table == str(index.table)),
        preconditions={"oid": index.oid},
    )
