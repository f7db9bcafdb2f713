"""Plans and measurements of declared queries: frozen, free of sessions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Any, NamedTuple

from maintenance.names import QualifiedName
from maintenance.policy.query_sql import RelationName
from maintenance.subjects.indexes.declared.plan_reader import NO_BUFFERS, Buffers, QueryPlan
from maintenance.subjects.indexes.declared.pruning import PartitionsRead

SPREAD_FROM = 5
"""From so many executions on, the fastest and the slowest do not count for the spread."""


class PlanMode(StrEnum):
    """How the server plans a prepared statement (PostgreSQL manual, plan_cache_mode).

    Custom: again for each execution, with the values of its parameters. Generic: once, for all
    values; what depends on a value, such as the use of a partial index, is not possible then.
    """

    CUSTOM = "custom"
    GENERIC = "generic"


class NotRun(StrEnum):
    """Why a query has no plan or no measurement."""

    NO_RELATION = "no_relation"
    VOLATILE = "volatile_function"
    RIGHTS = "rights"
    LOCKED = "locked"
    TIME_LIMIT = "time_limit"
    BUDGET = "budget"
    ERROR = "error"


class Failure(NamedTuple):
    """Why a query has no plan or no measurement, as a code and in words without values.

    Attributes:
        missing: the relations that it names and that do not exist.
    """

    reason: NotRun
    text: str
    sqlstate: str | None = None
    hint: str = ""
    missing: tuple[RelationName, ...] = ()


class QueryRelation(NamedTuple):
    """A table or view that a query names.

    Attributes:
        pages: 8 kB blocks by the catalog; of a partitioned table, 0.
        rows: by the catalog; -1 if unknown.
    """

    oid: int
    relation: QualifiedName
    kind: str
    pages: int = 0
    rows: float = -1


class QueryKey(NamedTuple):
    """One query with one of its sets of parameters.

    Attributes:
        number: of the set, from 1.
    """

    query: str
    number: int

    def __str__(self) -> str:
        return f"{self.query} (parameters {self.number})"


@dataclass(frozen=True, slots=True)
class PlannedSet:
    """The plans of one query with one set of parameters.

    Attributes:
        generic: None for a query without parameters.
        forced: the custom plan if sequential scans are disabled; None if it is the same.
        extended: by index, the custom plan of the query with the index's predicate added, and
            without sequential scans.
        partitions: what the plan of each mode reads of partitioned tables.
        planning_ms: the shortest time of several in which the server made the custom plan; None if
            it was not measured.
    """

    custom: QueryPlan
    generic: QueryPlan | None = None
    forced: QueryPlan | None = None
    extended: Mapping[QualifiedName, QueryPlan] = field(
        default_factory=dict[QualifiedName, QueryPlan]
    )
    partitions: Mapping[PlanMode, tuple[PartitionsRead, ...]] = field(
        default_factory=dict[PlanMode, tuple[PartitionsRead, ...]]
    )
    planning_ms: float | None = None

    def partitions_read(self, mode: PlanMode) -> tuple[PartitionsRead, ...]:
        """Return what the plan of a mode reads; of the custom one if there is no other."""
        return self.partitions.get(mode, self.partitions.get(PlanMode.CUSTOM, ()))

    def plan(self, mode: PlanMode) -> QueryPlan:
        """Return the plan of a mode; the custom one if there is no other."""
        is_generic = mode is PlanMode.GENERIC and self.generic is not None
        return self.generic if is_generic and self.generic is not None else self.custom


@dataclass(frozen=True, slots=True)
class PlannedQuery:
    """The plans of one query.

    Attributes:
        sets: by the number of the parameters.
        settled: which plan the server uses from the sixth execution on, where an application
            prepares the statement.
        failure: why there is none.
    """

    query: str
    relations: tuple[QueryRelation, ...] = ()
    sets: Mapping[int, PlannedSet] = field(default_factory=dict[int, PlannedSet])
    settled: PlanMode = PlanMode.CUSTOM
    failure: Failure | None = None

    @property
    def tables(self) -> frozenset[QualifiedName]:
        """The tables and views that the query names, and those that its plans read."""
        plans = (each.custom for each in self.sets.values())
        read = (access.relation for plan in plans for access in plan.accesses)
        return frozenset((*(each.relation for each in self.relations), *read))

    def names(self, table: QualifiedName) -> bool:
        """Whether the query names a table or view."""
        return any(each.relation == table for each in self.relations)


@dataclass(frozen=True, slots=True)
class Timing:
    """The measured executions of one query, warmed.

    Attributes:
        times_ms: of all measured executions, in their order.
        buffers: of the median execution.
    """

    times_ms: tuple[float, ...]
    buffers: Buffers = NO_BUFFERS

    @property
    def median_ms(self) -> float:
        """The median of the times."""
        return median(self.times_ms)

    @property
    def range_ms(self) -> tuple[float, float]:
        """The fastest and the slowest time; of five or more times, without the two extremes."""
        ordered = sorted(self.times_ms)
        if len(ordered) >= SPREAD_FROM:
            ordered = ordered[1:-1]
        return ordered[0], ordered[-1]

    @property
    def spread_ms(self) -> float:
        """The width of the range."""
        low, high = self.range_ms
        return high - low


@dataclass(frozen=True, slots=True)
class Measurement:
    """One query with one set of parameters, planned and executed.

    Attributes:
        settled: which plan the server settles on for a prepared statement.
        planned: the plans; None if it could not be planned.
        timings: by mode; the generic plan is measured only if it differs from the custom one.
        failure: why it was not measured.
    """

    key: QueryKey
    settled: PlanMode = PlanMode.CUSTOM
    planned: PlannedSet | None = None
    timings: Mapping[PlanMode, Timing] = field(default_factory=dict[PlanMode, Timing])
    failure: Failure | None = None

    @property
    def plan(self) -> QueryPlan | None:
        """The plan that the server settles on."""
        return self.planned.plan(self.settled) if self.planned is not None else None

    @property
    def timing(self) -> Timing | None:
        """The times of the plan that the server settles on."""
        return self.timings.get(self.settled) or self.timings.get(PlanMode.CUSTOM)

    def as_json(self) -> dict[str, Any]:
        """The measurement for the detail of an action."""
        plan, timing = self.plan, self.timing
        return {
            "query": self.key.query,
            "parameters": self.key.number,
            "mode": self.settled.value,
            "plan": plan.describe() if plan is not None else None,
            "cost": plan.cost if plan is not None else None,
            "median_ms": round(timing.median_ms, 3) if timing is not None else None,
            "spread_ms": round(timing.spread_ms, 3) if timing is not None else None,
            "blocks": timing.buffers.total if timing is not None else None,
            "failure": self.failure.reason.value if self.failure is not None else None,
        }


Measurements = Mapping[QueryKey, Measurement]
"""Measurements by query and set of parameters."""
