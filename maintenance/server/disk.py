"""How much room the server's disk has left, where that can be seen from here."""

import shutil
from pathlib import Path

from maintenance.server.session import Connection, fetch


def free_disk(connection: Connection, tablespace: str | None = None) -> int | None:
    """Return the bytes free where the data lies, or a tablespace does.

    None where the server is on another machine, in a container of its own, or does not tell us
    where its files are: SQL knows no way to ask for it.
    """
    (row,) = fetch(connection, "server", "find_disk")
    folder = tablespace or row.data_directory
    if folder is None or not row.is_local:
        return None
    try:
        return shutil.disk_usage(Path(folder)).free
    except OSError:
        return None
