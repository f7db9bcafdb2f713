"""Verifies before the exchange that rows and copies are equal, in one snapshot."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from maintenance.engine.action_context import ActionContext
from maintenance.errors import EffectError, LockNotAcquiredError
from maintenance.formatting import listed
from maintenance.names import quote
from maintenance.server.session import fetch
from maintenance.server.statements import Asked
from maintenance.subjects.partitions.drain.job import Job
from maintenance.subjects.partitions.drain.transactions import ONE_SNAPSHOT, transact


class Content(NamedTuple):
    """The content of a table, or of a part of it.

    Attributes:
        digest: the sum of a hash of each row, independent of the order of rows.
    """

    n_rows: int
    digest: int


class Proof(NamedTuple):
    """The contents of originals and copies, by target, and the number of pending changes."""

    originals: tuple[Content, ...]
    copies: tuple[Content, ...]
    n_open: int

    @property
    def holds(self) -> bool:
        """Whether each copy equals the rows of its range in the drained partition."""
        return self.originals == self.copies


def compare(context: ActionContext, job: Job) -> Proof:
    """Compare every row with its copy; reads both completely.

    Raises:
        EffectError: they differ although no change is pending.
    """
    open_ = Asked(f"SELECT pg_catalog.count(*) AS n_open FROM {job.objects.log}")
    statements = [open_, _contents(job, _place(job), job.source)]
    statements += [_contents(job, str(n), str(t.copy)) for n, t in enumerate(job.targets)]
    asked, originals, *copies = transact(context, job.owner, statements, isolation=ONE_SNAPSHOT)
    n_open = int(asked.rows[0]["n_open"])
    proof = Proof(
        _by_place(job, originals.rows),
        _by_place(job, [row for answer in copies for row in answer.rows]),
        n_open,
    )
    if not proof.holds and n_open == 0:
        raise EffectError(
            f"{job.drained.relation}: not replaced, because its copy differs: {proof.originals}"
            f" became {proof.copies}",
            hint="VACUUM FULL or CLUSTER may have rewritten it; retried on the next run",
            reason="copy_differs",
        )
    return proof


def _contents(job: Job, place: str, source: str) -> Asked:
    row = ", ".join(f"d.{quote(name)}" for name in job.shape.stored)
    return Asked(
        f"SELECT {place} AS place, pg_catalog.count(*) AS n_rows, pg_catalog.sum("
        f"pg_catalog.hashtextextended(ROW({row})::pg_catalog.text, 0)) AS digest"
        f" FROM {source} AS d GROUP BY 1"
    )


def _place(job: Job) -> str:
    """Return the number of the target to which a row of the drained partition belongs."""
    whens = "".join(
        f" WHEN {' AND '.join(f'({check})' for check in target.checks)} THEN {number}"
        for number, target in enumerate(job.periods)
    )
    return f"CASE{whens} ELSE {len(job.periods)} END"


def _by_place(job: Job, rows: list[Any]) -> tuple[Content, ...]:
    found = {row["place"]: Content(row["n_rows"], int(row["digest"])) for row in rows}
    return tuple(found.get(place, Content(0, 0)) for place, _ in enumerate(job.targets))


_POLL_S = 0.1
_SHOWN = 3


def wait_for_older_snapshots(context: ActionContext, xid: str, deadline: float) -> None:
    """Wait until every snapshot of this database sees a transaction's rows.

    Args:
        context: with a session that is not in a transaction.
        xid: the last transaction that wrote copies.
        deadline: by the clock of the lock retry.

    Raises:
        LockNotAcquiredError: a transaction did not end in time; the error names it.
    """
    # A transaction that begins after this query sees the rows, however old its snapshot seems:
    # its xmin is that of the oldest writing transaction.
    at_first = {row.virtual_xid for row in _older(context, xid)}
    reported = False
    while True:
        older = [row for row in _older(context, xid) if row.virtual_xid in at_first]
        if not older:
            return
        if context.lock_retry.clock() >= deadline:
            raise LockNotAcquiredError(
                f"transactions older than the copied rows did not end: {_names(older)}",
                hint="end those sessions or wait for them; retried on the next run",
                reason="older_transactions",
            )
        if not reported:
            context.progress(f"waiting for older transactions to end: {_names(older)}")
            reported = True
        context.lock_retry.sleep(_POLL_S)


def _older(context: ActionContext, xid: str) -> list[Any]:
    return fetch(context.connection, "partitions", "list_older_snapshots", {"xid": xid})


def _names(rows: Sequence[Any]) -> str:
    named = [
        f"pid {row.pid} ({row.role or 'system'}, {row.application or 'no application name'})"
        + (f" since {row.age_s:.1f} s" if row.age_s is not None else "")
        for row in rows
    ]
    return listed(named, _SHOWN, "; ")
