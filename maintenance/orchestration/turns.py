"""Many databases in one tick of a sensor: side by side, and who waits longest comes first."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeVar

from maintenance.engine.side_by_side import within
from maintenance.policy import Policy

LIMIT = timedelta(seconds=45)
"""After which a tick ends, within Dagster's limit of 60 s. Who had no turn is first in the next."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Turns:
    """When the last turn of each database began.

    Attributes:
        n_at_once: databases at a time.
        began: by name, on the monotonic clock.
    """

    n_at_once: int
    began: dict[str, float] = field(default_factory=dict[str, float])

    def waits_for(self, policy: Policy) -> float:
        """Return how many seconds ago the last turn of a database began."""
        return time.monotonic() - self.began.get(policy.database.name, float("-inf"))

    def take(
        self, policies: Iterable[Policy], work: Callable[[Policy], T]
    ) -> tuple[Mapping[str, T], int]:
        """Work on each database.

        Returns:
            What was returned for each that was ready in time, by name in the order of turns, and
            how many were not.

        Raises:
            Exception: of one database, after the others.
        """
        ordered = sorted(policies, key=self.waits_for, reverse=True)
        tasks = (partial(self._turn, work, policy) for policy in ordered)
        turns = within(LIMIT, self.n_at_once, tasks)
        ready = {
            policy.database.name: turn.result()
            for policy, turn in zip(ordered, turns, strict=True)
            if turn.done() and not turn.cancelled()
        }
        return ready, len(ordered) - len(ready)

    def _turn(self, work: Callable[[Policy], T], policy: Policy) -> T:
        self.began[policy.database.name] = time.monotonic()
        return work(policy)
