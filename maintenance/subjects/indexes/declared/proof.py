"""Proof of an index: plans and times of its queries before and after the build. Pure.

A difference is claimed only where the ranges of the measured times do not overlap.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maintenance.names import QualifiedName
from maintenance.policy.declarations import DESCENDING, NULLS_FIRST, IndexDeclaration
from maintenance.policy.query_sql import DeclaredQuery
from maintenance.subjects.indexes.declared.query_expectation import Expectation, expectation
from maintenance.subjects.indexes.declared.query_models import (
    Measurement,
    Measurements,
    QueryKey,
    Timing,
)
from maintenance.subjects.indexes.declared.query_verdicts import (
    IndexKey,
    ProvenIndex,
    QueryUse,
    Reason,
    Use,
    judge,
)

SMALLEST_MS = 1.0
"""A query that became slower by less is not called slower."""


def served_by(
    table: QualifiedName,
    serves: Collection[str],
    queries: Sequence[DeclaredQuery],
    search_path: Sequence[str] = ("public",),
) -> tuple[DeclaredQuery, ...]:
    """Return the queries to measure around the build of an index.

    Args:
        table: of the index.
        serves: the names of queries that the declaration gives.
        queries: all that are declared.
        search_path: of the queries.

    Returns:
        Those that it serves, and all others that name the table: they could become slower.
    """
    return tuple(
        query
        for query in queries
        if query.name in serves
        or any(
            each.name == table.name
            and (each.schema or table.schema) == table.schema
            and (each.schema is not None or table.schema in search_path)
            for each in query.relations
        )
    )


def proven_index(declaration: IndexDeclaration, pages: int | None) -> ProvenIndex:
    """Return what the proof of a declared index needs to know of it.

    Args:
        declaration: of the index.
        pages: 8 kB blocks of its table; None if unknown.
    """
    keys = tuple(
        IndexKey(key.column, bool(key.direction & DESCENDING), bool(key.direction & NULLS_FIRST))
        for key in declaration.keys
    )
    return ProvenIndex(
        declaration.relation,
        declaration.table,
        keys,
        declaration.predicate,
        frozenset(declaration.included),
        declaration.method,
        pages,
        declaration.annotations.serves,
        declaration.annotations.expect,
        declaration.predicate,
        declaration.is_unique,
    )


@dataclass(frozen=True, slots=True)
class QueryProof:
    """One query with one set of parameters, before and after.

    Attributes:
        use: None if it could not be planned afterwards.
    """

    before: Measurement | None
    after: Measurement
    use: QueryUse | None
    is_served: bool = True

    @property
    def key(self) -> QueryKey:
        """The query and its set of parameters."""
        return self.after.key

    @property
    def timings(self) -> tuple[Timing, Timing] | None:
        """The times before and after; None if one of them is unknown."""
        before = self.before.timing if self.before is not None else None
        after = self.after.timing
        return (before, after) if before is not None and after is not None else None

    @property
    def is_replanned(self) -> bool:
        """Whether its plan is another one than before."""
        before = self.before.plan if self.before is not None else None
        after = self.after.plan
        return before is not None and after is not None and before.digest != after.digest

    @property
    def ratio(self) -> float | None:
        """How many times faster it became; None if the ranges overlap or a time is unknown."""
        timings = self.timings
        if timings is None:
            return None
        before, after = timings
        return _ratio(before.median_ms, after.median_ms, before.range_ms, after.range_ms)

    @property
    def slower(self) -> float | None:
        """How many times slower it became by another plan; None if that is not proven.

        With the plan of before, the index is not the reason.
        """
        ratio, timings = self.ratio, self.timings
        if ratio is None or timings is None or ratio >= 1 or not self.is_replanned:
            return None
        before, after = timings
        return 1 / ratio if after.median_ms - before.median_ms >= SMALLEST_MS else None

    def as_json(self) -> dict[str, Any]:
        """The proof for the detail of an action."""
        before = self.before.as_json() if self.before is not None else {}
        after = self.after.as_json()
        use = self.use
        return {
            "query": self.key.query,
            "parameters": self.key.number,
            "served": self.is_served,
            "verdict": use.use.value if use is not None else None,
            "reason": use.reason.value if use is not None and use.reason is not None else None,
            "text": use.text if use is not None else "",
            "ratio": _rounded(self.ratio),
            "slower": _rounded(self.slower),
            **{f"before_{name}": before.get(name) for name in _MEASURED},
            **{f"after_{name}": after[name] for name in _MEASURED},
        }


_MEASURED = ("mode", "plan", "cost", "median_ms", "spread_ms", "blocks", "failure")


@dataclass(frozen=True, slots=True)
class Proof:
    """What the build of one index did to its queries.

    Attributes:
        expect: how many times faster they were expected to become.
        is_small: whether its table is so small that times on it prove little.
    """

    index: QualifiedName
    queries: tuple[QueryProof, ...]
    expect: float | None = None
    is_small: bool = False

    @property
    def served(self) -> tuple[QueryProof, ...]:
        """Those of the queries that it is declared to serve, else of all."""
        return tuple(each for each in self.queries if each.is_served)

    @property
    def verdict(self) -> Use | None:
        """The best use that a served query makes of it; None if none could be planned."""
        uses = {each.use.use for each in self.served if each.use is not None}
        return next((use for use in Use if use in uses), None)

    @property
    def reason(self) -> Reason | None:
        """Why it is not used, or not fully, by the first such query."""
        return next(
            (e.use.reason for e in self.served if e.use is not None and e.use.reason is not None),
            None,
        )

    @property
    def text(self) -> str:
        """The reason in words, with its query; empty without one."""
        reasons = (e for e in self.served if e.use is not None and e.use.text)
        found = next(reasons, None)
        return f"{found.key}: {found.use.text}" if found is not None and found.use else ""

    @property
    def ratio(self) -> float | None:
        """How many times faster its served queries became together; None if that is not proven."""
        pairs = [each.timings for each in self.served]
        known = [pair for pair in pairs if pair is not None]
        if not known or len(known) < len(pairs):
            return None
        before, after = ([pair[n] for pair in known] for n in (0, 1))
        return _ratio(_sum(before), _sum(after), _sum_of_ranges(before), _sum_of_ranges(after))

    @property
    def expectation(self) -> Expectation | None:
        """How the times compare with what was expected; None if nothing was."""
        if self.expect is None:
            return None
        pairs = [pair for each in self.served if (pair := each.timings) is not None]
        before, after = ([pair[n] for pair in pairs] for n in (0, 1))
        is_complete = len(pairs) == len(self.served)
        return expectation(
            self.expect, before, after, is_small=self.is_small, is_complete=is_complete
        )

    @property
    def slowest_regression(self) -> QueryProof | None:
        """The query that became slower by most; None if none did."""
        slower = [each for each in self.queries if each.slower is not None]
        return max(slower, key=lambda each: each.slower or 0, default=None)

    def slower_than(self, factor: float) -> QueryProof | None:
        """Return the query that became slower than allowed; None if none did."""
        worst = self.slowest_regression
        return worst if worst is not None and (worst.slower or 0) > factor else None

    def as_json(self) -> dict[str, Any]:
        """The proof for the detail of an action."""
        worst, expected = self.slowest_regression, self.expectation
        return {
            "verdict": self.verdict.value if self.verdict is not None else None,
            "reason": self.reason.value if self.reason is not None else None,
            "text": self.text,
            "ratio": _rounded(self.ratio),
            "expected": self.expect,
            "expectation": expected.verdict.value if expected is not None else None,
            "slower": _rounded(worst.slower) if worst is not None else None,
            "slower_query": str(worst.key) if worst is not None else None,
            "queries": [each.as_json() for each in self.queries],
        }


def compare(
    before: Measurements,
    after: Measurements,
    index: ProvenIndex,
    queries: Sequence[DeclaredQuery],
) -> Proof:
    """Return the proof of an index from the measurements around its build.

    Args:
        before: the build.
        after: the build.
        index: that was built.
        queries: those that were measured.
    """
    by_name: Mapping[str, DeclaredQuery] = {query.name: query for query in queries}
    proofs = [
        QueryProof(
            before.get(key),
            measurement,
            _use(index, by_name[key.query], measurement),
            not index.serves or key.query in index.serves,
        )
        for key, measurement in after.items()
    ]
    return Proof(index.relation, tuple(proofs), index.expect, index.is_of_small_table)


def _use(index: ProvenIndex, query: DeclaredQuery, measured: Measurement) -> QueryUse | None:
    if measured.planned is None:
        return None
    return judge(index, query, measured.planned, measured.settled)


def _ratio(
    before: float, after: float, before_range: tuple[float, float], after_range: tuple[float, float]
) -> float | None:
    is_apart = after_range[1] < before_range[0] or after_range[0] > before_range[1]
    return before / after if is_apart and after > 0 else None


def _sum(timings: Sequence[Timing]) -> float:
    return sum(each.median_ms for each in timings)


def _sum_of_ranges(timings: Sequence[Timing]) -> tuple[float, float]:
    return sum(each.range_ms[0] for each in timings), sum(each.range_ms[1] for each in timings)


def _rounded(value: float | None) -> float | None:
    return round(value, 2) if value is not None else None
