"""The gate of a run, from the store: what was approved, and whether the database is paused."""

import getpass
import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from maintenance.engine.actions import ActionKind, HeldBy, Hold
from maintenance.engine.executor import Outcome, Result
from maintenance.engine.gate import Gate, Origin, paused
from maintenance.engine.scope import EVERYTHING, Request
from maintenance.errors import HeldError, UsageError
from maintenance.names import QualifiedName
from maintenance.policy import PartitionPolicy, Policy
from maintenance.policy.approvals import Approval, Terms, narrowed, terms_of, withdrawn
from maintenance.server.backups import missing_evidence
from maintenance.server.session import Connection
from maintenance.store.approvals import forget_approvals, keep_approvals, read_approvals
from maintenance.store.pauses import read_pause
from maintenance.store.undo import undone_goals

ASK_EVERY_S = 1.0
"""Seconds for which the answer whether a database is paused is used again."""


def read_gate(
    policy: Policy,
    origin: Origin,
    store: Connection | None,
    now: datetime,
    request: Request = EVERYTHING,
) -> Gate:
    """Return the gate of a run; without a store there is no approval and no pause yet.

    Args:
        policy: of the database.
        origin: who started the run.
        store: None if there is none.
        now: the current time.
        request: whether what was undone is carried out again, and which waves were chosen.

    Raises:
        psycopg.Error: the store could not be read.
    """
    if store is None:
        return Gate(policy, origin, now=now, waves=request.waves)
    name = policy.database.name
    undone: Mapping[str, str] = {} if request.again else undone_goals(store, name)
    approvals, pause = read_approvals(store, name), read_pause(store, name)
    return Gate(policy, origin, approvals, pause, undone, now, waves=request.waves)


def with_backup(gate: Gate, connection: Connection, now: datetime) -> Gate:
    """Return a gate that knows whether a backup is confirmed, if the policy asks for one."""
    policy = gate.policy
    if policy.backup is None:
        return gate
    cap = policy.observe.time_cap
    return replace(gate, no_backup=missing_evidence(connection, policy.backup, now, cap))


def refuse_if_paused(policy: Policy, store: Connection) -> None:
    """Raise if the database is paused: for commands that are typed.

    Raises:
        HeldError: names the pause and how to end it.
    """
    pause = read_pause(store, policy.database.name)
    if pause is not None:
        name = policy.database.name
        raise HeldError(
            f"{name}: nothing was done: {name} is {pause}",
            hint=f"maintenance resume --policy {policy.path}",
            reason=HeldBy.PAUSED.value,
        )


def refuse_if_reporting(policy: Policy, named: QualifiedName, *, new_table: bool = False) -> None:
    """Raise if the policy says that a table or view that a command names is not changed.

    Args:
        policy: of the database.
        named: the table or view.
        new_table: whether only a new table beside it is made, which its own mode does not concern.

    Raises:
        UsageError: names the mode.
    """
    modes = [("database.mode", policy.database.mode)]
    if not new_table:
        modes += [
            (f"mode of table {s.table}", s.mode) for s in policy.partitions if s.table == named
        ]
        modes += [(f"mode of view {v.name}", v.mode) for v in policy.matviews if v.name == named]
    place = next((place for place, mode in modes if mode == "report"), None)
    if place is not None:
        raise UsageError(
            f"{named}: nothing was done: {place} of policy {policy.database.name} is report",
            hint="set it to act, or remove it from the policy",
            reason=HeldBy.REPORT_MODE.value,
        )


@dataclass(slots=True)
class PauseWatch:
    """Tells between two actions whether the database was paused.

    It asks the store at most once a second, and raises what the store raises: a pause that can't
    be read stops the run.
    """

    store: Connection
    policy: Policy
    _asked_at: float | None = field(default=None, init=False)
    _hold: Hold | None = field(default=None, init=False)

    def __call__(self) -> Hold | None:
        """Return the hold of all further actions; None while there is no pause."""
        now = time.monotonic()
        if self._asked_at is None or now - self._asked_at >= ASK_EVERY_S:
            pause = read_pause(self.store, self.policy.database.name)
            self._hold = paused(self.policy, pause) if pause is not None else None
            self._asked_at = now
        return self._hold


def reduce_approvals(gate: Gate, store: Connection) -> None:
    """Withdraw or narrow the approvals of tables whose retention now destroys less.

    A later change of the policy in the other direction then needs a new approval.
    """
    name = gate.policy.database.name
    forget_approvals(store, name, withdrawn(gate.policy, gate.approvals))
    keep_approvals(store, name, narrowed(gate.policy, gate.approvals))


def approve_retired(gate: Gate, store: Connection, results: Iterable[Result], by: str) -> None:
    """Approve the retention of tables of which a run by hand has retired a partition."""
    if gate.origin is Origin.SCHEDULED:
        return
    found = list(results)
    undone = {r.action.table for r in found if r.outcome in (Outcome.FAILED, Outcome.REFUSED)}
    retired = {
        r.action.table
        for r in found
        if r.outcome is Outcome.DONE
        and r.action.kind in (ActionKind.DETACH_PARTITION, ActionKind.DROP_PARTITION)
    }
    how = "apply" if gate.origin is Origin.COMMAND else "dagster"
    approvals = [
        approval_of(section, terms, by, how)
        for section in gate.policy.partitions
        if str(section.table) in retired - undone
        and (terms := terms_of(section)) is not None
        and not _is_covered(gate, section, terms)
    ]
    keep_approvals(store, gate.policy.database.name, approvals)


def approval_of(section: PartitionPolicy, terms: Terms, by: str, how: str) -> Approval:
    """Return the approval of a table's retention as it is in the policy now."""
    return Approval(str(section.table), terms, datetime.now(UTC), by, how)


def who(connection: Connection) -> str:
    """Return who works here: role of the database, user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = f"uid {os.getuid()}"
    return f"{connection.info.user}/{user}@{socket.gethostname()}"


def _is_covered(gate: Gate, section: PartitionPolicy, terms: Terms) -> bool:
    approval = gate.approvals.get(str(section.table))
    return approval is not None and approval.terms.cover(terms)
