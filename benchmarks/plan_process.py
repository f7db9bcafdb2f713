"""The whole process of `maintenance plan` with nothing to do: most of it loads modules."""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.command import LIBRARIES, LOAD_LIBRARIES
from benchmarks.outcomes import OURS, Outcome, Target
from benchmarks.servers import fresh_database, session
from benchmarks.tables import URL_VARIABLE, Shape, build, write_policy
from maintenance.demo.postgres import PostgresServer

LOADED = "its commands loaded"
DATACLASSES = "of that, its dataclasses made"
LIMIT_S = 0.3
IMPORTS_LIMIT_S = 0.15
PREMAKE = 3

_COUNTED = """
import dataclasses, gc, time
gc.disable()
seconds, make = 0.0, dataclasses.dataclass

def dataclass(cls=None, /, **options):
    global seconds
    if cls is None:
        return lambda cls: dataclass(cls, **options)
    began = time.process_time()
    made = make(cls, **options)
    seconds += time.process_time() - began
    return made

dataclasses.dataclass = dataclass
import maintenance.cli.commands
print(seconds)
"""
"""Prints how long dataclasses took to make while the commands were loaded."""

_PROGRAMS = {
    OURS: "from maintenance.cli import main; main()",
    LOADED: "import gc; gc.disable(); import maintenance.cli.commands; gc.freeze()",
    LIBRARIES: LOAD_LIBRARIES,
}


@dataclass(frozen=True, slots=True)
class PlanProcess:
    """User and system CPU time, which other load on the machine changes less than wall time."""

    rounds: int = 9

    def run(self, server: PostgresServer) -> Outcome:
        shape = Shape(1, behind=24, ahead=PREMAKE)
        samples: dict[str, tuple[float, ...]] = dict.fromkeys([*_PROGRAMS, DATACLASSES], ())
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as database:
            policy = write_policy(Path(folder) / "policy.yaml", shape.tables, PREMAKE)
            with session(database.url) as connection:
                build(connection, shape)
            environment = {URL_VARIABLE: database.url}
            for _ in range(self.rounds):
                for name, program in _PROGRAMS.items():
                    command = [sys.executable, "-c", program, "plan", "--policy", str(policy.path)]
                    samples[name] += (_cpu_of(command, environment),)
                samples[DATACLASSES] += (_printed_by(_COUNTED),)
        least = median(samples[LIBRARIES])
        reason = (
            f"loading takes {median(samples[LOADED]):.2f} s, of which its libraries take"
            f" {least:.2f} and Python takes {median(samples[DATACLASSES]):.2f} to make dataclasses;"
            " the rest runs the modules of all subjects, which every policy that looks at the"
            " health of its database uses"
        )
        return Outcome(
            "maintenance plan of one table, nothing to do: the whole process",
            "s of CPU",
            samples,
            (
                Target("whole process, s of CPU", median(samples[OURS]), LIMIT_S, least, reason),
                Target(
                    "loading, s of CPU", median(samples[LOADED]), IMPORTS_LIMIT_S, least, reason
                ),
            ),
        )


def _printed_by(program: str) -> float:
    command = [sys.executable, "-c", program]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _cpu_of(command: list[str], environment: Mapping[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
