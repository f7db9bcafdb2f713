"""Whether the queries of an index became as much faster as its declaration expects. Pure.

A missed expectation is claimed only if even the best reading of the measured ranges misses it.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from maintenance.subjects.indexes.declared.query_models import Timing

LEAST_MS = 1.0
"""Queries that took less before the build are no measure: what remains is mostly overhead."""


class Verdict(StrEnum):
    """How a measurement compares with what was expected."""

    MET = "met"
    MISSED = "missed"
    UNDECIDED = "undecided"
    """The ranges of the measured times include it."""
    TOO_SMALL = "too small to judge"
    """The table is small, or the queries were fast before."""
    UNMEASURED = "not measured"


class Expectation(NamedTuple):
    """What was expected of an index, and what became of it.

    Attributes:
        wanted: how many times faster its queries were to become together.
        ratio: of the medians; None if not all of its queries were measured.
        most: the most that the ranges of the times allow.
    """

    wanted: float
    verdict: Verdict
    ratio: float | None = None
    most: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The expectation for documents."""
        return {
            "wanted": self.wanted,
            "verdict": self.verdict.value,
            "ratio": round(self.ratio, 2) if self.ratio is not None else None,
            "most": round(self.most, 2) if self.most is not None else None,
        }


def expectation(
    wanted: float,
    before: Sequence[Timing],
    after: Sequence[Timing],
    *,
    is_small: bool,
    is_complete: bool,
) -> Expectation:
    """Compare the times of queries before and after a build with what was expected.

    Args:
        wanted: how many times faster.
        before: the build, one for each query and set of parameters.
        after: the build, in the same order.
        is_small: whether the table is read whole sooner anyway.
        is_complete: whether all queries of the index are among them.
    """
    if not before or not is_complete:
        return Expectation(wanted, Verdict.UNMEASURED)
    whole = sum(each.median_ms for each in before)
    ratio = whole / _positive(sum(each.median_ms for each in after))
    slowest = sum(each.range_ms[1] for each in before)
    most = slowest / _positive(sum(each.range_ms[0] for each in after))
    verdict = Verdict.UNDECIDED
    if ratio >= wanted:
        verdict = Verdict.MET
    elif is_small or whole / len(before) < LEAST_MS:
        verdict = Verdict.TOO_SMALL
    elif most < wanted:
        verdict = Verdict.MISSED
    return Expectation(wanted, verdict, ratio, most)


def _positive(milliseconds: float) -> float:
    return max(milliseconds, 0.001)
