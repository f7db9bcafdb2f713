"""Which periods a table should have: from its start to the horizon, never one that expired."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from maintenance.keys import PAST, first_year
from maintenance.partitioning.coverage import Coverage
from maintenance.periods import Period, parse_period, period_at, period_of, periods_between
from maintenance.policy import PartitionPolicy


class Slot(NamedTuple):
    """A period that should have a partition, with its bounds in UTC."""

    period: Period
    lower: datetime
    upper: datetime


def current_period(policy: PartitionPolicy, now: datetime) -> Period:
    """Return the period that holds now, on the policy's calendar."""
    return period_at(now, policy.interval, policy.time_zone)


def horizon(policy: PartitionPolicy, now: datetime) -> Period:
    """Return the last period that must exist. Counted from the clock, never from the data."""
    return current_period(policy, now).shift(policy.premake)


def first_period(policy: PartitionPolicy, coverage: Coverage, now: datetime) -> Period:
    """Return the first period that must exist: `start`, else the oldest, but none expired."""
    current = current_period(policy, now)
    first = policy.start or min(current, _oldest(policy, coverage) or current)
    floor = kept_since(policy, now)
    return max(first, floor) if floor is not None else first


def kept_since(policy: PartitionPolicy, now: datetime) -> Period | None:
    """Return the first period that retention still keeps; None when it keeps everything."""
    retention = policy.retention
    if retention is None or retention.action == "keep":
        return None
    today = now.astimezone(policy.time_zone).date()
    return period_of(retention.keep.before(today), policy.interval)


def refusal(policy: PartitionPolicy, key: str, now: datetime) -> str | None:
    """Tell why a period that somebody asks for must not be created, if so."""
    try:
        period = parse_period(key, policy.interval)
    except ValueError as exc:
        return str(exc)
    floor = kept_since(policy, now)
    if floor is not None and period < floor:
        return f"{key} has expired: retention keeps {floor} and later"
    if period.start.year < first_year(policy.encoding):
        return f"{key} lies before the time that encoding {policy.encoding.value} can hold"
    last = horizon(policy, now)
    if period > last:
        return f"{key} lies beyond the horizon {last}, {policy.premake} ahead of now"
    return None


def asked_slots(policy: PartitionPolicy, keys: Sequence[str], now: datetime) -> tuple[Slot, ...]:
    """Return the slots of periods somebody asks for, without those that are refused."""
    allowed = {key for key in keys if refusal(policy, key, now) is None}
    periods = sorted(parse_period(key, policy.interval) for key in allowed)
    return tuple(_slot(period, policy.time_zone) for period in periods)


@lru_cache(maxsize=1024)
def slots(first: Period, last: Period, zone: ZoneInfo) -> tuple[Slot, ...]:
    """Return the slots from first to last, both included."""
    found = (_slot(period, zone) for period in periods_between(first, last))
    # A zone that moved across the date line has a day without a moment (Apia, 2011-12-30).
    return tuple(slot for slot in found if slot.lower < slot.upper)


def _slot(period: Period, zone: ZoneInfo) -> Slot:
    return Slot(period, *period.bounds(zone))


def _oldest(policy: PartitionPolicy, coverage: Coverage) -> Period | None:
    bounded = (span.lower for span in coverage.spans if span.lower > PAST)
    lower = next(bounded, None)
    if lower is None:
        return None
    return period_at(lower, policy.interval, policy.time_zone)
