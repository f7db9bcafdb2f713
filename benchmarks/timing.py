"""Running contenders in turn, so that what disturbs the machine disturbs all of them."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from benchmarks.servers import Database

Contender = Callable[[str], float]
"""Takes a database's url, does its work there once, and returns its figure."""


def interleave(
    contenders: Mapping[str, Contender | None],
    rounds: int,
    place: Callable[[], AbstractContextManager[Database]],
) -> dict[str, tuple[float, ...]]:
    """Run A B C A B C …, each try in the database that `place` gives it.

    Returns:
        Each contender's figures, in the order of rounds; none where it is None, not installed.
    """
    samples: dict[str, tuple[float, ...]] = dict.fromkeys(contenders, ())
    for _ in range(rounds):
        for name, contender in contenders.items():
            if contender is None:
                continue
            with place() as database:
                samples[name] += (contender(database.url),)
    return samples


def seconds(work: Callable[[], object]) -> float:
    """Return how long a piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
