"""Programs that run as long as this process: start, wait for readiness, stop."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.text import Text

from maintenance.demo import processes
from maintenance.demo.cluster import kept
from maintenance.errors import MaintenanceError

_PATIENCE_S = 5.0
"""Time that a program may take to end. Dagster's processes keep all their state in the
database."""

_POLL_S = 0.05
_LAST_LINES = 8


@dataclass
class Service:
    """One program, its log and, while it runs, a file with the id of its session.

    Attributes:
        name: its name in messages.
        command: the program and its arguments; the last one names the data folder, which
            identifies processes left over from a killed run.
        log: its output since the newest start.
    """

    name: str
    command: Sequence[str]
    log: Path
    _run: "subprocess.Popen[bytes] | None" = field(default=None, init=False, repr=False)

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it with this environment; `wait_until` waits for readiness."""
        with self.log.open("wb") as log:
            self._run = kept(list(self.command), None, log.fileno(), environment, _PATIENCE_S)
        self._session_file.write_text(str(self._run.pid))

    def wait_until(self, ready: Callable[[], bool], limit_s: float = 60.0) -> None:
        """Wait until it is ready.

        Raises:
            MaintenanceError: it ended, or was not ready in time; with the end of its log.
        """
        deadline = time.monotonic() + limit_s
        while not ready():
            self.check_alive()
            if time.monotonic() > deadline:
                raise self._error(f"not ready after {limit_s:.0f} s", "not_ready")
            time.sleep(_POLL_S)

    def check_alive(self) -> None:
        """Check that it is running.

        Raises:
            MaintenanceError: it has ended; with the end of its log.
        """
        if self._run is None or self._run.poll() is not None:
            raise self._error("has ended", "ended")

    def ask_to_stop(self) -> None:
        """Begin to stop it; `stop` waits for the end."""
        if self._run is not None and self._run.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._run.stdin.close()

    def stop(self) -> None:
        """Stop it and wait; no effect if it does not run."""
        self.ask_to_stop()
        run, self._run = self._run, None
        if run is not None:
            run.wait()
            self._session_file.unlink(missing_ok=True)

    def end_leftover(self) -> None:
        """Stop a program left over from a killed run, with all its child processes.

        At once: its database ended with that run, so it has nothing left to do.

        Raises:
            MaintenanceError: it did not end.
        """
        if not self._session_file.exists():
            return
        session = int(self._session_file.read_text() or 0)
        deadline = time.monotonic() + _PATIENCE_S
        while members := list(self._members(session)):
            if time.monotonic() > deadline:
                raise MaintenanceError(f"{self.name} of an earlier run: {members} did not end")
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(os.getpgid(pid), signal.SIGKILL)
            time.sleep(_POLL_S)
        self._session_file.unlink()

    def _members(self, session: int) -> Iterator[int]:
        """Yield the processes of the session that run our command; none if its id was reused."""
        for pid in processes.find(self.command[-1]):
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == session:
                    yield pid

    @property
    def _session_file(self) -> Path:
        return self.log.with_suffix(".session")

    def _error(self, what: str, reason: str) -> MaintenanceError:
        text = Text.from_ansi(self.log.read_text(errors="replace").strip()).plain
        lines = "\n".join(text.splitlines()[-_LAST_LINES:])
        return MaintenanceError(
            f"{self.name}: {what}\n{lines}", hint=f"log: {self.log}", reason=reason
        )
