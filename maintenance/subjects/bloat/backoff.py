"""Compute when a failed rebuild is retried: the delay in days doubles with each failure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from maintenance.subjects.bloat.models import Rebuild

LONGEST = timedelta(days=16)
"""The longest delay; all failures that count for it are within the recorded history."""
PUNCTUALITY = timedelta(hours=2)
"""Tolerance for a nightly run that begins a little earlier than the one before."""


class Backoff(NamedTuple):
    """The backoff of an index whose rebuild failed.

    Attributes:
        failed_at: the last attempt.
        error: why it failed; None if it was killed.
        n_failures: attempts since the last successful rebuild.
        next_try: runs from this moment on retry.
    """

    failed_at: datetime
    error: str | None
    n_failures: int
    next_try: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it is too early to retry."""
        return now < self.next_try - PUNCTUALITY


def backoff_of(index: int, rebuilds: Sequence[Rebuild]) -> Backoff | None:
    """Return the backoff of an index; None if its last rebuild did not fail.

    A successful rebuild gives the index another OID, so all rebuilds of this OID failed. A killed
    run does not count as a failure, unless it happens again.

    Args:
        index: its OID.
        rebuilds: of the last months, oldest first.
    """
    tries = [each for each in rebuilds if each.old_oid == index and each.size_after is None]
    if not tries:
        return None
    last = tries[-1]
    n_counted = len(tries) - (last.error is None)
    wait = min(timedelta(days=2 ** min(n_counted - 1, 10)), LONGEST) if n_counted else timedelta(0)
    return Backoff(last.started_at, last.error, len(tries), last.started_at + wait)
