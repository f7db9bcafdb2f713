"""Recognizes partitions that were created in a session with another TimeZone."""

from collections.abc import Collection
from datetime import timedelta
from zoneinfo import ZoneInfo

from maintenance.partition_key import FUTURE, PAST
from maintenance.partition_set.bounds import Span
from maintenance.periods import Interval, period_at

_FARTHEST = timedelta(hours=15)
"""The largest offset of a zone from UTC."""

_DAYLIGHT = timedelta(hours=1)
"""How much daylight saving moves a zone in the course of a year."""


def zone_drift(interval: Interval, calendar: ZoneInfo, spans: Collection[Span]) -> timedelta | None:
    """Return the common shift of all ranges from the policy's calendar, if it is a zone's offset.

    Args:
        interval: the policy's.
        calendar: of the positions of bounds, see `partition_key.KeyCodec`.
        spans: ranges that do not match the calendar.

    Returns:
        Positive if they begin too late; None if the cause is not a zone.
    """
    drifts = [_drift(interval, calendar, span) for span in spans]
    known = [drift for drift in drifts if drift is not None]
    if not known or len(known) < len(drifts) or max(known) - min(known) > _DAYLIGHT:
        return None
    return known[0]


def _drift(interval: Interval, calendar: ZoneInfo, span: Span) -> timedelta | None:
    if PAST in span or FUTURE in span:
        return None
    period = period_at(span.lower + _FARTHEST, interval, calendar)
    lower, upper = period.bounds(calendar)
    drift = span.lower - lower
    same_length = abs(span.upper - upper - drift) <= _DAYLIGHT
    return drift if drift and abs(drift) <= _FARTHEST and same_length else None
