"""When indexes that runs built are to be judged by their use, from the store alone."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from maintenance.engine.target import Target
from maintenance.policy import Policy
from maintenance.policy.declarations import IndexDeclaration
from maintenance.subjects.indexes.declared.query_history import recall_builds

CAUGHT_UP = timedelta(days=1)
"""A time that was missed for longer is left to the nightly run."""


@dataclass(frozen=True, slots=True)
class WatchTime:
    """A time of `indexes.watch` that indexes have reached since they were built.

    Attributes:
        at: when the youngest of them reached it.
        number: which of the times it is, from 1.
    """

    at: datetime
    number: int

    @property
    def is_review(self) -> bool:
        """Whether it is the last time, the review."""
        return self.number == _REVIEW


_REVIEW = 3


def watch_time(policy: Policy, now: datetime) -> WatchTime | None:
    """Return the time of `indexes.watch` that declared indexes reached last.

    Returns:
        None if none was reached within a day, or the store can't be reached.

    Raises:
        UsageError: an environment variable is missing, or the url is invalid.
    """
    section = policy.indexes
    if section is None:
        return None
    declared = [d.relation for d in section.declarations if isinstance(d, IndexDeclaration)]
    with Target(policy).optional_store() as store:
        if store is None or not declared:
            return None
        built = recall_builds(store, policy.database.name, declared)
    return newest_reached([each.at for each in built.values()], section.watch, now)


def newest_reached(
    built: Collection[datetime], watch: Sequence[timedelta], now: datetime
) -> WatchTime | None:
    """Return the time that indexes reached last, of those within a day before `now`.

    Args:
        built: when the indexes were built.
        watch: the ages at which they are judged, ascending.
        now: the current time.
    """
    reached = [
        WatchTime(at, number)
        for number, age in enumerate(watch, start=1)
        for at in (each + age for each in built)
        if now - CAUGHT_UP < at <= now
    ]
    return max(reached, key=lambda each: (each.at, each.number), default=None)
