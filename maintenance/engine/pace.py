"""Paces long work in batches: pauses between them, and waits while the server is behind.

Between two batches no lock is held, so work can pause for as long as necessary.
"""

from dataclasses import dataclass, field
from typing import Any

from maintenance.engine.action_context import ActionContext
from maintenance.errors import ContinuedError, MaintenanceError
from maintenance.formatting import readable_size, readable_span
from maintenance.policy.partitions import SplitLimits
from maintenance.server.session import fetch

LOOK_EVERY_S = 1.0
"""Seconds between two looks at the load of the server."""

LOCK_WAIT_S = 1.0
"""A session that waits longer for a lock is blocked."""


@dataclass(slots=True)
class Pace:
    """The pace of one action.

    Attributes:
        limits: when to pause.
    """

    context: ActionContext
    limits: SplitLimits
    _ends_at: float | None = field(default=None, init=False)
    _looked_at: float | None = field(default=None, init=False)
    _wal_bytes: int | None = field(default=None, init=False)

    def keep(self, *, limited: bool = False) -> None:
        """Pause between two batches, and wait while the server is behind.

        Args:
            limited: whether the work can be continued later, so that the time limit applies.

        Raises:
            ContinuedError: the time limit is over.
            MaintenanceError: the server was behind for longer than `max_wait`.
        """
        retry = self.context.lock_retry
        if self._ends_at is None:
            self._ends_at = retry.clock() + self.limits.time_limit.total_seconds()
        if limited and retry.clock() >= self._ends_at:
            raise ContinuedError(
                f"paused after {readable_span(self.limits.time_limit)}",
                hint="continued on the next run",
                reason="time_limit",
            )
        retry.sleep(self.limits.pause.total_seconds())
        if self._looked_at is not None and retry.clock() - self._looked_at < LOOK_EVERY_S:
            return
        deadline = retry.clock() + self.limits.max_wait.total_seconds()
        told = ""
        while (obstacle := self._look()) is not None:
            if retry.clock() >= deadline:
                raise _continued(obstacle) if limited else obstacle
            if obstacle.reason != told:
                told = obstacle.reason
                self.context.progress(f"paused: {obstacle}")
            retry.sleep(LOOK_EVERY_S)

    def require_half(self) -> None:
        """Let the next run do what can't be interrupted, unless half of the time is left for it.

        Raises:
            ContinuedError: more than half of the time limit is over.
        """
        half_s = self.limits.time_limit.total_seconds() / 2
        ends_at = self._ends_at
        if ends_at is not None and ends_at - self.context.lock_retry.clock() < half_s:
            raise ContinuedError(
                "all rows are copied; their indexes are built by the next run",
                reason="time_limit",
            )

    def _look(self) -> MaintenanceError | None:
        """Return why to wait, as the error if that lasts too long; None if nothing is behind."""
        now = self.context.lock_retry.clock()
        (row,) = fetch(self.context.connection, "server", "check_load")
        before, since = self._wal_bytes, self._looked_at
        self._wal_bytes, self._looked_at = row.wal_bytes, now
        rate = 0.0
        if before is not None and since is not None and now > since:
            rate = (row.wal_bytes - before) / (now - since)
        return behind(row, rate, self.limits)


def _continued(obstacle: MaintenanceError) -> ContinuedError:
    """Return the error of work that is continued later."""
    return ContinuedError(str(obstacle), hint="continued on the next run", reason=obstacle.reason)


def behind(row: Any, wal_rate: float, limits: SplitLimits) -> MaintenanceError | None:
    """Return why to wait; None if nothing is behind.

    Args:
        row: of the query `check_load`.
        wal_rate: bytes of WAL per second since the last look.
        limits: of the policy.
    """
    most = limits.max_replica_lag
    if row.lag_s is not None and row.lag_s > most.total_seconds():
        return _error(
            f"standby {row.standby} is {row.lag_s:.0f} s behind, wanted at most"
            f" {readable_span(most)}",
            "replica_lag",
        )
    if row.waited_s is not None and row.waited_s > LOCK_WAIT_S:
        return _error(
            f"pid {row.waiting_pid} has waited {row.waited_s:.0f} s for a lock", "blocked_sessions"
        )
    if wal_rate > limits.max_wal_per_second:
        return _error(
            f"the server writes {readable_size(wal_rate)} of WAL per second, wanted at most"
            f" {readable_size(limits.max_wal_per_second)}",
            "wal_rate",
        )
    return None


def _error(text: str, reason: str) -> MaintenanceError:
    return MaintenanceError(
        text, hint="the next run begins again; raise split_limits to go on", reason=reason
    )
