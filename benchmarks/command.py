"""The command line, run as a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.tables import URL_VARIABLE
from benchmarks.timing import seconds
from maintenance.policy import Policy

_PER_MB = 2**20 if sys.platform == "darwin" else 2**10  # of the kernel's unit
_METER = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
took = time.perf_counter() - began
process.returncode = os.waitstatus_to_exitcode(status)
print(json.dumps([process.returncode, took, usage.ru_maxrss]))
"""
"""A small process between: the kernel passes the peak of the one that starts a command on to it."""


LIBRARIES = "its libraries loaded alone"
LOAD_LIBRARIES = (
    "import gc; gc.disable(); import click, psycopg, pydantic, rich.console, yaml; gc.freeze()"
)
"""The program of a process that loads them as ours does."""


class Cost(NamedTuple):
    """The duration and peak memory of one process."""

    seconds: float
    peak_mb: float


def load_libraries() -> float:
    """Time a process that only loads what every command needs, in seconds."""
    program = [sys.executable, "-c", LOAD_LIBRARIES]
    return seconds(lambda: subprocess.run(program, check=True))


def run_plan(policy: Policy, url: str) -> Cost:
    """Run `maintenance plan --json`, see `run`."""
    return run(policy, url, "plan")


def run(policy: Policy, url: str, command: str) -> Cost:
    """Run a command with `--json`, and measure its process from start to end."""
    program = Path(sys.executable).with_name("maintenance")
    arguments = [str(program), command, "--json", "--policy", str(policy.path)]
    # With bytecode, as for users: it is written at installation or first use.
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _METER, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        env={**environ, URL_VARIABLE: url},
    )
    code, took, peak = json.loads(done.stdout)
    if code:
        raise subprocess.CalledProcessError(code, f"maintenance {command}")
    return Cost(took, peak / _PER_MB)
