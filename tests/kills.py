"""Kill a run of ours before its n-th statement that changes something.

The run is a process of its own, so that nothing of it is tidied up afterwards.
"""

import os
import re
import signal
from collections.abc import Callable
from typing import Any

import psycopg

from tests.builders import Database

_CHANGES = re.compile(
    r"^(--[^\n]*\n|\s)*"
    r"(BEGIN(?! READ ONLY)|CREATE|DROP|ALTER|ANALYZE|COMMENT|DO|INSERT|UPDATE|WITH)\b"
)
_OURS = "SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'maintenance ')"

COME_THROUGH = 0
KILLED = 9

Kill = Callable[[Database], object]
"""What happens before the statement, in the process that sends it."""


def kill_client(_database: Database) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def end_backends(database: Database) -> None:
    database.execute(f"SELECT pg_terminate_backend(pid) FROM ({_OURS}) AS ours")


def crash_server(database: Database) -> None:
    database.server.stop(immediate=True)
    database.server.start()


def runs_through(database: Database, work: Callable[[], object], number: int, kill: Kill) -> bool:
    """Whether a run comes through before its n-th change, where it would be killed."""
    child = os.fork()
    if child == 0:
        os._exit(_run(database, work, number, kill))
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == COME_THROUGH


def _run(database: Database, work: Callable[[], object], number: int, kill: Kill) -> int:
    n_changes = 0
    execute = psycopg.Connection.execute

    def counting(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal n_changes
        text = query.decode() if isinstance(query, bytes) else str(query)
        ours = "maintenance " in self.info.get_parameters().get("application_name", "")
        if ours and _CHANGES.match(text):
            n_changes += 1
            if n_changes == number:
                kill(database)
        return execute(self, query, *args, **kwargs)

    psycopg.Connection.execute = counting  # type: ignore[method-assign]
    try:
        work()
    except BaseException:  # noqa: BLE001 - whatever a fault does to the run
        return KILLED
    return COME_THROUGH if n_changes < number else KILLED
