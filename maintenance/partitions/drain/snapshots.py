"""Waiting until nobody's snapshot is older than the rows that we have copied.

A transaction that took its snapshot before sees our copies as not yet written. Had they taken the
place of the rows, those would be missing for it. Writers' own changes to the copies have no such
gap: whoever sees the row sees its copy.
Source: PostgreSQL manual, 13.2.2 Repeatable Read Isolation Level.
"""

from collections.abc import Sequence
from typing import Any

from maintenance.engine.workbench import Workbench
from maintenance.errors import LockNotAcquiredError
from maintenance.server.session import fetch

_POLL_S = 0.1
_SHOWN = 3


def wait_for_older_snapshots(bench: Workbench, xid: str, deadline: float) -> None:
    """Return once every snapshot of this database sees a transaction's rows.

    Args:
        bench: whose session is not in a transaction.
        xid: the last transaction that wrote copies.
        deadline: by the ladder's clock.

    Raises:
        LockNotAcquiredError: some transaction did not end in time; names it.
    """
    # Whoever begins after this look sees the rows, however old its snapshot seems: that is the
    # age of the oldest transaction that writes.
    at_first = {row.virtual_xid for row in _older(bench, xid)}
    told = False
    while True:
        older = [row for row in _older(bench, xid) if row.virtual_xid in at_first]
        if not older:
            return
        if bench.ladder.clock() >= deadline:
            raise LockNotAcquiredError(
                f"transactions older than the copied rows did not end: {_names(older)}",
                hint="end or wait for those sessions; the next run copies again",
            )
        if not told:
            bench.progress(f"waiting for older transactions to end: {_names(older)}")
            told = True
        bench.ladder.sleep(_POLL_S)


def _older(bench: Workbench, xid: str) -> list[Any]:
    return fetch(bench.connection, "partitions", "list_older_snapshots", {"xid": xid})


def _names(rows: Sequence[Any]) -> str:
    named = [
        f"pid {row.pid} ({row.role or 'system'}, {row.application or 'no application name'})"
        + (f" since {row.age_s:.1f} s" if row.age_s is not None else "")
        for row in rows[:_SHOWN]
    ]
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return "; ".join(named) + more
