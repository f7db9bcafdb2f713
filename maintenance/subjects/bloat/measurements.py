"""Choose the relations to measure, in turns, and use earlier measurements. Pure.

One observation measures few relations, since pgstattuple reads them whole. Indexes that a run would
rebuild have reserved places, because an estimate alone does not act where measuring is possible.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from maintenance.policy.thresholds import BloatPolicy
from maintenance.subjects.bloat.estimate import MOST_GROWN, WIDEST
from maintenance.subjects.bloat.models import (
    Bloat,
    BloatSnapshot,
    Method,
    Observed,
    ObservedIndex,
    Past,
)
from maintenance.subjects.bloat.rebuilds import is_due

N_RESERVED = 3
"""Places of the indexes that would be rebuilt, before all others have theirs."""
UNKNOWN_WEIGHT = 0.5
"""The fraction that a relation of unknown bloat is taken to have."""
STILL_VALID = timedelta(days=14)
"""How long a measurement is used, while the size hardly changes."""


def measurement_order(stock: BloatSnapshot, section: BloatPolicy, now: datetime) -> list[Observed]:
    """Return the relations that are estimated as bloated, or unknown, in the order to measure them.

    The first are up to `N_RESERVED` indexes that would be rebuilt. Otherwise those come first whose
    last measurement is the oldest, and of those never measured the ones with most bytes to free.
    """
    waiting = sorted(_candidates(stock, section), key=lambda each: _turn(stock, each))
    due = [
        each
        for each in waiting
        if isinstance(each, ObservedIndex) and is_due(each, stock, section, now)
    ]
    first = due[:N_RESERVED]
    return [*first, *(each for each in waiting if each not in first)]


def with_earlier(stock: BloatSnapshot, now: datetime) -> BloatSnapshot:
    """Return the observation with earlier measurements that still hold instead of estimates."""
    earlier = {
        each.oid: found
        for each in (*stock.tables, *stock.indexes)
        if (found := _earlier(each, stock, now)) is not None
    }
    return replace(stock, bloat={**stock.bloat, **earlier})


def _candidates(stock: BloatSnapshot, section: BloatPolicy) -> Iterator[Observed]:
    for each in (*stock.tables, *stock.indexes):
        is_index = isinstance(each, ObservedIndex)
        least = section.index_fraction if is_index else section.table_fraction
        fraction = stock.bloat[each.oid].fraction
        is_locked = each.freshness.size_bytes is None
        if not is_locked and each.size_bytes and (fraction is None or fraction > least):
            yield each


def _turn(stock: BloatSnapshot, each: Observed) -> tuple[float, float]:
    last = _last(stock.past, each)
    fraction = stock.bloat[each.oid].fraction
    weight = each.size_bytes * (UNKNOWN_WEIGHT if fraction is None else fraction)
    return last.taken_at.timestamp() if last is not None else 0.0, -weight


def _last(past: Mapping[str, Sequence[Past]], each: Observed) -> Past | None:
    looks = reversed(past.get(str(each.relation), ()))
    return next((look for look in looks if look.was_tried), None)


def _earlier(each: Observed, stock: BloatSnapshot, now: datetime) -> Bloat | None:
    """Return the newest measurement, unless it is old or something shows that it changed."""
    last = _last(stock.past, each)
    estimated = stock.bloat[each.oid]
    if last is None or not last.is_exact or last.fraction is None:
        return None
    if last.taken_at < now - STILL_VALID or estimated.reason == "locked":
        return None
    largest = max(each.size_bytes, last.size_bytes)
    if abs(each.size_bytes - last.size_bytes) > MOST_GROWN * largest:
        return None
    if estimated.fraction is not None and abs(estimated.fraction - last.fraction) > WIDEST:
        return None
    if _was_rebuilt(each, stock, last.taken_at):
        return None
    return Bloat(Method.MEASURED_BEFORE, last.fraction)


def _was_rebuilt(each: Observed, stock: BloatSnapshot, since: datetime) -> bool:
    name = str(each.relation)
    return any(rebuild.name == name and rebuild.started_at >= since for rebuild in stock.rebuilds)
