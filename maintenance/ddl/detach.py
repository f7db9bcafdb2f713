"""Detaches a partition without making the application wait.

`DETACH … CONCURRENTLY` takes SHARE UPDATE EXCLUSIVE on the parent, and in its second transaction
ACCESS EXCLUSIVE on the partition, which by then no query of the parent reads; PostgreSQL refuses it
if a default partition exists. The plain form takes ACCESS EXCLUSIVE on the parent, in short
attempts.
Source: PostgreSQL manual, ALTER TABLE … DETACH PARTITION.
"""

from collections.abc import Iterator

from maintenance.catalog.models import Partition, Table
from maintenance.catalog.trees import Tree
from maintenance.ddl.guards import still_attached
from maintenance.ddl.lock_statements import allowed_time, take
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName


def detach(parent: Table, child: Partition, mark: str) -> tuple[Step, ...]:
    """Return the steps that check that a partition is unchanged, and detach it.

    Args:
        parent: the partitioned table as observed.
        child: the partition; its bound was readable.
        mark: the statement that marks the detached table, see `marks.set_comment`.
    """
    assert child.bound is not None, "unreadable tables are not planned for"
    guard = still_attached(child.relation, child.oid, parent.relation, child.bound)
    statement = f"ALTER TABLE {parent.relation} DETACH PARTITION {child.relation}"
    # CONCURRENTLY evaluates constants in CHECKs as the current role, which must not be ours.
    if parent.default is not None or parent.referenced_by or parent.code is not None:
        locks = tuple(_plain_locks(parent))
        # A writer of a referencing row locks its own table first, then this one.
        statements = (take(locks), guard, mark, *_time_for(child.tree), statement)
        return (Step(statements=statements, locks=locks),)
    own = Lock(str(child.relation), LockMode.SHARE_UPDATE_EXCLUSIVE)
    return (
        Step(statements=(guard, mark), locks=(own,)),
        Step(
            statements=(f"{statement} CONCURRENTLY",),
            locks=tuple(_concurrent_locks(parent, child)),
            concurrent=True,
        ),
    )


def finalize(parent: QualifiedName, child: QualifiedName, n_tables: int = 1) -> Step:
    """Return the step that finalizes an interrupted `DETACH … CONCURRENTLY`.

    FINALIZE waits for every older snapshot of the database while it holds the lock on the child.

    Args:
        parent: the partitioned table.
        child: the partition.
        n_tables: the number of its tables.
    """
    statement = f"ALTER TABLE {parent} DETACH PARTITION {child} FINALIZE"
    return Step(
        statements=(allowed_time(n_tables), statement) if n_tables > 1 else (statement,),
        locks=(
            Lock(str(parent), LockMode.SHARE_UPDATE_EXCLUSIVE),
            Lock(str(child), LockMode.ACCESS_EXCLUSIVE),
        ),
        one_snapshot=True,
    )


def _time_for(tree: Tree | None) -> tuple[str, ...]:
    return () if tree is None else (allowed_time(len(tree.branches)),)


def _plain_locks(parent: Table) -> Iterator[Lock]:
    for other in sorted(parent.referenced_by):
        yield Lock(str(other), LockMode.ACCESS_EXCLUSIVE)
    yield Lock(str(parent.relation), LockMode.ACCESS_EXCLUSIVE)
    if parent.default is not None:
        yield Lock(str(parent.default.relation), LockMode.ACCESS_EXCLUSIVE)
    yield from _foreign_locks(parent)


def _concurrent_locks(parent: Table, child: Partition) -> Iterator[Lock]:
    yield Lock(str(parent.relation), LockMode.SHARE_UPDATE_EXCLUSIVE)
    yield Lock(str(child.relation), LockMode.ACCESS_EXCLUSIVE)
    yield from _foreign_locks(parent)


def _foreign_locks(parent: Table) -> Iterator[Lock]:
    for other in sorted(set(parent.foreign_keys) - set(parent.referenced_by)):
        yield Lock(str(other), LockMode.SHARE_ROW_EXCLUSIVE)
