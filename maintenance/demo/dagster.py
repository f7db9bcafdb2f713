"""Dagster's three processes: the code server, the webserver, and the daemon that runs jobs."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from maintenance.demo import ports
from maintenance.demo.services import Service
from maintenance.demo.webserver import Webserver
from maintenance.server.sql_library import data_root

LOCATION = "maintenance"
"""The code location's name, as in workspace.yaml: schedules belong to it."""

_WORKSPACE = """\
# Written at each start: the address of the code server.
load_from:
  - grpc_server: {{host: {host}, port: {port}, location_name: {location}}}
"""


_SETTINGS = {
    "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",
    # As in `deploy/`: one heap for all threads of a process, which are idle most of the time.
    "MALLOC_ARENA_MAX": "1",
}
_START_TIMEOUT = ("start_timeout_seconds: 180", "start_timeout_seconds: 600")
"""How long a run may take to start: longer than elsewhere, since a run that did not start in time
counts as failed, and a small machine starts several at once."""


@dataclass
class Dagster:
    """An instance folder (DAGSTER_HOME) and its processes.

    Code server, webserver and daemon are the fewest processes that can serve the UI and run
    jobs: `dagster dev` starts five.

    Attributes:
        home: the instance folder, absolute.
        port: the port of the UI, on loopback.
        module: what the code server loads.
    """

    home: Path
    port: int
    module: str = "maintenance.definitions"
    _started_at: float = field(default=0.0, init=False)
    _environment: Mapping[str, str] = field(default_factory=dict[str, str], init=False, repr=False)

    def __post_init__(self) -> None:
        self.webserver = Webserver(f"http://{ports.LOOPBACK}:{self.port}", LOCATION)
        self._code_port = ports.free_port()
        workspace = f"--workspace={self._workspace}"
        self._code = self._service(
            "code server",
            *("dagster", "api", "grpc", "--host", ports.LOOPBACK, "--port", str(self._code_port)),
            *("--module-name", self.module, "--location-name", LOCATION),
            # It creates Dagster's tables before it serves. The other two would conflict,
            # since Dagster creates tables outside a transaction.
            "--inject-env-vars-from-instance",
            f"--working-directory={self.home}",
        )
        self._ui = self._service(
            "webserver",
            *("dagster_webserver", "--host", ports.LOOPBACK, "--port", str(self.port), workspace),
        )
        self._daemon = self._service("daemon", "dagster._daemon", "run", workspace)

    @property
    def logs(self) -> Path:
        """The folder of the processes' logs."""
        return self.home / "processes"

    def end_leftovers(self) -> None:
        """Stop processes left over from a killed run.

        Raises:
            MaintenanceError: a process did not end.
        """
        for service in (self._daemon, self._ui, self._code):
            service.end_leftover()

    def start(self, environment: Mapping[str, str]) -> None:
        """Write the instance folder and start the code server, which takes seconds to load.

        Args:
            environment: the environment of the processes, besides DAGSTER_HOME.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        settings = (data_root() / "dagster.yaml").read_text()
        (self.home / "dagster.yaml").write_text(settings.replace(*_START_TIMEOUT))
        self._workspace.write_text(
            _WORKSPACE.format(host=ports.LOOPBACK, port=self._code_port, location=LOCATION)
        )
        self._environment = {**environment, **_SETTINGS, "DAGSTER_HOME": str(self.home)}
        self._started_at = time.time()
        self._code.start(self._environment)

    def serve(self, patience_s: float = 60.0, *, is_new: bool = True) -> None:
        """Start webserver and daemon, and wait until the UI responds and jobs can run.

        Runs that an earlier daemon has left are canceled before this one begins: a run that is
        canceled at work may keep its slot of a pool for minutes.

        Args:
            patience_s: how long each process may take until it is ready.
            is_new: whether the storage has no runs.

        Raises:
            MaintenanceError: one of the processes ended, or the definitions do not load.
        """
        self._code.wait_until(lambda: ports.is_taken(self._code_port), patience_s)
        self._ui.start(self._environment)
        if not is_new:
            self._ui.wait_until(self.webserver.is_ready, patience_s)
            self.webserver.cancel_all()
        self._daemon.start(self._environment)
        self._ui.wait_until(self.webserver.is_ready, patience_s)
        self._daemon.wait_until(
            lambda: self.webserver.daemons_beat_since(self._started_at), patience_s
        )

    def check_alive(self) -> None:
        """Check that all processes are running.

        Raises:
            MaintenanceError: a process has ended; with the end of its log.
        """
        for service in (self._code, self._ui, self._daemon):
            service.check_alive()

    def stop(self) -> None:
        """Stop the processes: webserver and daemon first, then the code server that they use."""
        for service in (self._daemon, self._ui):
            service.ask_to_stop()
        for service in (self._daemon, self._ui, self._code):
            service.stop()

    @property
    def _workspace(self) -> Path:
        return self.home / "workspace.yaml"

    def _service(self, name: str, *arguments: str) -> Service:
        log = self.logs / f"{name.replace(' ', '-')}.log"
        return Service(name, [sys.executable, "-m", *arguments], log)
