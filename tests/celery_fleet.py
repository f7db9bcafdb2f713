"""Several databases, and Dagster with workers of Celery to maintain them, as operators have it."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from psycopg.conninfo import conninfo_to_dict

from maintenance.demo import ports
from maintenance.demo.dagster import Dagster
from maintenance.demo.redis import RedisServer
from tests.builders import Database
from tests.documents import ROOT, blocks
from tests.e2e.demos import wait_until
from tests.orchestration.conftest import VARIABLES

PAGE = ROOT / "docs/celery.md"
SECONDS = {
    "poll_interval_seconds: 60": "poll_interval_seconds: 1",
    "free_slots_after_run_end_seconds: 300": "free_slots_after_run_end_seconds: 1",
}
"""Waits of dagster.yaml that only lengthen a test."""


def launcher_section() -> str:
    """The section of dagster.yaml that the page shows."""
    (found,) = [block.text for block in blocks(PAGE) if block.text.startswith("run_launcher:")]
    return found


def worker_command() -> list[str]:
    """The command of a worker that the page shows, without its options."""
    (found,) = [b.text for b in blocks(PAGE) if b.language == "sh" and b.text.startswith("celery ")]
    words = shlex.split(found)
    return words[: words.index("worker") + 1]


@dataclass
class Fleet:
    """Dagster's processes and the workers; its storage is in a database of its own."""

    home: Path
    environment: Mapping[str, str]
    dagster: Dagster = field(init=False)
    workers: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.dagster = Dagster(self.home, ports.free_port())

    def start(self) -> None:
        """Start what launches runs, not what executes them."""
        self.dagster.start(self.environment)
        settings = self.home / "dagster.yaml"
        text = settings.read_text() + launcher_section()
        for long, short in SECONDS.items():
            assert long in text
            text = text.replace(long, short)
        settings.write_text(text)
        self.dagster.serve()

    def start_worker(self, name: str, *options: str) -> None:
        """Start a worker in a process group of its own."""
        program, *words = worker_command()
        command = [sys.executable, "-m", program, *words, "--hostname", f"{name}@fleet", *options]
        with (self.home / f"{name}.log").open("wb") as log:
            self.workers[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env={**self.environment, "DAGSTER_HOME": str(self.home)},
                start_new_session=True,
            )

    def kill_worker(self, name: str) -> None:
        """Kill a worker and the processes of its runs, as a lost machine does."""
        worker = self.workers.pop(name)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    @contextmanager
    def instance(self) -> Generator[dg.DagsterInstance]:
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            yield instance

    def stop(self) -> None:
        for name in list(self.workers):
            self.kill_worker(name)
        self.dagster.stop()


def workers_of_runs(instance: dg.DagsterInstance) -> dict[str, str]:
    """The workers that say they have a run, by run."""
    launcher: Any = instance.run_launcher
    answers: Any = launcher.celery.control.inspect(timeout=2).active() or {}
    of_task: dict[str, str] = {}
    for worker, tasks in answers.items():
        of_task |= {task["id"]: worker.split("@")[0] for task in tasks}
    runs = {run.run_id: run.tags.get(DAGSTER_CELERY_TASK_ID_TAG, "") for run in instance.get_runs()}
    return {run: of_task[task] for run, task in runs.items() if task in of_task}


@contextmanager
def running_fleet(
    home: Path, policies: Path, storage: Database, broker: RedisServer
) -> Generator[Fleet]:
    """A fleet of the policies of a folder, until the end of a test."""
    parts = conninfo_to_dict(storage.url)
    environment = {
        **os.environ,
        **{variable: str(parts[part]) for variable, part in VARIABLES.items()},
        "CELERY_BROKER_URL": broker.url,
        "MAINTENANCE_POLICIES": str(policies),
    }
    fleet = Fleet(home, environment)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        try:
            fleet.start()
            yield fleet
        finally:
            fleet.stop()


def wait_for_end(instance: dg.DagsterInstance, n_runs: int) -> Sequence[dg.DagsterRun]:
    """Wait until that many runs were made and all of them have ended; the runs."""

    def ended() -> bool:
        runs = instance.get_runs()
        return len(runs) >= n_runs and all(run.is_finished for run in runs)

    wait_until(ended)
    return instance.get_runs()
