"""What is looked at before anything is started: the data folder and the port."""

from pathlib import Path

from maintenance.demo import ports
from maintenance.demo.postgres import PostgresServer
from maintenance.errors import MaintenanceError, UsageError

_OTHER_FOLDER = "choose another: --data"


def make_folder(data: Path) -> None:
    """Make the data folder, unless it is there.

    Raises:
        UsageError: it can't be made, or is somebody else's.
    """
    ours = data / "dagster"
    try:
        if data.exists() and not ours.exists() and any(data.iterdir()):
            raise UsageError(
                f"data folder {data}: found other files, wanted a folder of ours or a new one",
                hint=_OTHER_FOLDER,
            )
        ours.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise _unusable(data, exc) from exc


def claim(server: PostgresServer, data: Path) -> None:
    """Keep every other demo from the data folder, until the server stops.

    Raises:
        UsageError: another one has it.
    """
    try:
        server.claim()
    except MaintenanceError as exc:
        hint = "a demo runs there; for a second one, choose --data and --port"
        raise UsageError(str(exc), hint=hint) from exc
    except OSError as exc:
        raise _unusable(data, exc) from exc


def refuse_taken(port: int) -> None:
    """Make sure that the UI can be served on a loopback port.

    Raises:
        UsageError: it is none, or taken; names who has it.
    """
    if not 0 < port < 2**16:
        raise UsageError(f"--port {port}: wanted a port, 1 to 65535")
    if holder := ports.holder(port):
        raise UsageError(
            f"port {port}: found in use by {holder}, wanted it for the Dagster UI",
            hint="choose another: --port",
        )


def _unusable(data: Path, exc: OSError) -> UsageError:
    return UsageError(
        f"data folder {data}: {(exc.strerror or 'an error').lower()}", hint=_OTHER_FOLDER
    )
