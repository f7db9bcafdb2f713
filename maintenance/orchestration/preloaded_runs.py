"""Runs of a code server begin with their modules loaded: loading took half of a nightly run.

Dagster's code server starts a process of Python for each run. Here it is forked from a process that
has loaded the modules of runs and nothing else: no policy, no session, no thread. Each run reads
its policy anew. That process begins with the first run and ends after a pause, or with the code
server.
"""

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from maintenance.orchestration.dagster_internals import start_runs_by

_MODULES = "maintenance.orchestration.run_modules"

PAUSE_S = 120.0
"""After so long without a run the process ends, and its memory is free until the next one."""


def preload_runs() -> None:
    """Start the runs of this process's code server with their modules loaded, where that is safe.

    Libraries of other systems may begin threads by being loaded.
    """
    if sys.platform != "linux":
        return
    context = _Context()
    context.set_forkserver_preload([_MODULES])
    start_runs_by(context)


class _Source:
    """The process that runs are forked from, for the length of a batch of runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pause: threading.Timer | None = None

    @contextmanager
    def in_use(self) -> Generator[None]:
        """Keep the process for the length of a block and of a pause after it."""
        with self._lock:
            try:
                yield
            finally:
                self._begin_pause()

    def _begin_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._pause = threading.Timer(PAUSE_S, self._end_pause)
        self._pause.daemon = True
        self._pause.start()

    def _end_pause(self) -> None:
        with self._lock:
            if not _ended():
                self._begin_pause()


_source = _Source()


class _Run(ForkServerProcess):
    def start(self) -> None:
        with _source.in_use():
            super().start()


class _Context(ForkServerContext):
    Process = _Run


def _ended() -> bool:
    """End the process if no run is at work; return whether it has ended.

    `multiprocessing` has no public way to end it. The next run starts another one.
    """
    module: Any = forkserver
    server = module._forkserver  # noqa: SLF001
    pid: int | None = server._forkserver_pid  # noqa: SLF001
    if pid is None:
        return True
    if _has_children(pid):
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    server._stop()  # noqa: SLF001 - removes its socket
    return True


def _has_children(pid: int) -> bool:
    """Whether a process has children; true if the kernel does not tell."""
    try:
        return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    except OSError:
        return True
