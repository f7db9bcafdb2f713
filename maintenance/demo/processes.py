"""Processes that are not children of this one: what runs under a pid, and ending it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_POLL_S = 0.02


def command_line(pid: int) -> str:
    """Return the command line of a process; empty if it does not exist."""
    if Path("/proc/self").exists():
        try:
            text = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return ""
        return text.replace("\0", " ").strip()
    command = ["ps", "-o", "command=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = done.stdout.strip()
    return "" if text == "<defunct>" else text


def runs(pid: int, mark: str) -> bool:
    """Return whether the process's command line contains a mark; protects against reused pids."""
    return pid > 0 and mark in command_line(pid)


def find(mark: str) -> Iterator[int]:
    """Yield the pids of all processes whose command lines contain a mark."""
    if Path("/proc/self").exists():
        pids = (int(each.name) for each in Path("/proc").glob("[0-9]*"))
        yield from (pid for pid in pids if runs(pid, mark))
        return
    command = ["ps", "-axww", "-o", "pid=,command="]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    yield from (int(line.split()[0]) for line in done.stdout.splitlines() if mark in line)


def end(pid: int, mark: str, *signals: signal.Signals, patience_s: float) -> bool:
    """End a process that is not a child of this one, by one signal after the other.

    Args:
        pid: the process.
        mark: text that its command line must contain.
        signals: the gentlest first.
        patience_s: time to wait after each signal.

    Returns:
        Whether it has ended.
    """
    for number in signals:
        if not runs(pid, mark):
            break
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + patience_s
        while runs(pid, mark) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    return not runs(pid, mark)
