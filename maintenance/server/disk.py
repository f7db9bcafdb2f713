"""Read the free space of the server's disk, if the server is on this machine."""

import shutil
from pathlib import Path

from maintenance.server.session import Connection, fetch


def free_disk(connection: Connection, tablespace: str | None = None) -> int | None:
    """Return the free bytes of the data directory's disk, or of a tablespace's.

    None if the server is on another machine, in its own container, or its directories are not
    visible to this role: SQL has no function for free disk space.
    """
    (row,) = fetch(connection, "server", "find_disk")
    folder = tablespace or row.data_directory
    if folder is None or not row.is_local:
        return None
    try:
        return shutil.disk_usage(Path(folder)).free
    except OSError:
        return None
