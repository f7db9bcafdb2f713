"""Peak memory of a process that archives a month and verifies it, by the size of the month."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.month import fill
from benchmarks.outcomes import Outcome, Target
from benchmarks.servers import fresh_database
from maintenance.demo.postgres import PostgresServer

ROOT = Path(__file__).parents[1]
MAX_GROWTH = 1.1

# Not from resource usage, which begins with the peak of the process that starts this one.
_ARCHIVE = """
import re, sys
from benchmarks.month import FACTS, connected, place_in
from maintenance.archives import write_archive

url, folder = sys.argv[1:]
with connected(url) as (connection, table):
    write_archive(connection, table, place_in(folder), FACTS)
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024)
"""


@dataclass(frozen=True, slots=True)
class ArchiveMemory:
    """A tenth of a month of 10 GB, and all of it."""

    n_rows: int = 55_000_000

    def run(self, server: PostgresServer) -> Outcome:
        samples: dict[str, tuple[float, ...]] = {}
        for n_rows in (self.n_rows // 10, self.n_rows):
            with fresh_database(server) as database, tempfile.TemporaryDirectory() as folder:
                size_gb = fill(database.url, n_rows)
                done = subprocess.run(
                    [sys.executable, "-c", _ARCHIVE, database.url, folder],
                    check=True,
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                )
            samples[f"{n_rows:,} rows, {size_gb:.2f} GB"] = (float(done.stdout),)
        (tenth,), (whole,) = samples.values()
        return Outcome(
            "archived and verified: peak memory of the process",
            "MB",
            samples,
            (Target("of the whole over that of its tenth", whole / tenth, MAX_GROWTH),),
        )
