"""The proof before the exchange: rows and copies are the same, seen in one snapshot."""

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
    """What a table, or a part of it, holds.

    Attributes:
        digest: the sum of a hash of each row, which no order of rows changes.
    """

    n_rows: int
    digest: int


class Proof(NamedTuple):
    """The contents of all copies, in the order of the targets, and how many changes were open."""

    originals: tuple[Content, ...]
    copies: tuple[Content, ...]
    n_open: int

    @property
    def holds(self) -> bool:
        """Whether each copy holds what the default partition holds of its time."""
        return self.originals == self.copies


def compare(context: ActionContext, job: Job) -> Proof:
    """Compare every row with its copy; reads both whole.

    Raises:
        EffectError: they differ although no change is open.
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
            f"{job.default.relation}: its copy differs from it, {proof.originals} became"
            f" {proof.copies}; it stays as it is",
            hint="was it rewritten meanwhile, by VACUUM FULL or CLUSTER? The next run tries again",
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
    """Return the number of the target to which a row of the default partition belongs."""
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
    """Return once every snapshot of this database sees a transaction's rows.

    Args:
        context: whose session is not in a transaction.
        xid: the last transaction that wrote copies.
        deadline: by the ladder's clock.

    Raises:
        LockNotAcquiredError: some transaction did not end in time; names it.
    """
    # Whoever begins after this look sees the rows, however old its snapshot seems: that is the
    # age of the oldest transaction that writes.
    at_first = {row.virtual_xid for row in _older(context, xid)}
    told = False
    while True:
        older = [row for row in _older(context, xid) if row.virtual_xid in at_first]
        if not older:
            return
        if context.ladder.clock() >= deadline:
            raise LockNotAcquiredError(
                f"transactions older than the copied rows did not end: {_names(older)}",
                hint="end or wait for those sessions; the next run copies again",
            )
        if not told:
            context.progress(f"waiting for older transactions to end: {_names(older)}")
            told = True
        context.ladder.sleep(_POLL_S)


def _older(context: ActionContext, xid: str) -> list[Any]:
    return fetch(context.connection, "partitions", "list_older_snapshots", {"xid": xid})


def _names(rows: Sequence[Any]) -> str:
    named = [
        f"pid {row.pid} ({row.role or 'system'}, {row.application or 'no application name'})"
        + (f" since {row.age_s:.1f} s" if row.age_s is not None else "")
        for row in rows
    ]
    return listed(named, _SHOWN, "; ")
