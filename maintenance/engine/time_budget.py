"""Time that the actions of a subject may take together in one run."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from maintenance.errors import BudgetError
from maintenance.formatting import readable_span


@dataclass(slots=True)
class Budget:
    """Counts down from the moment the first action begins."""

    limit: timedelta
    clock: Callable[[], float] = time.monotonic
    _ends_at: float | None = field(default=None, init=False)

    def begin(self) -> None:
        """Start the count, unless it runs already.

        Raises:
            BudgetError: nothing is left.
        """
        if self._ends_at is None:
            self._ends_at = self.clock() + self.limit.total_seconds()
        if not self.left():
            raise self.exhausted()

    def left(self) -> timedelta:
        """Return what is left; never less than nothing."""
        if self._ends_at is None:
            return self.limit
        return timedelta(seconds=max(0.0, self._ends_at - self.clock()))

    def exhausted(self) -> BudgetError:
        """Return the error that says so."""
        return BudgetError(
            f"the time budget of {readable_span(self.limit)} is used up",
            hint="the next run goes on",
        )
