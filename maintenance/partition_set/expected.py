"""Computes the periods a table should have: from its start to the horizon, without expired ones."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from maintenance.partition_key import PAST, KeyCodec, first_year
from maintenance.partition_set.bounds import Coverage, Span, bound_literals
from maintenance.partition_set.expiry import kept_since
from maintenance.periods import Period, parse_period, period_at, periods_between
from maintenance.policy import PartitionPolicy


class PeriodRange(NamedTuple):
    """A period, or a part of one, that should have a partition.

    Attributes:
        period: the period, or the one that contains the part.
        lower: position of its lower bound, see `partition_key.KeyCodec`.
        upper: likewise of the upper one.
        texts: its two bounds as written in the catalog for the adjacent partitions, if it begins or
            ends at a partition and not at a boundary of the calendar.
        is_bridge: whether it is a part that partitions with other bounds leave uncovered.
    """

    period: Period
    lower: datetime
    upper: datetime
    texts: tuple[str | None, str | None] = (None, None)
    is_bridge: bool = False

    @property
    def key(self) -> str:
        """The period's key; for a part of one, the moment at which it begins."""
        return stamp(self.lower) if self.is_bridge else self.period.key

    def literals(self, codec: KeyCodec) -> tuple[str, str]:
        """Return its bounds as SQL text."""
        lower, upper = self.texts
        return lower or codec.literal(self.lower), upper or codec.literal(self.upper)


def stamp(position: datetime) -> str:
    """Return a position as digits and dashes: `2026-11-29-230000`."""
    text = position.isoformat(timespec="microseconds")
    fraction = text[20:26].rstrip("0")
    return f"{text[:10]}-{text[11:19].replace(':', '')}{'-' if fraction else ''}{fraction}"


def current_period(policy: PartitionPolicy, now: datetime) -> Period:
    """Return the period that contains now, on the policy's calendar."""
    return period_at(now, policy.interval, policy.time_zone)


def horizon(policy: PartitionPolicy, now: datetime) -> Period:
    """Return the last period that must exist, counted from the clock, never from the data."""
    return current_period(policy, now).shift(policy.premake)


def first_period(
    policy: PartitionPolicy, coverage: Coverage, calendar: ZoneInfo, now: datetime
) -> Period:
    """Return the first period that must exist: `start` or the oldest, but not an expired one."""
    current = current_period(policy, now)
    first = policy.start or min(current, _oldest(policy, coverage, calendar) or current)
    floor = kept_since(policy, now)
    return max(first, floor) if floor is not None else first


def refusal(policy: PartitionPolicy, key: str, now: datetime) -> str | None:
    """Return the reason why a requested period must not be created, if any."""
    try:
        period = parse_period(key, policy.interval)
    except ValueError as exc:
        return str(exc)
    floor = kept_since(policy, now)
    if floor is not None and period < floor:
        return f"{key} has expired: retention keeps {floor} and later"
    if period.start.year < first_year(policy.encoding):
        return f"{key} is before the first date of encoding {policy.encoding.value}"
    last = horizon(policy, now)
    if period > last:
        return f"{key} is after the horizon {last} (premake {policy.premake})"
    return None


def asked_slots(
    policy: PartitionPolicy, keys: Sequence[str], calendar: ZoneInfo, now: datetime
) -> tuple[PeriodRange, ...]:
    """Return the slots of requested periods, without those that are refused."""
    allowed = {key for key in keys if refusal(policy, key, now) is None}
    periods = sorted(parse_period(key, policy.interval) for key in allowed)
    return tuple(_slot(period, calendar) for period in periods)


@lru_cache(maxsize=1024)
def slots(first: Period, last: Period, calendar: ZoneInfo) -> tuple[PeriodRange, ...]:
    """Return the slots from first to last, both included, on the calendar of their positions."""
    found = (_slot(period, calendar) for period in periods_between(first, last))
    # A zone that moved across the date line has an empty day (Apia, 2011-12-30).
    return tuple(slot for slot in found if slot.lower < slot.upper)


def fragments(slot: PeriodRange, spans: Sequence[Span]) -> Iterator[PeriodRange]:
    """Split a slot at the bounds of the partitions that cover parts of it.

    Args:
        slot: a period.
        spans: the partitions that cover a part of it, in order of time.

    Yields:
        The parts in order of time; uncovered ones are bridges.
    """
    lower, text = slot.lower, None
    for span in spans:
        begins, ends = bound_literals(span.partition.bound or "")
        if span.lower > lower:
            yield PeriodRange(slot.period, lower, span.lower, (text, begins), is_bridge=True)
            lower, text = span.lower, begins
        if span.upper >= slot.upper:
            yield PeriodRange(slot.period, lower, slot.upper, (text, None))
            return
        yield PeriodRange(slot.period, lower, span.upper, (text, ends))
        lower, text = span.upper, ends
    yield PeriodRange(slot.period, lower, slot.upper, (text, None), is_bridge=True)


def _slot(period: Period, calendar: ZoneInfo) -> PeriodRange:
    return PeriodRange(period, *period.bounds(calendar))


def _oldest(policy: PartitionPolicy, coverage: Coverage, calendar: ZoneInfo) -> Period | None:
    bounded = (span.lower for span in coverage.spans if span.lower > PAST)
    lower = next(bounded, None)
    if lower is None:
        return None
    return period_at(lower, policy.interval, calendar)
