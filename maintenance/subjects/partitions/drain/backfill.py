"""Copies the rows, and copies logged changes again: all at once, or row by row once mirrored."""

from typing import NamedTuple

from maintenance.engine.action_context import ActionContext
from maintenance.engine.pace import Pace
from maintenance.errors import MaintenanceError
from maintenance.names import QualifiedName, literal
from maintenance.server.statements import Asked
from maintenance.subjects.partitions.drain.job import Job
from maintenance.subjects.partitions.drain.kept_copy import read_progress, remember
from maintenance.subjects.partitions.drain.transactions import ONE_SNAPSHOT, XID, transact

BATCH_PAGES = 1024
"""Blocks (8 kB) per transaction: a lock request on the table waits for one of them at most."""


def copy_rows(context: ActionContext, job: Job, pace: Pace | None = None) -> str:
    """Copy the rows of the drained partition; concurrent changes are logged.

    Returns:
        A transaction that is not older than the last one that copied rows.
    """
    pages = {source: _pages(context, job, source) for source in job.sources}
    total = max(sum(pages.values()), 1)
    done_before = read_progress(context, job)
    n_rows, n_done, xid = 0, 0, ""
    for source, n_pages in pages.items():
        begins = done_before.get(str(source), 0)
        for first in range(begins, max(n_pages, 1), BATCH_PAGES):
            if pace is not None:
                pace.keep(limited=bool(job.keys))
            kept = [remember(job, source, first + BATCH_PAGES)] if job.keys else []
            statements = [_copy(job, source, first), *kept, XID]
            copied, *_, asked = transact(context, job.owner, statements)
            xid = asked.rows[0]["xid"]
            n_rows += copied.n_rows
            done = n_done + min(first + BATCH_PAGES, n_pages)
            share = f"{done / total:.0%}" if sum(pages.values()) else "100%"
            context.progress(
                f"{job.drained.relation}: {n_rows:,} rows copied, {share} of its blocks"
            )
        n_done += n_pages
    if not xid:  # an earlier run has copied all
        (asked,) = transact(context, job.owner, [XID])
        xid = asked.rows[0]["xid"]
    return xid


def _copy(job: Job, source: QualifiedName, first: int) -> str:
    return (
        f"INSERT INTO {job.objects.plain} ({job.columns()}) SELECT {job.columns('d')}"
        f" FROM ONLY {source} AS d"
        f" WHERE d.ctid >= '({first},0)' AND d.ctid < '({first + BATCH_PAGES},0)'"
    )


def _pages(context: ActionContext, job: Job, source: QualifiedName) -> int:
    size = Asked(
        f"SELECT pg_catalog.pg_relation_size({literal(str(source))}::pg_catalog.regclass)"
        " / pg_catalog.current_setting('block_size')::pg_catalog.int4 AS n_pages"
    )
    (asked,) = transact(context, job.owner, [size])
    return int(asked.rows[0]["n_pages"])


FEW = 200
"""How many logged changes are left to be copied again one by one."""

MAX_ROUNDS = 10
"""On a busy table as many changes arrive while others are copied again."""

BATCH = 50
"""Rows per transaction; their writers wait for it: a few milliseconds."""

_PAUSE_S = 0.02


class Followed(NamedTuple):
    """The result of one step of copying changes again.

    Attributes:
        n_changes: the changes made in this step.
        xid: the transaction that made them.
    """

    n_changes: int
    xid: str


def catch_up(context: ActionContext, job: Job, xid: str, into: QualifiedName) -> str:
    """Copy most of the logged changes again, before mirroring starts.

    Returns:
        The last transaction that wrote copies.
    """
    for _ in range(MAX_ROUNDS):
        done = _replay(context, job, into)
        xid = done.xid if done.n_changes else xid
        if done.n_changes <= FEW:
            break
    return xid


def follow(context: ActionContext, job: Job, xid: str, deadline: float) -> str:
    """Copy the changes again that could not be mirrored, until none is left.

    Returns:
        The last transaction that wrote copies.

    Raises:
        MaintenanceError: changes were left at the deadline.
    """
    while (n_open := n_open_changes(context, job)) > 0:
        if context.lock_retry.clock() >= deadline:
            raise too_busy(job)
        done = (
            _reconcile(context, job)
            if job.shape.identity
            else _replay(context, job, job.objects.root)
        )
        xid = done.xid if done.n_changes else xid
        if n_open < BATCH:
            context.lock_retry.sleep(_PAUSE_S)
    return xid


