"""Checks before the demo starts: the data folder and the port."""

from pathlib import Path

from maintenance.demo import ports
from maintenance.demo.postgres import PostgresServer
from maintenance.errors import MaintenanceError, UsageError

_OTHER_FOLDER = "choose another folder with --data"


def make_folder(data: Path) -> None:
    """Create the data folder if it is missing.

    Raises:
        UsageError: it can't be created, or belongs to another user or program.
    """
    ours = data / "dagster"
    try:
        if data.exists() and not ours.exists() and any(data.iterdir()):
            raise UsageError(
                f"data folder {data} contains files that do not belong to the demo",
                hint=_OTHER_FOLDER,
            )
        ours.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise _unusable(data, exc) from exc


def claim(server: PostgresServer, data: Path) -> None:
    """Lock the data folder against other demos until the server stops.

    Raises:
        UsageError: another demo holds it.
    """
    try:
        server.claim()
    except MaintenanceError as exc:
        hint = "a demo is running there; for a second one, set --data and --port"
        raise UsageError(str(exc), hint=hint) from exc
    except OSError as exc:
        raise _unusable(data, exc) from exc


def refuse_taken(port: int) -> None:
    """Check that the UI can be served on a loopback port.

    Raises:
        UsageError: it is not a port, or in use; names the process that uses it.
    """
    if not 0 < port < 2**16:
        raise UsageError(f"--port {port}: not a port from 1 to 65535")
    if holder := ports.holder(port):
        raise UsageError(
            f"port {port} of the Dagster UI is in use by {holder}",
            hint="choose another port with --port",
        )


def _unusable(data: Path, exc: OSError) -> UsageError:
    return UsageError(
        f"data folder {data}: {(exc.strerror or 'an error').lower()}", hint=_OTHER_FOLDER
    )
