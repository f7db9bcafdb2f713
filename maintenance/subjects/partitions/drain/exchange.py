"""The exchange: one short transaction that makes the copies the partitions. It writes no row.

The drained partition gets a name by which any run recognizes that it is no longer needed.
"""

from collections.abc import Iterator, Sequence

from maintenance.catalog.models import Table
from maintenance.ddl.children import attach
from maintenance.ddl.guards import require, same_tree, still_attached
from maintenance.ddl.lock_statements import allowed_time, take
from maintenance.ddl.marks import RELEASED, remove_mark
from maintenance.ddl.trees import (
    attach_branches,
    detach_branches,
    index_identities,
    publish,
    rename_tree,
)
from maintenance.engine.actions import Step
from maintenance.names import QualifiedName, literal
from maintenance.subjects.partitions.default_names import exchange_locks, parent_of_default
from maintenance.subjects.partitions.drain.job import CAPTURE, DrainTarget, Job
from maintenance.subjects.partitions.drain.staging import OWN_CHECK, check_names
from maintenance.subjects.partitions.template import in_place


def exchange(job: Job) -> Step:
    """Return the step that replaces the drained partition with the copies.

    It fails if a change is missing in the copies, or was of a kind that triggers don't capture.
    """
    parent, drained, objects = job.table.relation, job.standing.relation, job.objects
    assert job.drained.bound is not None, "it was read"
    locks = exchange_locks(job.table, job.standing)
    old = objects.tree(job.drained.whole, objects.old)
    n_tables = sum(len(blueprint.names) for blueprint in (old, *(t.staged for t in job.targets)))
    return Step(
        statements=(
            take(locks),
            allowed_time(n_tables),
            still_attached(drained, job.drained.oid, parent, job.drained.bound),
            same_tree(drained, job.drained.whole.oids),
            require(_is_captured(job), f"{drained}: some changes have not been copied"),
            require(_is_unchanged(job), f"{drained}: was rewritten or altered while it was copied"),
            *(f"ALTER TABLE {objects.root} DETACH PARTITION {t.copy}" for t in job.targets),
            f"ALTER TABLE {parent} DETACH PARTITION {drained}",
            *((remove_mark(drained, RELEASED),) if job.is_released else ()),
            *rename_tree(in_place(job.standing), old),
            *_let_go(job),
            *(sql for target in job.targets for sql in _attach(job, target)),
        ),
        locks=locks,
        owner=job.owner,
    )


def _is_captured(job: Job) -> str:
    """Return the condition that changes are captured, and none is pending."""
    oids = ", ".join(str(leaf.oid) for leaf in job.drained.whole.leaves)
    return (
        f"NOT EXISTS (SELECT FROM {job.objects.log})"
        f" AND {len(job.sources)} = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger"
        f" WHERE tgrelid IN ({oids}) AND tgname = '{CAPTURE}' AND tgenabled = 'A')"
    )


def _is_unchanged(job: Job) -> str:
    """Return the condition that no table was rewritten, which triggers don't capture."""
    found = ", ".join(f"({each.oid}, {each.filenode}, {each.n_columns})" for each in job.storage)
    return (
        f"{len(job.storage)} = (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class"
        f" WHERE (oid, relfilenode, relnatts) IN (VALUES {found}))"
    )


def _let_go(job: Job) -> Iterator[str]:
    """Drop the foreign keys of the old table: they would block deletes of referenced rows."""
    if job.shape.foreign_keys:
        old = str(job.objects.old)
        body = f"""DECLARE statement text; BEGIN FOR statement IN
  SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I', {literal(old)}, k.conname)
    FROM pg_catalog.pg_constraint k
   WHERE k.conrelid = {literal(old)}::pg_catalog.regclass AND k.contype = 'f'
LOOP EXECUTE statement; END LOOP; END"""
        yield f"DO {literal(body)}"


def _attach(job: Job, target: DrainTarget) -> Iterator[str]:
    staged, final = target.staged, target.final
    late = staged.joins_late
    yield from detach_branches(staged) if late else ()
    yield from rename_tree(staged, final)
    if late:
        branches = final.model.branches
        yield from (_drop_checks(final.names[b.oid], target) for b in branches if b.kind == "p")
    yield from attach(job.table, final.root, target.bound)
    yield from attach_branches(final) if late else ()
    yield from index_identities(job.table, final)
    yield from _settle(job, target)
    yield from publish(final)


def _settle(job: Job, target: DrainTarget) -> Iterator[str]:
    """Remove what only the copies needed, and add what they could not have before."""
    final, own = target.final, [OWN_CHECK] if target.final.joins_late else []
    if not final.is_single and not own:
        yield _drop_checks(final.root, target)
    for branch in final.model.leaves:
        options = job.table.shared.options if final.is_single else branch.options
        dropped = check_names(target) if final.is_single or own else []
        drops = [f"DROP CONSTRAINT {check}" for check in (*dropped, *own)]
        yield f"ALTER TABLE {final.names[branch.oid]} {', '.join([*drops, _autovacuum(options)])}"
    if _like(job.table, final.root).properties.force_row_security:
        for name in final.names.values():
            yield f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"


def _like(table: Table, partition: QualifiedName) -> Table:
    default = table.default
    is_default = default is not None and partition == default.relation
    return parent_of_default(table) if is_default else table


def _drop_checks(table: QualifiedName, target: DrainTarget) -> str:
    drops = (f"DROP CONSTRAINT {check}" for check in check_names(target))
    return f"ALTER TABLE {table} {', '.join(drops)}"


def _autovacuum(options: Sequence[str]) -> str:
    wanted = next((o for o in options if o.startswith("autovacuum_enabled=")), None)
    return f"SET ({wanted})" if wanted else "RESET (autovacuum_enabled)"
