"""When a rebuild that failed is tried again: after days that double from try to try."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from maintenance.subjects.bloat.models import Rebuild

LONGEST = timedelta(days=16)
"""So long is waited at most; all failures that count for it are within what is looked back."""
PUNCTUALITY = timedelta(hours=2)
"""A nightly run that begins a little earlier than the one before is not put off by a night."""


class Backoff(NamedTuple):
    """An index whose rebuild failed.

    Attributes:
        failed_at: when it was tried last.
        error: why it failed; None where it was killed.
        n_failures: tries since the last rebuild that succeeded.
        next_try: from then on a run tries again.
    """

    failed_at: datetime
    error: str | None
    n_failures: int
    next_try: datetime

    def holds(self, now: datetime) -> bool:
        """Whether it is too early to try again."""
        return now < self.next_try - PUNCTUALITY


def backoff_of(index: int, rebuilds: Sequence[Rebuild]) -> Backoff | None:
    """Return until when an index is left alone; None where its last rebuild did not fail.

    A rebuild that succeeds gives the index another OID, so what is known of this one are failures.
    A run that was killed is no failure of the rebuild, unless it happens again.

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
