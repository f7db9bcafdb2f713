"""A PostgreSQL server on loopback, started and stopped by this process."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote as url_quote

import psycopg

from maintenance.demo import keeper, ports
from maintenance.demo.account import reachable_programs, server_account
from maintenance.demo.cluster import SUPERUSER, Cluster, kept
from maintenance.demo.programs import embedded_binaries, major_of, system_binaries
from maintenance.errors import MaintenanceError
from maintenance.names import quote

__all__ = ["PostgresServer", "embedded_binaries", "system_binaries"]

_PAUSES_S = (0, 0.1, 0.2, 0.5, 1)
"""Pauses before each attempt to start: the port can be taken after the check, and the backends of
a killed server keep its shared memory for a moment."""

_POLL_S = 0.02


@dataclass
class PostgresServer:
    """A database cluster in a folder, and its server while started.

    The server listens on 127.0.0.1 only, without a socket, and requires a generated password
    (SCRAM): with `trust` every local user could be its superuser and run programs as its account.
    It ends with this process.

    When run by root, the server runs as the system user `pgserver`. Programs or data below a
    folder that this user can't enter are replaced by copies below /var/tmp/maintenance-<uid>
    (mode 0700), and `binaries` and `data` then name those.

    Attributes:
        binaries: the folder of PostgreSQL's programs.
        data: the folder for the cluster; created by `create`, must be missing or empty until then.
        port: the wanted port; 0, or a port in use, means any free one. After `start` the real one.
        fsync: off is fast, and loses data only if the machine crashes, not if a process is killed.
        settings: further server settings, by name.
        start_timeout_s: time limit of crash recovery.
    """

    binaries: Path
    data: Path
    port: int = 0
    fsync: bool = True
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    start_timeout_s: float = 60.0
    _run: "subprocess.Popen[bytes] | None" = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not (self.binaries / "initdb").exists():
            raise MaintenanceError(
                f"folder {self.binaries}: initdb not found; use a folder of PostgreSQL",
                reason="no_programs",
            )
        account = server_account()
        self.binaries = reachable_programs(self.binaries.absolute(), account)
        self.data = self.data.absolute()
        self.data.parent.mkdir(parents=True, exist_ok=True)
        if account and not account.can_enter(self.data.parent):
            self.data = account.stand_in(self.data)
        self._cluster = Cluster(self.data, account)

    @property
    def major(self) -> int:
        """The PostgreSQL major version of the cluster."""
        return self._cluster.major

    @property
    def pid(self) -> int:
        """The pid of the postmaster.

        Raises:
            MaintenanceError: the server is not running.
        """
        lines = self._cluster.pid_file()
        if not lines:
            raise MaintenanceError(f"server on {self.data} is not running")
        return int(lines[0])

    @property
    def log(self) -> Path:
        """The server log."""
        return self._cluster.log

    def is_running(self) -> bool:
        """Return whether the started server is still running."""
        return self._run is not None and self._run.poll() is None

    def claim(self) -> None:
        """Lock the folder against other processes until `stop`, or the end of this process.

        Raises:
            MaintenanceError: another process holds it.
        """
        self._cluster.claim()

    def create(self) -> None:
        """Create the cluster if it is missing; remove what a killed run left incomplete.

        Raises:
            MaintenanceError: the folder is in use, has other files or another version.
        """
        self._cluster.claim()
        if not self._cluster.exists():
            self._cluster.make(self.binaries / "initdb", fsync=self.fsync)
        programs = major_of(self.binaries)
        if programs != self.major:
            raise MaintenanceError(
                f"data folder {self.data} has PostgreSQL {self.major}, wanted {programs}",
                hint=f"use the programs of {self.major}, or choose another folder",
                reason="other_version",
            )

    def start(self) -> None:
        """Start the server and wait until it accepts connections; no effect if it runs.

        A server left running by a killed process is stopped first.

        Raises:
            MaintenanceError: it does not start; the message ends with the end of its log.
        """
        if self.is_running():
            return
        self._end()
        self.create()
        self._cluster.end_leftover(keeper.PATIENCE_S)
        for pause_s in _PAUSES_S:
            time.sleep(pause_s)
            if not self.port or ports.is_taken(self.port):
                self.port = ports.free_port()
            if self._launch():
                return
        self._cluster.release()
        raise MaintenanceError(f"server on {self.data} does not start: {self._last_words()}")

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server and wait; no effect if it does not run.

        Args:
            immediate: without a checkpoint, as in a crash; else fast, and immediate if that takes
                longer than `keeper.PATIENCE_S`.
        """
        self._end(immediate=immediate)
        self._cluster.release()

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.stop(immediate=True)
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.with_name(f"{self.data.name}.lock").unlink(missing_ok=True)

    def url(self, database: str = SUPERUSER) -> str:
        """Return the superuser's connection URL, with password: not for messages."""
        password = self._cluster.password
        server = f"{SUPERUSER}:{password}@{ports.LOOPBACK}:{self.port}"
        return f"postgresql://{server}/{url_quote(database, safe='')}"

    def create_database(self, name: str) -> bool:
        """Create an empty database if it is missing.

        Returns:
            Whether it was created now.
        """
        with psycopg.connect(self.url(), autocommit=True) as connection:
            known = "SELECT FROM pg_catalog.pg_database WHERE datname = %s"
            if connection.execute(known, [name]).fetchone() is not None:
                return False
            connection.execute(f"CREATE DATABASE {quote(name)}".encode())
            return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _launch(self) -> bool:
        before = self._cluster.pid_file()
        with self.log.open("ab") as log:
            self._run = kept(self._command(), self._cluster.account, log.fileno())
        if self._becomes_ready(self._run, before):
            return True
        self._end()
        return False

    def _becomes_ready(self, run: "subprocess.Popen[bytes]", before: list[str]) -> bool:
        """Wait, as pg_ctl does, for line 8 of the pid file, once the file is new."""
        deadline = time.monotonic() + self.start_timeout_s
        while run.poll() is None and time.monotonic() < deadline:
            lines = self._cluster.pid_file()
            if lines != before and lines[7:] and lines[7].strip() == "ready":
                return True
            time.sleep(_POLL_S)
        return False

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": ports.LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "on" if self.fsync else "off",
            **self.settings,
        }
        program = [str(self.binaries / "postgres"), "-D", str(self._cluster.files)]
        return program + [
            part for name, value in settings.items() for part in ("-c", f"{name}={value}")
        ]

    def _end(self, *, immediate: bool = False) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        assert run.stdin
        with contextlib.suppress(BrokenPipeError), run.stdin as pipe:
            pipe.write(keeper.AT_ONCE if immediate else b"")
        run.wait()

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-5:])
