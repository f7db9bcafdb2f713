"""The exchange: one short transaction after which the copies are the partitions. It writes no row.

The default partition goes with a name that tells any run that it is done with.
"""

from collections.abc import Iterator

from maintenance.ddl.children import attach
from maintenance.ddl.guards import require, still_attached
from maintenance.ddl.locking import take
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, literal, quote
from maintenance.partitions.drain.job import Job, Target
from maintenance.partitions.drain.objects import CAPTURE
from maintenance.partitions.drain.stage import check_names


def exchange(job: Job) -> Step:
    """Return the step that puts the copies in the place of the default partition.

    It fails if a change has not been made in the copies yet, or was one that triggers miss.
    """
    parent, default, objects = job.table.relation, job.default.relation, job.objects
    locks = exchange_locks(job)
    return Step(
        statements=(
            take(locks),
            still_attached(default, job.default.oid, parent, "DEFAULT"),
            require(_follows(job), f"{default}: not all its changes have been copied"),
            require(_stands(job), f"{default}: was rewritten or altered while it was copied"),
            *(f"ALTER TABLE {objects.root} DETACH PARTITION {t.copy}" for t in job.targets),
            f"ALTER TABLE {parent} DETACH PARTITION {default}",
            f"ALTER TABLE {default} RENAME TO {quote(objects.old.name)}",
            *_let_go(job),
            *(sql for target in job.periods for sql in _attach(job, target, target.final)),
            *_attach(job, job.rest, default),
        ),
        locks=locks,
    )


def exchange_locks(job: Job) -> tuple[Lock, ...]:
    """Return its locks; a foreign key that was there before costs the table it points to most."""
    # Autovacuum gives way to a request that may wait, and never within a lock timeout.
    patient = Lock(str(job.default.relation), LockMode.SHARE_UPDATE_EXCLUSIVE)
    names = (job.table.relation, job.default.relation, *sorted(job.table.foreign_keys))
    return (patient, *(Lock(str(name), LockMode.ACCESS_EXCLUSIVE) for name in names))


def _follows(job: Job) -> str:
    """Return the condition that changes are captured, and none is open."""
    return (
        f"NOT EXISTS (SELECT FROM {job.objects.log}) AND EXISTS (SELECT FROM pg_catalog.pg_trigger"
        f" WHERE tgrelid = {job.default.oid} AND tgname = '{CAPTURE}' AND tgenabled = 'A')"
    )


def _stands(job: Job) -> str:
    """Return the condition that nothing has changed all rows at once, which no trigger tells."""
    return (
        f"EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = {job.default.oid}"
        f" AND relfilenode = {job.storage.filenode} AND relnatts = {job.storage.n_columns})"
    )


def _let_go(job: Job) -> Iterator[str]:
    """Drop the foreign keys of what is done with: it would forbid to delete what it points to."""
    if job.shape.foreign_keys:
        old = str(job.objects.old)
        body = f"""DECLARE statement text; BEGIN FOR statement IN
  SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', {literal(old)}, k.conname)
    FROM pg_catalog.pg_constraint k
   WHERE k.conrelid = {literal(old)}::pg_catalog.regclass AND k.contype = 'f'
LOOP EXECUTE statement; END LOOP; END"""
        yield f"DO {literal(body)}"


def _attach(job: Job, target: Target, name: QualifiedName) -> Iterator[str]:
    yield f"ALTER TABLE {target.copy} RENAME TO {quote(name.name)}"
    yield from attach(job.table, name, target.bound)
    drops = [f"DROP CONSTRAINT {check}" for check in check_names(target)]
    yield f"ALTER TABLE {name} {', '.join([*drops, 'RESET (autovacuum_enabled)'])}"
    if job.table.properties.force_row_security:
        yield f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"
