"""Runs of a code server begin with their modules loaded: loading took half of a nightly run.

Dagster's code server starts a process of Python for each run. Here it is forked from a process that
has loaded the modules of runs and nothing else: no policy, no session, no thread. Each run reads
its policy anew. That process begins with the first run and ends with the code server.
"""

import multiprocessing
import sys

from maintenance.orchestration.dagster_internals import start_runs_by

_MODULES = "maintenance.orchestration.run_modules"


def preload_runs() -> None:
    """Start the runs of this process's code server with their modules loaded, where that is safe.

    Libraries of other systems may begin threads by being loaded.
    """
    if sys.platform != "linux":
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_MODULES])
    start_runs_by(context)
