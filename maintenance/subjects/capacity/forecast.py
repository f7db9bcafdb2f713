"""When a limit is reached at the present rate, and how serious that is: pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from maintenance import trend
from maintenance.engine.findings import Severity
from maintenance.policy.thresholds import CapacityPolicy
from maintenance.subjects.capacity.models import Points
from maintenance.trend import Reach, Trend

NEARLY_USED = 0.9
"""From this share on, a limit is an error as long as nothing is known about its rate."""
LEAST_SHARE = 0.1
"""A smaller share is too far from the limit for a forecast."""
FAR = timedelta(days=365)
LEAST_LOOKS = 3
"""With two looks, growth and a single load look the same."""
SETTLED = timedelta(days=7)
"""A rate seen for so long can make a finding less serious."""


class Forecast(NamedTuple):
    """What is in use of a limit, and when it is reached.

    Attributes:
        trend: None if there are too few earlier looks.
        reach: None if the rate is unknown, or the limit is not reached at it.
    """

    share: float
    trend: Trend | None
    reach: Reach | None

    @property
    def is_growing(self) -> bool:
        """Whether the use grows from nearly every look to the next."""
        return self.trend is not None and self.trend.low > 0

    @property
    def is_settled(self) -> bool:
        """Whether the rate was seen long enough to rely on it."""
        known = self.trend
        return (
            known is not None
            and known.n_looks >= LEAST_LOOKS
            and known.until - known.since >= SETTLED
        )

    def is_within(self, span: timedelta, now: datetime) -> bool:
        """Whether the limit is reached within a time."""
        return self.reach is not None and self.reach.at <= now + span

    def as_data(self) -> Mapping[str, Any]:
        """The forecast as data of a finding; all None if the rate is unknown."""
        known, reach = self.trend, self.reach
        latest = reach.latest if reach is not None else None
        return {
            "per_day": known.per_day if known is not None else None,
            "reached_at": reach.at.isoformat() if reach is not None else None,
            "earliest": reach.earliest.isoformat() if reach is not None else None,
            "latest": latest.isoformat() if latest is not None else None,
            "looks": known.n_looks if known is not None else 0,
        }


def forecast(used: float, ceiling: float, past: Points, now: datetime) -> Forecast:
    """Return the forecast of a limit.

    Args:
        used: what is in use now.
        ceiling: the limit, in the same unit.
        past: what was in use at earlier looks.
        now: the time of this look.
    """
    known = trend.fit([*past, (now, used)])
    reach = known.reaches(ceiling) if known is not None else None
    return Forecast(used / ceiling if ceiling > 0 else 1.0, known, reach)


def severity_of(seen: Forecast, section: CapacityPolicy, now: datetime) -> Severity | None:
    """Return how serious a limit is; None if there is nothing to report.

    A limit that is near in time counts at any share, one that is used up to the policy's share
    counts whenever it is reached. A settled rate that leaves a year or more makes it one step less
    serious.
    """
    if seen.share >= 1:
        return Severity.ERROR
    soon = _by_time(seen, section, now)
    used = _by_share(seen, section, now)
    return min((each for each in (soon, used) if each is not None), key=_RANKS.index, default=None)


_RANKS = (Severity.ERROR, Severity.WARN, Severity.INFO)


def _by_time(seen: Forecast, section: CapacityPolicy, now: datetime) -> Severity | None:
    if seen.trend is None or not seen.is_growing or seen.share < LEAST_SHARE:
        return None
    if seen.is_within(section.urgent_within, now) and seen.trend.n_looks >= LEAST_LOOKS:
        return Severity.ERROR
    return Severity.WARN if seen.is_within(section.within, now) else None


def _by_share(seen: Forecast, section: CapacityPolicy, now: datetime) -> Severity | None:
    if seen.share < section.used:
        return None
    is_far = seen.is_settled and not seen.is_within(FAR, now)
    if seen.share >= NEARLY_USED:
        return Severity.WARN if is_far else Severity.ERROR
    return Severity.INFO if is_far else Severity.WARN
