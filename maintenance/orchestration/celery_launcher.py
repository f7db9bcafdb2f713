"""Runs on the workers of Celery: the launcher that `dagster.yaml` names."""

from typing import Any

import dagster as dg
from dagster_celery import tasks
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from maintenance.orchestration.dagster_internals import CheckRunHealthResult, WorkerStatus

ANSWERS_WITHIN_S = 5.0
"""How long workers have to say what they work on."""
MAX_MISSES = 3
"""How often in a row a run may be with no worker before it counts as lost."""


class WatchedCeleryRunLauncher(CeleryRunLauncher):
    """Dagster's launcher, for which a run whose worker was killed is lost.

    Of such a run Celery says for ever that it has started. What counts here is which runs the
    workers say they have. A worker may be too busy to answer once, hence several checks in a row.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._misses: dict[str, int] = {}

    def worker_app(self) -> Any:
        """Return the application of workers: the launcher's, with the task that executes a run."""
        tasks.create_execute_job_task(self.celery)
        return self.celery

    def terminate(self, run_id: str) -> bool:
        """End a run, as canceled and so for good: a failed run would be started again."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        return super().terminate(run_id)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether a worker has the run; an error of the broker says nothing about a run."""
        told = super().check_run_worker_health(run)
        if told.status is WorkerStatus.FAILED:
            return told
        if self._is_with_a_worker(run.tags[DAGSTER_CELERY_TASK_ID_TAG]):
            self._misses.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        misses = self._misses[run.run_id] = self._misses.get(run.run_id, 0) + 1
        if misses < MAX_MISSES:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        del self._misses[run.run_id]
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"in {MAX_MISSES} checks no Celery worker had this run"
        )

    def _is_with_a_worker(self, task_id: str) -> bool:
        answers: dict[str, dict[str, Any]] = self._workers_of(task_id).query_task(task_id) or {}
        return any(task_id in tasks for tasks in answers.values())

    def _workers_of(self, task_id: str) -> Any:
        """Return the worker that began a task, else all, which takes the whole time to answer."""
        app: Any = self.celery
        known = app.AsyncResult(task_id).info  # of a task that has begun, a mapping
        workers = [known["hostname"]] if hasattr(known, "keys") else None
        return app.control.inspect(workers, timeout=ANSWERS_WITHIN_S)
