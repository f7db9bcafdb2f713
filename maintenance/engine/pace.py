"""Paces long work in batches: pauses between them, and waits while the server is behind.

Between two batches no lock is held, so work can pause for as long as necessary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

from maintenance.engine.action_context import ActionContext
from maintenance.engine.build_load import ServerLoad, Slot, WalRate, read_load
from maintenance.engine.build_preflight import limits_of
from maintenance.errors import ContinuedError, MaintenanceError, UnreachableError
from maintenance.formatting import readable_size, readable_span
from maintenance.policy.partitions import SplitLimits
from maintenance.server.session import fetch, to_error

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
    _rate: WalRate = field(default_factory=WalRate, init=False)
    _is_unread: bool = field(default=False, init=False)

    def keep(self, *, limited: bool = False) -> None:
        """Pause between two batches, and wait while the server is behind.

        Args:
            limited: whether the work can be continued later, so that the time limit applies.

        Raises:
            ContinuedError: the time limit is over, or the server was behind for longer than
                `max_wait`, and the work can be continued later.
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
        self._await(limited=limited)

    @property
    def has_half(self) -> bool:
        """Whether at least half of the time limit is left."""
        half_s = self.limits.time_limit.total_seconds() / 2
        ends_at = self._ends_at
        return ends_at is None or ends_at - self.context.lock_retry.clock() >= half_s

    def require_half(self) -> None:
        """Let the next run do what can't be interrupted, unless half of the time is left for it.

        Raises:
            ContinuedError: more than half of the time limit is over.
        """
        if not self.has_half:
            raise ContinuedError(
                "all rows are copied; their indexes are built by the next run",
                reason="time_limit",
            )

    def _await(self, *, limited: bool) -> None:
        retry = self.context.lock_retry
        deadline = retry.clock() + self.limits.max_wait.total_seconds()
        told = ""
        while (obstacle := self._look()) is not None:
            if retry.clock() >= deadline:
                if not limited:
                    raise obstacle
                text, hint = str(obstacle), "continued on the next run"
                raise ContinuedError(text, hint=hint, reason=obstacle.reason)
            if obstacle.reason != told:
                told = obstacle.reason
                self.context.progress(f"paused: {obstacle}")
            retry.sleep(LOOK_EVERY_S)

    def _look(self) -> MaintenanceError | None:
        """Return why to wait, as the error if that lasts too long; None if nothing is behind."""
        self._looked_at = self.context.lock_retry.clock()
        waiters = fetch(self.context.connection, "server", "find_lock_waiter")
        blocked = blocked_session(waiters[0].pid, waiters[0].waited_s) if waiters else None
        if blocked is not None:
            return blocked
        try:
            load, slots = read_load(self.context.connection)
        except psycopg.Error as exc:
            self._tell_unread(exc)
            return None
        self._rate.note(load)
        most = limits_of(self.context).max_slot_wal
        return behind(load, slots, self._rate, self.limits, most)

    def _tell_unread(self, exc: psycopg.Error) -> None:
        error = to_error(exc, "reading replicas and slots")
        if isinstance(error, UnreachableError):
            raise error from exc
        if not self._is_unread:
            self._is_unread = True
            self.context.progress(f"not waited for replicas and WAL: {error.with_hint}")


def blocked_session(pid: int, waited_s: float) -> MaintenanceError | None:
    """Return that a session waits for a lock, if it has waited long."""
    if waited_s <= LOCK_WAIT_S:
        return None
    return _error(f"pid {pid} has waited {waited_s:.0f} s for a lock", "blocked_sessions")


def behind(
    load: ServerLoad,
    slots: Sequence[Slot],
    rate: WalRate,
    limits: SplitLimits,
    max_slot_wal: float,
) -> MaintenanceError | None:
    """Return why to wait; None if nothing is behind.

    Args:
        load: of the server.
        slots: its replication slots.
        rate: of the WAL, measured.
        limits: of the policy.
        max_slot_wal: bytes of WAL that a slot may retain.
    """
    lag = load.replica_lag_bytes
    if lag is not None and lag > limits.max_replica_lag:
        return _error(
            f"the replica {load.replica} is {readable_size(lag)} behind, wanted at most"
            f" {readable_size(limits.max_replica_lag)}",
            "replica_lag",
        )
    for slot in slots:
        if slot.retained_bytes is not None and slot.retained_bytes > max_slot_wal:
            return _error(
                f"replication slot {slot.name} retains {readable_size(slot.retained_bytes)} of WAL,"
                f" wanted at most {readable_size(max_slot_wal)} (indexes.preflight.max_slot_wal)",
                "slot_retains_wal",
            )
    written = rate.bytes_per_s
    if written is not None and written > limits.max_wal_rate:
        return _error(
            f"the server writes {readable_size(written)} of WAL a second, wanted at most"
            f" {readable_size(limits.max_wal_rate)}",
            "wal_rate",
        )
    return None


def _error(text: str, reason: str) -> MaintenanceError:
    return MaintenanceError(text, hint="retried on the next run", reason=reason)
