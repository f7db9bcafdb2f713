"""The results of a benchmark: samples of each contender, and the targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol

from maintenance.demo.postgres import PostgresServer

OURS = "maintenance"
PEER = "pg_partman"


@dataclass(frozen=True, slots=True)
class Target:
    """A value and its limit, both in the unit of `text`.

    Attributes:
        text: what is measured, with its unit.
        value: as measured.
        limit: at most so much is wanted.
        least: what the parts take that are not ours, measured in the same run: nothing that we
            change brings the value below it. None if it was not measured.
        reason: why the value is not lower, told where the target is missed.
    """

    text: str
    value: float
    limit: float
    least: float | None = None
    reason: str = ""

    @property
    def met(self) -> bool:
        return self.value <= self.limit

    @property
    def verdict(self) -> str:
        """Whether it is met, and if not, whether it could be."""
        if self.met:
            return "met"
        return "out of reach" if self.least is not None and self.least > self.limit else "missed"

    def as_json(self) -> dict[str, Any]:
        least = {} if self.least is None else {"least": _rounded(self.least)}
        reason = {"reason": self.reason} if self.reason else {}
        value = _rounded(self.value)
        return {"text": self.text, "value": value, "limit": self.limit, **least, **reason}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of one benchmark.

    Attributes:
        what: the measured work, with its size.
        unit: the unit of every sample.
        samples: the samples of each contender, in the order of rounds; empty if not installed.
        targets: the targets that could be evaluated.
    """

    what: str
    unit: str
    samples: Mapping[str, Sequence[float]]
    targets: Sequence[Target] = field(default_factory=tuple[Target, ...])

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "unit": self.unit,
            "samples": {
                name: [_rounded(value) for value in values] for name, values in self.samples.items()
            },
            "targets": [target.as_json() for target in self.targets],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Outcome":
        """Return what `as_json` has made."""
        targets = tuple(Target(**target) for target in content["targets"])
        return cls(content["what"], content["unit"], content["samples"], targets)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def ratio(samples: Mapping[str, Sequence[float]], over: str, under: str) -> float:
    """Return the ratio of two contenders' samples in the same round.

    The median over rounds: samples taken one after the other share the load of the machine.
    """
    rounds = zip(samples[over], samples[under], strict=True)
    return median(one / other for one, other in rounds)


def stall(
    text: str,
    beside: Sequence[float],
    idle: Sequence[float],
    elsewhere: Sequence[float],
    limit: float,
    reason: str = "",
) -> Target:
    """Return the target of the longest wait of writers; the least is theirs without other work.

    A writer elsewhere that waited as long at the same moment is told as the reason, and excuses
    nothing: no lock on the table held it up, but our work may have kept the disk busy.

    Args:
        text: what is measured.
        beside: the longest of each round beside the work.
        idle: the same without other work.
        elsewhere: at the moment of the longest of each round, that of a writer elsewhere.
        limit: at most so much is wanted.
        reason: why the wait is not shorter.
    """
    worst_ms, then_ms = max(zip(beside, elsewhere, strict=True))
    told = f"at the same moment, a write to a table that nothing maintains took {then_ms:.0f} ms"
    return Target(
        text,
        worst_ms,
        limit,
        max(idle),
        "; ".join(each for each in (told, reason) if each),
    )


def times(samples: Mapping[str, Sequence[float]], name: str, first: str) -> float:
    """Return the ratio that targets use; of medians if there are no pairs of rounds."""
    if name == first:
        return 1.0
    if len(samples[name]) == len(samples[first]):
        return ratio(samples, name, first)
    return median(samples[name]) / median(samples[first])


class Benchmark(Protocol):
    """A piece of work with its size, to be measured on a running server."""

    def run(self, server: PostgresServer) -> Outcome:
        """Measure it; all databases that it creates are dropped."""
        ...
