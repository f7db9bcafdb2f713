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
    """A value and its limit, both in the unit of `text`."""

    text: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        return self.value <= self.limit

    def as_json(self) -> dict[str, Any]:
        return {"text": self.text, "value": float(f"{self.value:.4g}"), "limit": self.limit}


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
                name: [float(f"{value:.4g}") for value in values]
                for name, values in self.samples.items()
            },
            "targets": [target.as_json() for target in self.targets],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Outcome":
        """Return what `as_json` has made."""
        targets = tuple(Target(t["text"], t["value"], t["limit"]) for t in content["targets"])
        return cls(content["what"], content["unit"], content["samples"], targets)


def ratio(samples: Mapping[str, Sequence[float]], over: str, under: str) -> float:
    """Return the ratio of two contenders' samples in the same round.

    The median over rounds: samples taken one after the other share the load of the machine.
    """
    rounds = zip(samples[over], samples[under], strict=True)
    return median(one / other for one, other in rounds)


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
