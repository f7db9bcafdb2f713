"""CPU time and memory of all processes that belong to a folder, such as Dagster's home."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from maintenance.demo import processes


def cpu_s(folder: Path) -> float:
    """Return the CPU time of all processes that belong to a folder, and of those that ended."""
    ticks = os.sysconf("SC_CLK_TCK")
    fields = [text.rpartition(")")[2].split() for text in _files(folder, "stat")]
    return sum(int(value) for each in fields for value in each[11:15]) / ticks


def memory_mb(folder: Path) -> float:
    """Return the memory of all processes that belong to a folder; shared pages are counted once."""
    lines = [line for text in _files(folder, "smaps_rollup") for line in text.splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _files(folder: Path, name: str) -> Iterator[str]:
    """Yield a file of /proc of each process that belongs to a folder, or descends from one."""
    ours = newest = set(processes.find(str(folder)))
    # Runs descend from the code server, and their command lines name no folder.
    parents = {int(each.name): _parent(each) for each in Path("/proc").glob("[0-9]*")}
    while newest:
        newest = {pid for pid, parent in parents.items() if parent in newest} - ours
        ours = ours | newest
    for pid in ours:
        with suppress(OSError):  # it has ended
            yield Path(f"/proc/{pid}/{name}").read_text()


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
