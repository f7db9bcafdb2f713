"""Kill a run of ours before its n-th statement that changes something.

The run is a process of its own, so that nothing of it is tidied up afterwards.
"""

import os
import re
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

from tests.builders import Database

_CHANGES = re.compile(
    r"^(--[^\n]*\n|\s)*"
    r"(BEGIN(?! READ ONLY)|CREATE|DROP|ALTER|ANALYZE|COMMENT|COMMIT|DO|DELETE|INSERT|UPDATE|WITH)\b"
)
_OURS = "SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'maintenance ')"

COME_THROUGH = 0
KILLED = 9

Kill = Callable[[Database, int], object]
"""What happens before the statement, to the database or to the process that is to send it."""


def kill_client(_database: Database, process: int) -> None:
    os.kill(process, signal.SIGKILL)


def end_backends(database: Database, _process: int) -> None:
    database.execute(f"SELECT pg_terminate_backend(pid) FROM ({_OURS}) AS ours")


def crash_server(database: Database, _process: int) -> None:
    database.server.stop(immediate=True)
    database.server.start()


def runs_through(database: Database, work: Callable[[], object], number: int, kill: Kill) -> bool:
    """Whether a run comes through before its n-th change, where it would be killed.

    The run waits at that statement until its parent, which keeps the server, has done it.
    """
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        here.close()
        os._exit(_run(work, number, there))
    there.close()
    with here:
        if here.recv(1):
            kill(database, child)
            with suppress(OSError):  # the run is dead
                here.send(_GO_ON)
        _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == COME_THROUGH


_GO_ON = b"."


def _run(work: Callable[[], object], number: int, parent: socket.socket) -> int:
    n_changes = 0
    execute = psycopg.Connection.execute

    def counting(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal n_changes
        text = query.decode() if isinstance(query, bytes) else str(query)
        ours = "maintenance " in self.info.get_parameters().get("application_name", "")
        if ours and _CHANGES.match(text):
            n_changes += 1
            if n_changes == number:
                parent.send(_GO_ON)
                parent.recv(1)
        return execute(self, query, *args, **kwargs)

    psycopg.Connection.execute = counting  # type: ignore[method-assign]
    try:
        work()
    except BaseException:  # noqa: BLE001 - whatever a fault does to the run
        return KILLED
    return COME_THROUGH if n_changes < number else KILLED
