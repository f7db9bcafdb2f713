"""Adds the foreign keys of the copies, in separate transactions before the exchange.

They come last: earlier, an outdated copy could block the application from deleting the row that it
references.
"""

from maintenance.ddl.lock_statements import allowed_time, take
from maintenance.ddl.trees import Blueprint
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, quote
from maintenance.subjects.partitions.drain.job import ForeignKey, Job
from maintenance.subjects.partitions.helper_checks import alone


def add_foreign_keys(context: ActionContext, job: Job) -> None:
    """Add the parent's foreign keys to the copies, so that ATTACH does not scan their rows."""
    for key in job.shape.foreign_keys:
        for target in job.targets:
            for leaf in target.staged.leaves:
                context.run(_add(job, leaf, key))
                validate = f"ALTER TABLE {leaf} VALIDATE CONSTRAINT {quote(key.name)}"
                context.run(Step(statements=(validate,), owner=job.owner))
            if not (target.staged.is_single or target.staged.joins_late):
                context.run(_adopt(job, target.staged, key))


def _add(job: Job, leaf: QualifiedName, key: ForeignKey) -> Step:
    return Step(
        statements=(
            f"ALTER TABLE {leaf} ADD CONSTRAINT {quote(key.name)} {key.definition} NOT VALID",
        ),
        locks=(
            Lock(str(leaf), LockMode.SHARE_ROW_EXCLUSIVE),
            Lock(str(key.referenced), LockMode.SHARE_ROW_EXCLUSIVE),
        ),
        owner=job.owner,
    )


def _adopt(job: Job, copy: Blueprint, key: ForeignKey) -> Step:
    """Return the step that merges the foreign keys of the leaves into one, for the exchange."""
    locks = (*alone(*copy.names.values()), Lock(str(key.referenced), LockMode.ACCESS_EXCLUSIVE))
    adopt = f"ALTER TABLE {copy.root} ADD CONSTRAINT {quote(key.name)} {key.definition}"
    statements = (take(locks), allowed_time(len(copy.names)), adopt)
    return Step(statements=statements, locks=locks, owner=job.owner)
