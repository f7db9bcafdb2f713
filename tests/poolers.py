"""Real PgBouncers for tests, between a session and a server of `conftest.py`."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from tests.builders import Database, Role

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

CONFIG = """
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users.txt
pool_mode = {mode}
default_pool_size = {size}
query_wait_timeout = 30
ignore_startup_parameters = extra_float_digits
{further}
"""


@dataclass(frozen=True)
class Pooler:
    """A running PgBouncer."""

    port: int

    def url(self, database: Database, role: Role) -> str:
        """Where a role finds a database through it."""
        parts = urlsplit(database.url_of(role))
        user = f"{quote(role.name)}:{quote(role.password)}"
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.port}"))


@contextmanager
def pooler(
    database: Database, role: Role, mode: str, *, size: int = 5, further: str = ""
) -> Generator[Pooler]:
    """A PgBouncer in front of a database's server; skipped where there is none, failed in CI."""
    if PROGRAM is None:
        missing = "pgbouncer is not installed"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with tempfile.TemporaryDirectory(prefix="pgbouncer.") as name:
        folder, port = Path(name), _free_port()
        folder.chmod(0o711)
        text = CONFIG.format(
            server_port=database.server.port,
            port=port,
            folder=folder,
            mode=mode,
            size=size,
            further=further,
        )
        (folder / "users.txt").write_text(f'"{role.name}" "{role.password}"\n')
        (folder / "pgbouncer.ini").write_text(text)
        as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
        process = subprocess.Popen(
            [PROGRAM, "-q", *as_user, str(folder / "pgbouncer.ini")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _answers(port)
            yield Pooler(port)
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _answers(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.02)
    raise AssertionError("pgbouncer did not start")
