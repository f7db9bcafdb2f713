"""Copying the rows, block by block, into tables without indexes."""

from maintenance.engine.workbench import Workbench
from maintenance.names import QualifiedName, literal
from maintenance.partitions.drain.job import Job
from maintenance.partitions.drain.transactions import XID, transact
from maintenance.server.statements import Asked

BATCH_PAGES = 1024
"""Blocks (8 kB) a transaction: whoever wants to lock the table waits for one of them at most."""


def copy_rows(bench: Workbench, job: Job) -> str:
    """Copy what the default partition holds; what changes meanwhile is logged.

    Returns:
        The last transaction that copied rows.
    """
    pages = {source: _pages(bench, job, source) for source in job.sources}
    total = max(sum(pages.values()), 1)
    n_rows, n_done, xid = 0, 0, ""
    for source, n_pages in pages.items():
        for first in range(0, max(n_pages, 1), BATCH_PAGES):
            copied, asked = transact(bench, job.owner, [_copy(job, source, first), XID])
            xid = asked.rows[0]["xid"]
            n_rows += copied.n_rows
            done = n_done + min(first + BATCH_PAGES, n_pages)
            share = f"{done / total:.0%}" if sum(pages.values()) else "100%"
            bench.progress(f"{job.default.relation}: {n_rows:,} rows copied, {share} of its blocks")
        n_done += n_pages
    return xid


def _copy(job: Job, source: QualifiedName, first: int) -> str:
    return (
        f"INSERT INTO {job.objects.plain} ({job.columns()}) SELECT {job.columns('d')}"
        f" FROM ONLY {source} AS d"
        f" WHERE d.ctid >= '({first},0)' AND d.ctid < '({first + BATCH_PAGES},0)'"
    )


def _pages(bench: Workbench, job: Job, source: QualifiedName) -> int:
    size = Asked(
        f"SELECT pg_catalog.pg_relation_size({literal(str(source))}::pg_catalog.regclass)"
        " / pg_catalog.current_setting('block_size')::pg_catalog.int4 AS n_pages"
    )
    (asked,) = transact(bench, job.owner, [size])
    return int(asked.rows[0]["n_pages"])
