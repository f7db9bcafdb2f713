"""The application's statements between the newest observations. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from maintenance.server.query_text import is_application
from maintenance.subjects.workload.deltas import Window, windows
from maintenance.subjects.workload.models import Sample, WorkloadSnapshot

REMEMBERED = timedelta(hours=12)
"""How long what a window shows stays true of a statement that has not been called since.

Less than a day, so that each nightly observation replaces the one before; long enough that a second
observation minutes later, in which few statements were called, takes nothing back.
"""


@dataclass(frozen=True, slots=True)
class Look:
    """The statements of an application between two observations.

    Attributes:
        until: when the later observation was made.
        windows: the activity of each statement that was called.
        earlier: all observations up to the start of the windows, oldest first.
    """

    until: datetime
    windows: Sequence[Window]
    earlier: Sequence[Sample]

    @property
    def outer(self) -> Sequence[Window]:
        """The windows to sum: what runs inside functions is in the time of their callers."""
        return [each for each in self.windows if each.is_complete and not each.is_nested]

    @property
    def calls(self) -> int:
        """Calls of all statements."""
        return sum(window.calls for window in self.outer)

    @property
    def total_ms(self) -> float:
        """Time of all statements, in milliseconds."""
        return sum(window.total_ms for window in self.outer)

    def share_of(self, window: Window) -> float | None:
        """Return a statement's share of the time of all; None if unknown."""
        total = self.total_ms
        return min(window.total_ms / total, 1.0) if window.is_complete and total else None

    def has_seen(self, key: str) -> bool:
        """Whether a statement was there in an earlier observation."""
        return any(key in sample.statements for sample in self.earlier)

    def longest_before(self, key: str) -> float:
        """Return the longest call of a statement at the last observation of it; milliseconds."""
        seen = (sample.statements.get(key) for sample in reversed(self.earlier))
        return next((counts.max_ms for counts in seen if counts is not None), 0.0)


def recent_looks(load: WorkloadSnapshot) -> Sequence[Look]:
    """Return what the newest observations show, newest first; none before the second one.

    The first observation is a baseline: what was counted until then may be months old.
    """
    sample = load.statements.sample
    if sample is None:
        return []
    samples = [*load.samples, sample]
    return [
        _look(samples[: n + 1], after)
        for n, (_, after) in reversed(list(enumerate(pairwise(samples))))
        if after is sample or sample.taken_at - after.taken_at < REMEMBERED
    ]


def _look(earlier: Sequence[Sample], after: Sample) -> Look:
    found = [each for each in windows(earlier[-1], after) if is_application(each.text)]
    found.sort(key=lambda window: (-window.total_ms, window.key))
    return Look(after.taken_at, found, earlier)
