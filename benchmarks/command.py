"""The command line as its users run it, in a process of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.tables import URL_VARIABLE
from maintenance.policy import Policy

_PER_MB = 2**20 if sys.platform == "darwin" else 2**10  # of the kernel's unit


class Cost(NamedTuple):
    """What one process took."""

    seconds: float
    peak_mb: float


def run_plan(policy: Policy, url: str) -> Cost:
    """Run `maintenance plan --json`, from the start of its process to the end.

    The peak is never below that of the process that calls this: the kernel hands it on.
    """
    program = Path(sys.executable).with_name("maintenance")
    began = time.perf_counter()
    process = subprocess.Popen(
        [program, "plan", "--json", "--policy", policy.path],
        stdout=subprocess.DEVNULL,
        env={**os.environ, URL_VARIABLE: url},
    )
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "maintenance plan")
    return Cost(took, usage.ru_maxrss / _PER_MB)
