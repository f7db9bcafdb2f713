"""TCP ports on loopback: find a free port, and name the process that uses one."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from maintenance.demo.processes import command_line

LOOPBACK = "127.0.0.1"
_LISTENING = "0A"


def free_port() -> int:
    """Return a free loopback port.

    Another process may take it before the caller does: bind, and ask again if that fails.
    """
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_taken(port: int) -> bool:
    """Return whether a server can't listen on a loopback port now."""
    with socket.socket() as client:
        if client.connect_ex((LOOPBACK, port)) == 0:
            return True
    with socket.socket() as probe:
        # As servers do: lingering connections of an earlier server do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def holder(port: int) -> str:
    """Return the process that listens on a port: its pid and command line, if readable.

    Returns:
        Such as `process 4242 (redis-server *:6379)`; `another process` if it can't be
        read; empty if the port is free.
    """
    if not is_taken(port):
        return ""
    pid = next(_listening_pids(port), 0)
    return f"process {pid} ({command_line(pid)})" if pid else "another process"


def _listening_pids(port: int) -> Iterator[int]:
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    if not tables[0].exists():
        yield from _pids_by_lsof(port)
        return
    links = {f"socket:[{inode}]" for table in tables for inode in _inodes(table, port)}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            found = str(descriptor.readlink()) in links
        except OSError:  # ended meanwhile, or not readable
            continue
        if found:
            yield int(descriptor.parts[2])


def _inodes(table: Path, port: int) -> Iterator[str]:
    """Yield the inodes of sockets listening on a port, from the kernel's table (proc(5))."""
    if not table.exists():
        return
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
            yield fields[9]


def _pids_by_lsof(port: int) -> Iterator[int]:
    command = ["lsof", "-nP", "-t", f"-iTCP:{port}", "-sTCP:LISTEN"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return
    yield from map(int, done.stdout.split())
