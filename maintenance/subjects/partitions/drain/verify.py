"""Verifies before the exchange that rows and copies are equal, in one snapshot."""

from typing import Any, NamedTuple

from maintenance.engine.action_context import ActionContext
from maintenance.errors import EffectError
from maintenance.names import quote
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
