"""Where the definitions of policies stand in a Dagster project, and what they are called there."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from maintenance.errors import UsageError

Execute = Callable[[Any, Callable[[], Iterator[Any]]], Iterator[Any]]
"""Runs the body of an asset: takes Dagster's context and the body, yields the results."""

_PART = re.compile(r"[A-Za-z0-9_]+")


def run_body(_context: Any, body: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """Run the body of an asset and nothing else."""
    yield from body()


@dataclass(frozen=True, slots=True)
class Placement:
    """How a Dagster project names what is built from policies, and runs it.

    Attributes:
        key_prefix: comes before every asset key, and, joined, before every other name.
        location: the name of the project's code location, for links of alerts.
        execute: runs the bodies of assets.
    """

    key_prefix: tuple[str, ...] = ()
    location: str = "maintenance"
    execute: Execute = run_body

    def __post_init__(self) -> None:
        """Refuse a prefix that Dagster would refuse later, in other words.

        Raises:
            UsageError: names the part.
        """
        for part in self.key_prefix:
            if not _PART.fullmatch(part):
                raise UsageError(
                    f"key_prefix: {part!r} is no part of an asset key",
                    hint="use letters, digits and underscores; give several parts as a list",
                )

    def key(self, *parts: str) -> tuple[str, ...]:
        """Return the parts of an asset key."""
        return (*self.key_prefix, *parts)

    def name(self, name: str) -> str:
        """Return the name of a job, schedule, sensor or op."""
        return "_".join((*self.key_prefix, name))


STANDALONE = Placement()
"""The project has nothing but our definitions."""
