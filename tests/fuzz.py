"""Feeds readers of one kind of input with many examples: QUICK in `make test`, FULL in the proof.

Example N of a kind is the same in every run. What a reader once got wrong is kept in `fuzz_corpus`,
in a folder for each kind, and is read first.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.crash.reliability_page import PAGE_WANTED, write_fuzz

T = TypeVar("T")

QUICK, FULL = 500, 10_000
"""Examples of a kind in `make test` and in `make proof`."""
LIMIT_S = 7200
CORPUS = Path(__file__).with_name("fuzz_corpus")


def fuzzed(*kinds: str, quick: int = QUICK) -> pytest.MarkDecorator:
    """Give a test each kind of input at both sizes.

    Args:
        kinds: as the page on reliability calls them.
        quick: fewer examples in `make test`, where one takes long.
    """
    full = (pytest.mark.slow, pytest.mark.timeout(LIMIT_S))
    some = [pytest.param(Fuzz(kind, quick), id=kind) for kind in kinds]
    all_ = [pytest.param(Fuzz(kind, FULL), id=f"{kind}-all", marks=full) for kind in kinds]
    return pytest.mark.parametrize("fuzz", some + all_)


@dataclass
class Fuzz:
    """One kind of input."""

    kind: str
    n: int

    def kept(self) -> list[Path]:
        """Examples that once were misread."""
        return sorted((CORPUS / self.kind.replace(" ", "_")).glob("*"))

    def seed(self, is_accepted: Callable[[random.Random], bool]) -> int:
        """Let a reader try an example for each seed; return how many it accepted."""
        n_accepted = 0
        for seed in range(self.n):
            try:
                n_accepted += is_accepted(random.Random(seed))
            except BaseException as error:
                error.add_note(f"{self.kind}, seed {seed}")
                raise
        self._end(self.n, n_accepted)
        return n_accepted

    def draw(self, examples: st.SearchStrategy[T], is_accepted: Callable[[T], bool]) -> None:
        """Let a reader try examples of a strategy, which hypothesis makes smaller if it fails."""
        accepted: list[bool] = []

        @settings(
            max_examples=self.n,
            derandomize=True,
            database=None,
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
        )
        @given(examples)
        def try_one(example: T) -> None:
            accepted.append(is_accepted(example))

        try_one()
        self._end(len(accepted), sum(accepted))

    def _end(self, n: int, n_accepted: int) -> None:
        assert 0 < n_accepted < n, f"{n_accepted} of {n} accepted: the examples prove little"
        if self.n == FULL and os.environ.get(PAGE_WANTED):
            write_fuzz(self.kind, n, n_accepted)
