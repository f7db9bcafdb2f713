"""A database cluster on disk: created completely or not at all, used by one server at a time."""

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
"""The environment of a PostgreSQL server, without the caller's PGDATA or PGOPTIONS."""


@dataclass
class Cluster:
    """A folder with a database cluster, its superuser's password and its server's log.

    Attributes:
        home: contains `cluster` (PGDATA), `password` (mode 0600) and `server.log`. It gets this
            name only when complete.
        account: its owner; `None` for the current user.
    """

    home: Path
    account: Account | None
    _claim: int | None = field(default=None, init=False, repr=False)

    @property
    def files(self) -> Path:
        """PostgreSQL's data directory."""
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        """The server log of all starts."""
        return self.home / "server.log"

    @property
    def password(self) -> str:
        """The superuser's password."""
        return (self.home / "password").read_text().strip()

    @property
    def major(self) -> int:
        """The PostgreSQL major version of its files."""
        return int((self.files / "PG_VERSION").read_text())

    def exists(self) -> bool:
        """Return whether the cluster has been created.

        Raises:
            MaintenanceError: the folder contains files that are not a cluster of the demo.
        """
        if (self.files / "PG_VERSION").exists() and (self.home / "password").exists():
            return True
        if self.home.exists() and (not self.home.is_dir() or any(self.home.iterdir())):
            raise MaintenanceError(
                f"data folder {self.home}: contains files that do not belong to the demo",
                hint="choose another folder; this one is not changed",
                reason="other_files",
            )
        return False

    def make(self, initdb: Path, *, fsync: bool) -> None:
        """Run initdb in a temporary folder and rename it when complete.

        Raises:
            MaintenanceError: initdb failed; the message ends with its output.
        """
        prefix = f"{self.home.name}.making-"
        for each in self.home.parent.iterdir():
            if each.name.startswith(prefix):  # from a killed run, since we hold the claim
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
            assert run.stdin
            assert run.stdout
            try:
                said = run.stdout.read().decode(errors="replace")
            except BaseException:
                run.stdin.close()  # ends it
                run.wait()  # `Popen` waits for a quarter of a second only after Ctrl-C
                raise
            if run.wait():
                raise MaintenanceError(f"initdb {self.home}: {_last_lines(said)}")

    def claim(self) -> None:
        """Lock this cluster against other processes until `release`, or the end of this process.

        Raises:
            MaintenanceError: another process holds it.
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
                f"data folder {self.home}: in use by process {holder}",
                hint="stop that process, or choose another folder",
                retryable=True,
                reason="in_use",
            ) from exc
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._claim = descriptor

    def release(self) -> None:
        """Unlock the cluster for other processes."""
        if self._claim is not None:
            fcntl.flock(self._claim, fcntl.LOCK_UN)  # a fork of this process has it open too
            os.close(self._claim)
            self._claim = None

    def pid_file(self) -> list[str]:
        """Return the lines of `postmaster.pid`; empty if no server was left running."""
        try:
            return (self.files / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def end_leftover(self, patience_s: float) -> None:
        """Stop a server that is left over from a killed process.

        It is stopped instead of reused, since it would not end with this process. A pid file that
        names a process of another kind (pids are reused after a reboot, or in a container) is
        removed, since the server would take that process for a running server.

        Raises:
            MaintenanceError: it did not end.
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
    """Start a program that ends with this process (see `keeper`).

    Args:
        command: the program and its arguments.
        account: the account that runs it; `None` for the current user.
        output: target of its output and errors: a descriptor, or `subprocess.PIPE`.
        environment: its whole environment.
        patience_s: time that it may take to end.
    """
    uid, gid = (account.uid, account.gid) if account else (None, None)
    return subprocess.Popen(
        keeper.command(uid, gid, command, patience_s),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,  # Ctrl-C reaches this process, which stops it in order
    )


def _remove(folder: Path) -> None:
    """Remove a folder in which a stopping program may still write."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def _last_lines(text: str, n: int = 5) -> str:
    return "\n".join(text.strip().splitlines()[-n:])
