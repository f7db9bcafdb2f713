"""Time limit for the actions of a subject in one run."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from maintenance.errors import BudgetError
from maintenance.formatting import readable_span


@dataclass(slots=True)
class Budget:
    """A countdown that starts with the first action."""

    limit: timedelta
    clock: Callable[[], float] = time.monotonic
    _ends_at: float | None = field(default=None, init=False)

    def begin(self) -> None:
        """Start the countdown, unless it is running.

        Raises:
            BudgetError: no time is left.
        """
        if self._ends_at is None:
            self._ends_at = self.clock() + self.limit.total_seconds()
        if not self.left():
            raise self.exhausted()

    def left(self) -> timedelta:
        """Return the time left; at least zero."""
        if self._ends_at is None:
            return self.limit
        return timedelta(seconds=max(0.0, self._ends_at - self.clock()))

    def exhausted(self) -> BudgetError:
        """Return the error for an exhausted budget."""
        return BudgetError(
            f"not run: time budget of {readable_span(self.limit)} used up",
            hint="continued on the next run",
        )
