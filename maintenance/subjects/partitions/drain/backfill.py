"""Copying again what was logged: all at once while rows are copied, row by row once mirrored."""

from typing import NamedTuple

from maintenance.engine.action_context import ActionContext
from maintenance.errors import MaintenanceError
from maintenance.names import QualifiedName, literal
from maintenance.server.statements import Asked
from maintenance.subjects.partitions.drain.job import Job
from maintenance.subjects.partitions.drain.transactions import ONE_SNAPSHOT, XID, transact

BATCH_PAGES = 1024
"""Blocks (8 kB) a transaction: whoever wants to lock the table waits for one of them at most."""


def copy_rows(context: ActionContext, job: Job) -> str:
    """Copy what the default partition holds; what changes meanwhile is logged.

    Returns:
        The last transaction that copied rows.
    """
    pages = {source: _pages(context, job, source) for source in job.sources}
    total = max(sum(pages.values()), 1)
    n_rows, n_done, xid = 0, 0, ""
    for source, n_pages in pages.items():
        for first in range(0, max(n_pages, 1), BATCH_PAGES):
            copied, asked = transact(context, job.owner, [_copy(job, source, first), XID])
            xid = asked.rows[0]["xid"]
            n_rows += copied.n_rows
            done = n_done + min(first + BATCH_PAGES, n_pages)
            share = f"{done / total:.0%}" if sum(pages.values()) else "100%"
            context.progress(
                f"{job.default.relation}: {n_rows:,} rows copied, {share} of its blocks"
            )
        n_done += n_pages
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
"""So many logged changes are left to be copied again one by one."""

MAX_ROUNDS = 10
"""On a busy table as many changes come while others are copied again."""

BATCH = 50
"""Rows a transaction, whose writers wait for it: a few milliseconds."""

_PAUSE_S = 0.02


class Followed(NamedTuple):
    """How far the copies have followed.

    Attributes:
        n_changes: that were made in this step.
        xid: the transaction that made them.
    """

    n_changes: int
    xid: str


def catch_up(context: ActionContext, job: Job, xid: str, into: QualifiedName) -> str:
    """Copy again most of what was logged; nobody else writes copies yet.

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
    """Copy again what could not be mirrored, until nothing is left.

    Returns:
        The last transaction that wrote copies.

    Raises:
        MaintenanceError: there was no end of it by the deadline.
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
    """Return the error that ends a drain which can't keep up."""
    return MaintenanceError(
        f"{job.default.relation}: its rows changed faster than the changes were copied",
        hint="the next run tries again; only with a primary key are all changes mirrored",
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
            f"{job.default.relation}: was truncated while it was copied",
            hint="the next run looks at what it holds now",
        )
    return int(found["n_open"])


def _replay(context: ActionContext, job: Job, into: QualifiedName) -> Followed:
    """Copy again every row that the log names, log and rows seen in one snapshot."""
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
    """Copy again some of the rows that the log names, each locked against its writers meanwhile.

    Writers lock the row, then its copy, and so do we: nobody waits in a circle. A row that one of
    them is at work on is left for later. Where the row is gone, only a copy that was there before
    we looked goes: one statement looks for both. An entry goes only if it was there before.
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
      NULL;  -- a copy that is not true any more stands in the way: its turn comes
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
