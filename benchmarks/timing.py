"""Run contenders in turn, so that other load on the machine affects all of them."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from benchmarks.servers import Database

Contender = Callable[[str], float]
"""Takes a database's URL, does its work there once, and returns its sample."""


def interleave(
    contenders: Mapping[str, Contender | None],
    rounds: int,
    place: Callable[[], AbstractContextManager[Database]],
) -> dict[str, tuple[float, ...]]:
    """Run A B C A B C …, each round in the database that `place` provides.

    Returns:
        Each contender's samples, in the order of rounds; empty if it is None, not installed.
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
    """Return the duration of a piece of work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of this process for a piece of work: not that of a server."""
    began = time.process_time()
    work()
    return time.process_time() - began
