"""A cluster on disk: made whole or not at all, and used by one server at a time."""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maintenance.demo import keeper, processes
from maintenance.demo.account import Account
from maintenance.errors import MaintenanceError

SUPERUSER = "postgres"
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}
"""All a PostgreSQL server inherits: no PGDATA or PGOPTIONS of the caller's."""


@dataclass
class Cluster:
    """A folder with a cluster, its superuser's password and its server's log.

    Attributes:
        home: holds `cluster` (PGDATA), `password` (mode 0600) and `server.log`. It appears
            under this name when complete, so what is there is whole.
        account: who owns it; `None` for ourselves.
    """

    home: Path
    account: Account | None
    _claim: int | None = field(default=None, init=False, repr=False)

    @property
    def files(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        """What its server wrote, all starts one after the other."""
        return self.home / "server.log"

    @property
    def password(self) -> str:
        """The superuser's."""
        return (self.home / "password").read_text().strip()

    @property
    def major(self) -> int:
        """The PostgreSQL version its files are of."""
        return int((self.files / "PG_VERSION").read_text())

    def exists(self) -> bool:
        """Tell whether it has been made.

        Raises:
            MaintenanceError: the folder holds something that is no cluster of ours.
        """
        if (self.files / "PG_VERSION").exists() and (self.home / "password").exists():
            return True
        if self.home.exists() and (not self.home.is_dir() or any(self.home.iterdir())):
            raise MaintenanceError(
                f"data folder {self.home}: found other files, wanted a cluster of ours or nothing",
                hint="name another folder; this one is left as it is",
                reason="other_files",
            )
        return False

    def make(self, initdb: Path, *, fsync: bool) -> None:
        """Run initdb beside the folder and move the result there, in one step.

        Raises:
            MaintenanceError: initdb failed; the message ends with what it said.
        """
        prefix = f"{self.home.name}.making-"
        for each in self.home.parent.iterdir():
            if each.name.startswith(prefix):  # of a killed run: we hold the claim
                _remove(each)
        making = Path(tempfile.mkdtemp(prefix=prefix, dir=self.home.parent))
        try:
            self._initialise(initdb, making, fsync=fsync)
            making.rename(self.home)
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def _initialise(self, initdb: Path, making: Path, *, fsync: bool) -> None:
        password = making / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(18))
        if self.account:
            self.account.own(making, password)
        command = [str(initdb), f"--pgdata={making / 'cluster'}", f"--username={SUPERUSER}"]
        command += [f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8"]
        command += ["--locale=C"] + ([] if fsync else ["--no-sync"])
        with kept(command, self.account, subprocess.PIPE) as run:
            assert run.stdout
            said = run.stdout.read().decode(errors="replace")
            if run.wait():
                raise MaintenanceError(f"initdb {self.home}: {_last_lines(said)}")

    def claim(self) -> None:
        """Keep every other process of ours from this cluster until `release`, or our death.

        Raises:
            MaintenanceError: another process has it.
        """
        if self._claim is not None:
            return
        lock = self.home.with_name(f"{self.home.name}.lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.read(descriptor, 20).decode()
            os.close(descriptor)
            raise MaintenanceError(
                f"data folder {self.home}: found in use by process {holder}, wanted it free",
                hint="stop that process, or name another folder",
                retryable=True,
                reason="in_use",
            ) from exc
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._claim = descriptor

    def release(self) -> None:
        """Let others have the cluster."""
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def pid_file(self) -> list[str]:
        """Return the lines of `postmaster.pid`; none when no server was left on the files."""
        try:
            return (self.files / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def end_leftover(self, patience_s: float) -> None:
        """End a server that runs on without the process, and the keeper, that started it.

        It is stopped and not taken over: nobody would end it with us. A pid file that names
        a process of another kind (pids start again after a reboot, or in a container) is
        removed, since the server would take that process for a living server.

        Raises:
            MaintenanceError: it would not end.
        """
        lines = self.pid_file()
        if not lines:
            return
        pid, mark = int(lines[0]), str(self.files)
        if not processes.runs(pid, mark):
            (self.files / "postmaster.pid").unlink(missing_ok=True)
        elif not processes.end(pid, mark, signal.SIGINT, signal.SIGQUIT, patience_s=patience_s):
            raise MaintenanceError(f"server on {self.home}: process {pid} did not end")


def kept(
    command: Sequence[str],
    account: Account | None,
    output: int,
    environment: Mapping[str, str] = ENVIRONMENT,
    patience_s: float = keeper.PATIENCE_S,
) -> "subprocess.Popen[bytes]":
    """Start a program that ends when we do (see `keeper`).

    Args:
        command: the program and its arguments.
        account: who runs it; `None` for ourselves.
        output: where its output and errors go: a descriptor, or `subprocess.PIPE`.
        environment: all it inherits.
        patience_s: how long it may take to end by itself.
    """
    uid, gid = (account.uid, account.gid) if account else (None, None)
    return subprocess.Popen(
        keeper.command(uid, gid, command, patience_s),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,  # Ctrl-C is for us, who end it in order
    )


def _remove(folder: Path) -> None:
    """Remove a folder in which a program that has been told to end may still write."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def _last_lines(text: str, n: int = 5) -> str:
    return "\n".join(text.strip().splitlines()[-n:])
