"""The command line, run as a process of its own."""

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
    """The duration and peak memory of one process."""

    seconds: float
    peak_mb: float


def run_plan(policy: Policy, url: str) -> Cost:
    """Run `maintenance plan --json`, see `run`."""
    return run(policy, url, "plan")


def run(policy: Policy, url: str, command: str) -> Cost:
    """Run a command with `--json`, and measure its process from start to end.

    The peak is never below that of the calling process: the kernel passes it on.
    """
    program = Path(sys.executable).with_name("maintenance")
    # With bytecode, as for users: it is written at installation or first use.
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [program, command, "--json", "--policy", policy.path],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # a line an action
        env={**environ, URL_VARIABLE: url},
    )
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, f"maintenance {command}")
    return Cost(took, usage.ru_maxrss / _PER_MB)
