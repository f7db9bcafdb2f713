"""Keeps the copies of an interrupted split, so that the next run continues where it ended.

The comment of the log says what is copied where, and a table how far each source is copied: it is
written in the transaction of each batch. Triggers log all changes meanwhile. Nothing is kept once
indexes are built.
"""

from collections.abc import Iterator, Mapping

from maintenance.engine.action_context import ActionContext
from maintenance.names import QualifiedName, literal, quote
from maintenance.server.session import fetch
from maintenance.server.statements import Asked
from maintenance.subjects.partitions.drain.job import Job, Objects
from maintenance.subjects.partitions.drain.kept_mark import KeptCopy, read_kept
from maintenance.subjects.partitions.drain.registry import read_registry
from maintenance.subjects.partitions.drain.transactions import transact


def find_kept(context: ActionContext, objects: Objects, owner: str) -> KeptCopy | None:
    """Read the copies that an interrupted split of a partition has left, if any.

    Args:
        context: with a session that is not in a transaction.
        objects: the names of its objects.
        owner: of the table: a log of another role is not ours.
    """
    parameters = {"schema": objects.schema, "prefix": objects.prefix, "drained": objects.oid}
    found = fetch(context.connection, "partitions", "list_drain_objects", parameters)
    log = next((row for row in found if row.comment and row.name == objects.log.name), None)
    if log is None or log.owner != owner:
        return None
    registry = read_registry(log.comment, log.owner, objects.oid)
    kept = read_kept(log.comment)
    if registry is None or kept is None:
        return None
    made = {row.name for row in found if row.oid in registry.made and row.owner == owner}
    wanted = {objects.plain.name, objects.progress.name}
    wanted |= {objects.copy(part.key).name for part in kept.parts}
    return kept if made.issuperset(wanted) else None


def create_progress(job: Job) -> Iterator[str]:
    """Yield the statements that create the table of how far each source is copied."""
    table, owner = job.objects.progress, job.owner
    yield f"CREATE TABLE {table} (source pg_catalog.text PRIMARY KEY, next_page bigint NOT NULL)"
    if owner != job.role:
        yield f"ALTER TABLE {table} OWNER TO {quote(owner)}"
    for grantee in job.table.properties.default_grantees:
        yield f"REVOKE ALL ON TABLE {table} FROM {'PUBLIC' if grantee is None else quote(grantee)}"


def remember(job: Job, source: QualifiedName, next_page: int) -> str:
    """Return the statement that records how far a source is copied."""
    return (
        f"INSERT INTO {job.objects.progress} VALUES ({literal(str(source))}, {next_page})"
        " ON CONFLICT (source) DO UPDATE SET next_page = EXCLUDED.next_page"
    )


def read_progress(context: ActionContext, job: Job) -> Mapping[str, int]:
    """Return the first block of each source that is not copied yet; none without a kept copy."""
    if not job.resumes:
        return {}
    query = Asked(f"SELECT source, next_page FROM {job.objects.progress}")
    (answer,) = transact(context, job.owner, [query])
    return {row["source"]: int(row["next_page"]) for row in answer.rows}
