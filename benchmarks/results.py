"""The newest result of each benchmark, in a file that is kept with the code."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.outcomes import Outcome, Target

FOLDER = Path(__file__).parent
FILE = "results.json"
IN_A_ROW = 3
"""So many runs one after the other must meet a target."""


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
    """What a benchmark brought: an outcome, or the error that ended it.

    Attributes:
        before: what the runs before measured, the newest first: the value of each target by its
            text, of as many runs as are wanted in a row with this one.
    """

    circumstances: Circumstances
    outcome: Outcome | None = None
    error: str | None = None
    before: tuple[Mapping[str, float], ...] = ()

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(self.outcome.targets) if self.outcome else ()

    def values_before(self, target: Target) -> list[float]:
        """Return what the runs before measured of a target, the newest first."""
        return [values[target.text] for values in self.before if target.text in values]

    def met_in_a_row(self, target: Target) -> bool:
        """Whether this run and those before met a target, and there were enough."""
        values = [target.value, *self.values_before(target)]
        return len(values) == IN_A_ROW and all(value <= target.limit for value in values)

    def after(self, last: "Result | None") -> "Result":
        """Return it with what the runs before it measured."""
        if last is None:
            return self
        newest = {target.text: target.value for target in last.targets}
        runs = (newest, *last.before) if newest else last.before
        return replace(self, before=runs[: IN_A_ROW - 1])


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
    known = read_results(folder)
    results = {**known, **{name: result.after(known.get(name)) for name, result in new.items()}}
    content = {name: _as_json(result) for name, result in results.items()}
    (folder / FILE).write_text(json.dumps(content, indent=1) + "\n")
    return results


def _as_json(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = {"circumstances": asdict(result.circumstances)}
    if result.outcome:
        found["outcome"] = result.outcome.as_json()
    if result.error:
        found["error"] = result.error
    if result.before:
        found["before"] = result.before
    return found


def _result(content: Mapping[str, Any]) -> Result:
    outcome = Outcome.from_json(content["outcome"]) if "outcome" in content else None
    return Result(
        Circumstances(**content["circumstances"]),
        outcome,
        content.get("error"),
        tuple(content.get("before", ())),
    )


def _machine() -> str:
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} CPUs ({_processor()}), {memory_gib:.0f} GiB, {platform.system()}"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
