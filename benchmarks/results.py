"""The newest result of each benchmark, in a file that is kept with the code."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.outcomes import Outcome, Target

FOLDER = Path(__file__).parent
FILE = "results.json"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When and where a benchmark ran.

    Attributes:
        load: the mean number of processes at work in the minute before it began.
    """

    date: str
    server_version: str
    machine: str
    load: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a benchmark brought: an outcome, or the error that ended it."""

    circumstances: Circumstances
    outcome: Outcome | None = None
    error: str | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(self.outcome.targets) if self.outcome else ()


def circumstances(server_version: str) -> Circumstances:
    """Take them down now, before a benchmark begins."""
    now = datetime.now(UTC).isoformat(timespec="minutes")
    return Circumstances(now, server_version, _machine(), round(os.getloadavg()[0], 1))


def read_results(folder: Path = FOLDER) -> dict[str, Result]:
    """Return the results by the names of benchmarks; none if nothing was measured yet."""
    path = folder / FILE
    if not path.exists():
        return {}
    stored: Mapping[str, Any] = json.loads(path.read_text())
    return {name: _result(content) for name, content in stored.items()}


def keep(new: Mapping[str, Result], folder: Path = FOLDER) -> dict[str, Result]:
    """Put results in the place of older ones of the same benchmarks; return all."""
    results = {**read_results(folder), **new}
    content = {name: _as_json(result) for name, result in results.items()}
    (folder / FILE).write_text(json.dumps(content, indent=1) + "\n")
    return results


def _as_json(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = {"circumstances": asdict(result.circumstances)}
    if result.outcome:
        found["outcome"] = result.outcome.as_json()
    if result.error:
        found["error"] = result.error
    return found


def _result(content: Mapping[str, Any]) -> Result:
    outcome = Outcome.from_json(content["outcome"]) if "outcome" in content else None
    return Result(Circumstances(**content["circumstances"]), outcome, content.get("error"))


def _machine() -> str:
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} CPUs ({_processor()}), {memory_gib:.0f} GiB, {platform.system()}"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
