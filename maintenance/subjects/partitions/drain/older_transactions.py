"""Waits for transactions that see tables as they were, and releases names for an exchange."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Step
from maintenance.errors import LockNotAcquiredError, MaintenanceError, UnreachableError
from maintenance.formatting import listed
from maintenance.server.session import fetch
from maintenance.subjects.partitions.drain.transactions import XID, transact
from maintenance.subjects.partitions.released_names import Release, give_back

_POLL_S = 0.1
_SHOWN = 3


@contextmanager
def released(context: ActionContext, step: Step, names: Release, deadline: float) -> Generator[str]:
    """Release the names of a partition for an exchange; if that fails, give them back.

    Most transactions are waited for before, with the names in place: only those that begin before
    the release has ended are waited for without. A standby that is not connected is not waited for:
    it replays neither the release nor the exchange.

    Args:
        context: with a session that is not in a transaction.
        step: releases the names.
        names: of the tables.
        deadline: by the clock of the lock retry.

    Yields:
        A transaction; no other is open that is older, and so may know the names.

    Raises:
        MaintenanceError: other sessions blocked it until the deadline; the names are in place.
    """
    _wait(context, _xid(context, names), deadline, names)
    context.run(step)
    try:
        xid = _xid(context, names)
        _wait(context, xid, deadline, names)
        yield xid
    except UnreachableError:  # the next run gives them back
        raise
    except MaintenanceError as exc:
        _give_back(context, names, exc)
        raise


def _wait(context: ActionContext, xid: str, deadline: float, names: Release) -> None:
    what = f"the swap of {names.names[0][1]}"
    wait_for_older_snapshots(context, xid, deadline, what, connected=True)


def _xid(context: ActionContext, names: Release) -> str:
    (asked,) = transact(context, names.owner, [XID])
    return str(asked.rows[0]["xid"])


def _give_back(context: ActionContext, names: Release, cause: MaintenanceError) -> None:
    try:
        context.run(give_back(names))
    except MaintenanceError as exc:
        now, name = names.names[0]
        cause.add_note(f"also, {now} did not get its name {name} back; the next run tries: {exc}")


def wait_for_older_snapshots(
    context: ActionContext, xid: str, deadline: float, of: str, *, connected: bool = False
) -> None:
    """Wait until every snapshot of this database sees what a transaction has changed.

    Args:
        context: with a session that is not in a transaction.
        xid: the transaction.
        deadline: by the clock of the lock retry.
        of: what it has changed, for messages.
        connected: whether to wait only for standbys that are connected.

    Raises:
        LockNotAcquiredError: a transaction did not end in time; the error names it.
    """
    # A transaction that begins after this query sees the change, however old its snapshot seems:
    # its xmin is that of the oldest writing transaction.
    at_first = {row.virtual_xid for row in _older(context, xid, connected)}
    reported = False
    while True:
        older = [row for row in _older(context, xid, connected) if row.virtual_xid in at_first]
        if not older:
            return
        if context.lock_retry.clock() >= deadline:
            raise LockNotAcquiredError(
                f"transactions older than {of} did not end: {_names(older)}",
                hint="end those sessions or wait for them; retried on the next run",
                reason="older_transactions",
            )
        if not reported:
            context.progress(f"waiting for older transactions to end: {_names(older)}")
            reported = True
        context.lock_retry.sleep(_POLL_S)


def _older(context: ActionContext, xid: str, connected: bool) -> list[Any]:
    found = fetch(context.connection, "partitions", "list_older_snapshots", {"xid": xid})
    return [row for row in found if row.pid is not None or not connected]


def _names(rows: Sequence[Any]) -> str:
    return listed(list(map(_name, rows)), _SHOWN, "; ")


def _name(row: Any) -> str:
    if row.pid is None:
        return (
            f"slot {row.application} of a standby that is not connected: start it, or drop the slot"
        )
    name = f"pid {row.pid} ({row.role or 'system'}, {row.application or 'no application name'})"
    return name if row.age_s is None else f"{name} since {row.age_s:.1f} s"
