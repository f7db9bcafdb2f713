"""Reports the progress of long work, at most a few lines a second."""

import time
from typing import Protocol

from maintenance.engine.lock_retry import Progress
from maintenance.formatting import readable_size

EVERY_S = 0.3


class Counted(Protocol):
    """A counter of rows and bytes."""

    n_rows: int
    n_bytes: int


class Pace:
    """Reports the progress of one task.

    Args:
        what: the task, for the message.
        n_rows_estimated: total rows; None if unknown.
    """

    def __init__(self, what: str, progress: Progress, n_rows_estimated: float | None) -> None:
        self._what = what
        self._progress = progress
        self._whole = n_rows_estimated
        self._next = time.monotonic() + EVERY_S

    def show(self, counted: Counted) -> None:
        """Report the progress, unless the last report was a moment ago."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        self._progress(
            f"{self._what}: {counted.n_rows:,} rows, {readable_size(counted.n_bytes)}"
            f"{self._share(counted.n_rows)}"
        )

    def _share(self, n_rows: int) -> str:
        if not self._whole:
            return ""
        return f", {min(n_rows / self._whole, 0.99):.0%}"  # an estimate is never 100 %