def too_busy(job: Job) -> MaintenanceError:
    """Return the error of a drain that can't keep up with the changes."""
    return MaintenanceError(
        f"{job.drained.relation}: its rows changed faster than the changes were copied",
        hint="retried on the next run; a primary key lets all changes be mirrored",
        reason="too_busy",
    )


def n_open_changes(context: ActionContext, job: Job) -> int:
    """Return how many changes are logged.

    Raises:
        MaintenanceError: one of them is a TRUNCATE.
    """
    log = job.objects.log
    (asked,) = transact(
        context,
        job.owner,
        [
            Asked(
                "SELECT pg_catalog.count(*) AS n_open,"
                f" COALESCE(pg_catalog.bool_or(truncated), false) AS truncated FROM {log}"
            )
        ],
    )
    found = asked.rows[0]
    if found["truncated"]:
        raise MaintenanceError(
            f"{job.drained.relation}: was truncated while it was copied",
            hint="the next run reads its current rows",
            reason="truncated",
        )
    return int(found["n_open"])


def _replay(context: ActionContext, job: Job, into: QualifiedName) -> Followed:
    """Copy every logged row again, with log and rows read in one snapshot."""
    log, source = job.objects.log, job.source
    keys = [f"k{place}" for place, _ in enumerate(job.identity("d"))]
    changed = f"(SELECT DISTINCT {', '.join(keys)} FROM {log}) AS l"
    statements = [
        f"DELETE FROM {into} AS c USING {changed} WHERE {_same(job, 'c', 'l')}",
        f"INSERT INTO {into} ({job.columns()}) SELECT {job.columns('d')}"
        f" FROM {source} AS d JOIN {changed} ON {_same(job, 'd', 'l')}",
        f"DELETE FROM {log} WHERE NOT truncated",
        XID,
    ]
    _, _, logged, asked = transact(context, job.owner, statements, isolation=ONE_SNAPSHOT)
    return Followed(logged.n_rows, asked.rows[0]["xid"])


def _reconcile(context: ActionContext, job: Job) -> Followed:
    """Copy some of the logged rows again, each locked against its writers meanwhile.

    Writers lock the row, then its copy, and so do we: no deadlock. A row locked by a writer is
    left for later. If the row is gone, only a copy that existed before the check is deleted: one
    statement reads both. A log entry is deleted only if it existed before.
    """
    log, source, root = job.objects.log, job.source, job.objects.root
    keys = [f"k{place}" for place, _ in enumerate(job.identity("d"))]
    body = f"""
DECLARE l record;
BEGIN
  FOR l IN SELECT {", ".join(keys)}, pg_catalog.array_agg(entry) AS entries FROM {log}
            WHERE NOT truncated GROUP BY {", ".join(keys)} ORDER BY min(entry) LIMIT {BATCH}
  LOOP
    BEGIN
      PERFORM FROM {source} AS d WHERE {_same(job, "d", "l")} FOR NO KEY UPDATE SKIP LOCKED;
      IF FOUND THEN
        DELETE FROM {root} AS c WHERE {_same(job, "c", "l")};
        INSERT INTO {root} ({job.columns()})
          SELECT {job.columns("d")} FROM {source} AS d WHERE {_same(job, "d", "l")};
      ELSE
        PERFORM FROM {source} AS d WHERE {_same(job, "d", "l")};
        CONTINUE WHEN FOUND;
        DELETE FROM {root} AS c WHERE {_same(job, "c", "l")}
           AND NOT EXISTS (SELECT FROM {source} AS d WHERE {_same(job, "d", "l")});
      END IF;
      DELETE FROM {log} WHERE entry = ANY (l.entries);
    EXCEPTION WHEN unique_violation THEN
      NULL;  -- an outdated copy conflicts: it is copied again later
    END;
  END LOOP;
END"""
    count = Asked(f"SELECT pg_catalog.count(*) AS n FROM {log}")
    statements = [count, f"DO {literal(body)}", count, XID]
    before, _, after, asked = transact(context, job.owner, statements)
    done = before.rows[0]["n"] - after.rows[0]["n"]
    return Followed(max(done, 1), asked.rows[0]["xid"])


def _same(job: Job, row: str, entry: str) -> str:
    expressions = job.identity(row)
    return " AND ".join(f"{e} = {entry}.k{place}" for place, e in enumerate(expressions))
