"""Copying the rows, block by block, into tables without indexes."""

from maintenance.engine.workbench import Workbench
from maintenance.partitions.drain.job import Job
from maintenance.partitions.drain.transactions import XID, transact

BATCH_PAGES = 1024
"""Blocks (8 kB) a transaction: whoever wants to lock the table waits for one of them at most."""


def copy_rows(bench: Workbench, job: Job) -> str:
    """Copy what the default partition holds; what changes meanwhile is logged.

    Returns:
        The last transaction that copied rows.
    """
    n_pages = _pages(bench, job)
    n_rows, xid = 0, ""
    for first in range(0, max(n_pages, 1), BATCH_PAGES):
        copied, (_, ((xid,),)) = transact(bench, [_copy(job, first), XID])
        n_rows += copied.n_rows
        done = min(first + BATCH_PAGES, n_pages)
        share = f"{done / max(n_pages, 1):.0%}"
        bench.progress(f"{job.default.relation}: {n_rows:,} rows copied, {share} of its blocks")
    return xid


def _copy(job: Job, first: int) -> str:
    return (
        f"INSERT INTO {job.objects.plain} ({job.columns()}) SELECT {job.columns('d')}"
        f" FROM ONLY {job.default.relation} AS d"
        f" WHERE d.ctid >= '({first},0)' AND d.ctid < '({first + BATCH_PAGES},0)'"
    )


def _pages(bench: Workbench, job: Job) -> int:
    size = (
        f"SELECT pg_catalog.pg_relation_size({job.default.oid})"
        " / pg_catalog.current_setting('block_size')::int"
    )
    ((_, ((n_pages,),)),) = transact(bench, [size])
    return int(n_pages)
