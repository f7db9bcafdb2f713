"""Progress of long work, a few lines a second at most."""

import time
from typing import Protocol

from maintenance.engine.lock_retry import Progress
from maintenance.formatting import readable_size

EVERY_S = 0.3


class Counted(Protocol):
    """Something that counts rows and bytes."""

    n_rows: int
    n_bytes: int


class Pace:
    """Tells how far one piece of work has come.

    Args:
        what: what is worked on.
        n_rows_estimated: of the whole; None where nobody knows.
    """

    def __init__(self, what: str, progress: Progress, n_rows_estimated: float | None) -> None:
        self._what = what
        self._progress = progress
        self._whole = n_rows_estimated
        self._next = time.monotonic() + EVERY_S

    def show(self, counted: Counted) -> None:
        """Tell, unless the last time was a moment ago."""
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
        return f", {min(n_rows / self._whole, 0.99):.0%}"  # an estimate never says done
