"""What Dagster does not export and nothing public stands for, in one place.

`UnresolvedAssetJobDefinition` is what `define_asset_job` returns; functions of ours that return
such a job need its type. `WILL_RETRY_TAG` is the tag by which Dagster marks a failed run that it
will try again; no public property of a run tells that. `IMPLICIT_ASSET_JOB_NAME` is the job of runs
that people start at an asset. `CheckRunHealthResult` is what a launcher tells of the worker of a
run. Three functions reach the tables of the event log: no public function tells how large the
events of a run are, deletes its check results, or gives a free slot of a pool to a step that waits
for it. One decides how a code server starts the processes of
runs, for which there is no setting.
"""

import sys
from collections.abc import Collection, Sequence
from multiprocessing.context import BaseContext
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.tags import WILL_RETRY_TAG

__all__ = [
    "IMPLICIT_ASSET_JOB_NAME",
    "WILL_RETRY_TAG",
    "CheckRunHealthResult",
    "UnresolvedAssetJobDefinition",
    "WorkerStatus",
    "assign_free_slots",
    "delete_check_results",
    "event_texts",
    "start_runs_by",
]


def event_texts(instance: dg.DagsterInstance, run_id: str) -> Sequence[str]:
    """Return the events of a run as they are stored; none if the storage is no SQL database."""
    from dagster._core.storage.event_log import (  # noqa: PLC0415 - loads SQLAlchemy, not for definitions
        SqlEventLogStorage,
        SqlEventLogStorageTable,
    )

    storage: Any = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return []
    events: Any = SqlEventLogStorageTable
    wanted = events.select().with_only_columns(events.c.event).where(events.c.run_id == run_id)
    with storage.run_connection(run_id) as connection:
        return [text for (text,) in connection.execute(wanted)]


def delete_check_results(
    instance: dg.DagsterInstance,
    run_id: str,
    checks: Collection[dg.AssetCheckKey],
    kept: Collection[int],
) -> Sequence[str]:
    """Delete the results of these checks in a run, and return them as stored.

    Results with ids in `kept` stay. The checks are named for the index, which begins with them.
    """
    from dagster._core.storage.event_log import SqlEventLogStorage  # noqa: PLC0415 - see above
    from dagster._core.storage.event_log.schema import (  # noqa: PLC0415
        AssetCheckExecutionsTable,
    )

    storage: Any = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return []
    results: Any = AssetCheckExecutionsTable
    old = (
        results.c.asset_key.in_({check.asset_key.to_string() for check in checks}),
        results.c.check_name.in_({check.name for check in checks}),
        results.c.run_id == run_id,
        results.c.id.notin_(kept),
    )
    wanted = results.select().with_only_columns(results.c.evaluation_event).where(*old)
    with storage.index_connection() as connection:
        found = [text or "" for (text,) in connection.execute(wanted)]
        connection.execute(results.delete().where(*old))
    return found


def assign_free_slots(instance: dg.DagsterInstance, pools: Collection[str]) -> Sequence[str]:
    """Give free slots of these pools to the steps that wait, and return the pools."""
    from dagster._core.storage.event_log import SqlEventLogStorage  # noqa: PLC0415 - see above
    from dagster._core.storage.event_log.schema import PendingStepsTable  # noqa: PLC0415

    storage: Any = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return []
    steps: Any = PendingStepsTable
    waiting = (
        steps.select()
        .with_only_columns(steps.c.concurrency_key)
        .where(steps.c.concurrency_key.in_(pools), steps.c.assigned_timestamp.is_(None))
        .distinct()
    )
    with storage.index_connection() as connection:
        found = sorted(pool for (pool,) in connection.execute(waiting))
    free = [pool for pool in found if storage.has_unassigned_slots(pool)]
    storage.assign_pending_steps(free)
    return free


class _StartMethod:
    """An attribute that stays what it is, whatever a server sets."""

    def __init__(self, context: BaseContext) -> None:
        self._context = context

    def __get__(self, server: object, owner: type | None = None) -> BaseContext:
        return self._context

    def __set__(self, server: object, value: BaseContext) -> None:
        pass


def start_runs_by(context: BaseContext) -> None:
    """Let the code server of this process, if it is one, start runs by a context.

    A server that does not ask for its context this way starts them as before.
    """
    module: Any = sys.modules.get("dagster._grpc.server")  # a code server has loaded it
    if module is not None:
        module.DagsterApiServer._mp_ctx = _StartMethod(context)  # noqa: SLF001 - see above
