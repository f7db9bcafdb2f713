"""What a benchmark found: samples of each contender, and whether the targets are met."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Protocol

from maintenance.demo.postgres import PostgresServer

OURS = "maintenance"
PEER = "pg_partman"


@dataclass(frozen=True, slots=True)
class Target:
    """A figure held against its limit, both in the unit of `text`."""

    text: str
    value: float
    limit: float

    @property
    def met(self) -> bool:
        return self.value <= self.limit

    def as_json(self) -> dict[str, Any]:
        return {"text": self.text, "value": self.value, "limit": self.limit, "met": self.met}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One benchmark's figures.

    Attributes:
        what: what was done, with its size.
        unit: of every sample.
        samples: each contender's, in the order of rounds; none where it is not installed.
        targets: those that could be held against a figure.
    """

    what: str
    unit: str
    samples: Mapping[str, Sequence[float]]
    targets: Sequence[Target] = field(default_factory=tuple[Target, ...])

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "unit": self.unit,
            "samples": {name: list(values) for name, values in self.samples.items()},
            "medians": {name: median(values) for name, values in self.samples.items() if values},
            "targets": [target.as_json() for target in self.targets],
        }


def ratio(samples: Mapping[str, Sequence[float]], over: str, under: str) -> float:
    """Return how many times as much one contender needs as another in the same round.

    The median over rounds: neighbours in time share what else the machine was doing.
    """
    rounds = zip(samples[over], samples[under], strict=True)
    return median(one / other for one, other in rounds)


class Benchmark(Protocol):
    """A piece of work with its size, to be measured on a server that runs."""

    def run(self, server: PostgresServer) -> Outcome:
        """Measure it; every database it makes is gone afterwards."""
        ...
