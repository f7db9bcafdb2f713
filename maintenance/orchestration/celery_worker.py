"""What a worker of Celery loads: `celery --app maintenance.orchestration.celery_worker worker`.

Broker and settings are those of the launcher in `dagster.yaml`, so that both always agree.
"""

import os
from typing import Any

import dagster as dg

from maintenance.orchestration.celery_launcher import WatchedCeleryRunLauncher


def worker_app() -> Any:
    """Return the application of workers.

    Raises:
        SystemExit: no instance is named, or it launches its runs otherwise.
    """
    if not os.environ.get("DAGSTER_HOME"):
        raise SystemExit("DAGSTER_HOME is not set: set it to the folder with dagster.yaml")
    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
        if not isinstance(launcher, WatchedCeleryRunLauncher):
            raise SystemExit(
                f"dagster.yaml: run_launcher is {type(launcher).__name__}, wanted"
                f" {WatchedCeleryRunLauncher.__name__}: see docs/celery.md"
            )
        return launcher.worker_app()


app = worker_app()
