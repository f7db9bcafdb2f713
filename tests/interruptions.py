"""Interruptions of a run: of its process, of its sessions, and of the server."""

import subprocess
from collections.abc import Callable

from tests.builders import Database

OURS = "SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'maintenance ')"
"""The sessions of a run."""

Process = subprocess.Popen[str]
Interruption = Callable[[Database, Process], object]


def kill_client(_database: Database, process: Process) -> None:
    process.kill()


def end_backends(database: Database, _process: Process) -> None:
    database.execute(f"SELECT pg_terminate_backend(pid) FROM ({OURS}) AS ours")


def crash_server(database: Database, process: Process) -> None:
    database.server.stop(immediate=True)
    process.wait()
    database.server.start()
