"""Load SQL files: one statement per file, the newest variant that the server supports."""

import re
from functools import cache
from pathlib import Path

from maintenance.errors import MaintenanceError
from maintenance.server.capabilities import major_of

_VARIANT = re.compile(r"(?P<name>\w+?)(?:\.pg(?P<major>\d+))?\.sql\Z")
_SINCE = re.compile(r"^-- since: (?P<major>\d+)$", re.MULTILINE)


@cache
def data_root() -> Path:
    """Return the folder of `sql/`: in an installed package, else the top of the checkout."""
    packaged = Path(__file__).parents[1] / "_data"
    return packaged if packaged.is_dir() else Path(__file__).parents[2]


@cache
def load_statement(folder: str, name: str, server_version: int) -> bytes:
    """Return the newest variant of `sql/<folder>/<name>.sql` that the server supports.

    Args:
        folder: a folder of the library, such as `catalog`.
        name: the statement's name, which is its file's name.
        server_version: as libpq reports it, 150020 for 15.20.

    Raises:
        MaintenanceError: no such statement, or none that this old a server can run.
    """
    folder_path = data_root() / "sql" / folder
    return newest_variant(folder_path, name, major_of(server_version)).read_bytes()


def newest_variant(folder: Path, name: str, major: int) -> Path:
    """Return the newest of `<name>.sql` and its `<name>.pgNN.sql` that a server supports.

    Raises:
        MaintenanceError: no such statement, or none that this old a server can run.
    """
    variants = {since: path for since, path in _variants(folder, name) if since <= major}
    if not variants:
        raise MaintenanceError(f"sql/{folder.name}/{name}: no variant for PostgreSQL {major}")
    return variants[max(variants)]


def _variants(folder: Path, name: str) -> list[tuple[int, Path]]:
    found: list[tuple[int, Path]] = []
    for path in folder.glob(f"{name}*.sql"):
        match = _VARIANT.match(path.name)
        if match is not None and match["name"] == name:
            found.append((int(match["major"] or since(path.read_text())), path))
    return found


def since(text: str) -> int:
    """Return the minimum major version in a file's header."""
    match = _SINCE.search(text)
    if match is None:
        raise MaintenanceError(f"SQL file has no '-- since:' line: {text[:60]!r}")
    return int(match["major"])
