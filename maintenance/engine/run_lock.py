"""One run at a time per database: a session advisory lock, taken by polling."""

import hashlib
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from maintenance.engine.lock_retry import Progress
from maintenance.errors import LockNotAcquiredError
from maintenance.formatting import readable_span
from maintenance.server.session import Connection, fetch

RUN_LOCK = int.from_bytes(hashlib.sha256(b"maintenance run").digest()[:7])
"""The advisory lock's key, the same in every database (locks are per database anyway)."""

SILENT_S = 60.0
"""A live run uses the session of the lock at least about this often."""

_POLL_S = 0.2


@contextmanager
def exclusive_run(
    connection: Connection,
    give_up_after: timedelta,
    progress: Progress,
    *,
    key: int = RUN_LOCK,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Generator[None]:
    """Hold the run lock of the connected database for the length of a block.

    Polled instead of waited for: a session that waits inside a statement holds a snapshot,
    which keeps VACUUM from cleaning and blocks every concurrent index build.

    Raises:
        LockNotAcquiredError: another run held it until the deadline; names that run.
    """
    deadline = clock() + give_up_after.total_seconds()
    announced = False
    while not _take(connection, key):
        holder = _holder(connection, key)
        if clock() >= deadline:
            raise LockNotAcquiredError(
                f"another run is active on this database: {holder}",
                hint=f"it did not finish within {readable_span(give_up_after)}; {holder.remedy}",
                holder=holder.as_json(),
            )
        if not announced:
            progress(f"waiting for another run to finish: {holder}")
            announced = True
        sleep(_POLL_S)
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", (key,))


def is_held(connection: Connection) -> bool:
    """Whether a run holds the run lock of the connected database."""
    return bool(fetch(connection, "server", "find_run_lock_holder", {"key": RUN_LOCK}))


def _take(connection: Connection, key: int) -> bool:
    (row,) = fetch(connection, "server", "try_run_lock", {"key": key})
    return row.taken


@dataclass(frozen=True, slots=True)
class Holder:
    """The session that holds the lock.

    Attributes:
        pid: of its server process; None if it has ended.
        who: its role, name, address and state, as text.
        application, client, state, since: the same as fields, from `pg_stat_activity`.
        is_silent: whether it has been idle for longer than a normal run.
    """

    pid: int | None = None
    who: str = "already ended"
    is_silent: bool = False
    application: str | None = None
    client: str | None = None
    state: str | None = None
    since: datetime | None = None

    def __str__(self) -> str:
        return self.who

    def as_json(self) -> dict[str, Any]:
        """The holder's fields, for the data of a finding."""
        return {
            "pid": self.pid,
            "application": self.application,
            "client": self.client,
            "state": self.state,
            "since": self.since.isoformat() if self.since is not None else None,
            "is_silent": self.is_silent,
            "statement": self.statement,
        }

    @property
    def statement(self) -> str | None:
        """The statement that terminates it; None if it has ended."""
        return f"SELECT pg_terminate_backend({self.pid})" if self.pid is not None else None

    @property
    def remedy(self) -> str:
        """The remedy for the operator."""
        end = self.statement
        if end is None:
            return "run the command again"
        if self.is_silent:
            return f"its client may have died: if no such run is active at that address, run {end}"
        return f"wait for it, or terminate it: {end}"


def _holder(connection: Connection, key: int) -> Holder:
    rows = fetch(connection, "server", "find_run_lock_holder", {"key": key})
    if not rows:
        return Holder()
    (row,) = rows
    since = f" since {row.since:%Y-%m-%d %H:%M:%S} UTC" if row.since is not None else ""
    idle_s = row.idle_s if (row.state or "").startswith("idle") and row.idle_s else 0.0
    state = f", {row.state}" + (f" for {idle_s:.0f} s" if idle_s >= 1 else "") if row.state else ""
    who = f"pid {row.pid} ({row.role}, {row.application}) from {row.client}{since}{state}"
    return Holder(
        row.pid,
        who,
        idle_s >= SILENT_S,
        application=row.application,
        client=row.client,
        state=row.state,
        since=row.since,
    )
