"""Plan and measure declared queries.

Measured are warmed executions of the plan that the server settles on for a prepared statement, and
of the other one where it differs.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from maintenance.engine.action_context import ActionContext
from maintenance.names import QualifiedName
from maintenance.policy.query_sql import DeclaredQuery
from maintenance.server.owner_sessions import OwnerSessions
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.subjects.indexes.declared.plan_conditions import read_scans
from maintenance.subjects.indexes.declared.plan_reader import (
    QueryPlan,
    Roots,
    names_in,
    read_plan,
    removed_at_start,
)
from maintenance.subjects.indexes.declared.pruning import (
    Partitioning,
    PartitionsRead,
    partitions_read,
)
from maintenance.subjects.indexes.declared.query_models import (
    Failure,
    Measurement,
    Measurements,
    NotRun,
    PlanMode,
    PlannedQuery,
    PlannedSet,
    QueryKey,
    Timing,
)
from maintenance.subjects.indexes.declared.query_session import (
    DOING,
    EXECUTE,
    Limits,
    NotRunError,
    PreparedQuery,
    RunnableQuery,
    find_queries,
    prepared,
    release,
)
from maintenance.subjects.indexes.declared.query_verdicts import ProvenIndex

CUSTOM = "SET LOCAL plan_cache_mode = force_custom_plan"
GENERIC = "SET LOCAL plan_cache_mode = force_generic_plan"
_CACHE_MODE = {
    PlanMode.CUSTOM: CUSTOM,
    PlanMode.GENERIC: GENERIC,
}
_AUTO = "SET LOCAL plan_cache_mode = auto"
_NO_SEQUENTIAL = "SET LOCAL enable_seqscan = off"

_BEFORE_GENERIC = 5
"""From the next execution on, the server considers a generic plan (plancache.c)."""

_PLANNINGS = 5
"""So often the time of planning is measured; the shortest counts."""

_SLOW_S = 2.0
_FEWEST = 3
"""So often is measured what takes longer than `_SLOW_S`."""


class _Answers(NamedTuple):
    """The JSON of the plans of one set of parameters; None where there is none."""

    custom: Any
    generic: Any = None
    forced: Any = None
    extended: Mapping[QualifiedName, Any] = MappingProxyType({})
    planning_ms: float | None = None

    @property
    def present(self) -> list[Any]:
        """Those that there are."""
        plans = (self.custom, self.generic, self.forced, *self.extended.values())
        return [each for each in plans if each is not None]


@dataclass
class _Explained:
    """A query with the JSON of its plans."""

    found: RunnableQuery
    sets: dict[int, _Answers] = field(default_factory=dict[int, _Answers])
    settled: PlanMode = PlanMode.CUSTOM
    failure: Failure | None = None

    def read(self, parts: "_Partitions") -> PlannedQuery:
        """Return the query with its plans read."""
        named = [each.relation for each in self.found.relations]
        return PlannedQuery(
            self.found.query.name,
            self.found.relations,
            {number: _read_set(answers, parts, named) for number, answers in self.sets.items()},
            self.settled,
            self.failure or self.found.failure,
        )


class _Partitions(NamedTuple):
    """What is partitioned of the relations in plans.

    Attributes:
        roots: the partitioned table or index of each partition.
        tables: the partitioned tables, by name.
    """

    roots: Roots
    tables: Mapping[QualifiedName, Partitioning] = MappingProxyType({})

    def read(self, answer: Any, named: Sequence[QualifiedName]) -> tuple[PartitionsRead, ...]:
        """Return what a plan reads of them."""
        if not self.tables:
            return ()
        scans, removed = read_scans(answer), removed_at_start(answer)
        return partitions_read(scans, removed, self.tables, self.roots, named)


def _read_set(answers: _Answers, parts: _Partitions, named: Sequence[QualifiedName]) -> PlannedSet:
    roots = parts.roots
    custom = read_plan(answers.custom, roots)
    generic = read_plan(answers.generic, roots) if answers.generic is not None else None
    forced = read_plan(answers.forced, roots) if answers.forced is not None else None
    extended = {index: read_plan(each, roots) for index, each in answers.extended.items()}
    modes = {PlanMode.CUSTOM: answers.custom, PlanMode.GENERIC: answers.generic}
    read = {mode: parts.read(each, named) for mode, each in modes.items() if each is not None}
    return PlannedSet(custom, generic, forced, extended, read, answers.planning_ms)


def plan_queries(
    connection: Connection,
    queries: Sequence[DeclaredQuery],
    limits: Limits,
    indexes: Sequence[ProvenIndex] = (),
) -> tuple[PlannedQuery, ...]:
    """Plan queries with all their sets of parameters, without executing them.

    Args:
        connection: a session on the primary.
        queries: to plan.
        limits: of each plan.
        indexes: declared ones; a query that does not use a partial one is also planned with its
            predicate added, which shows whether that is why.

    Raises:
        MaintenanceError: the catalog could not be read.
        UnreachableError: the connection was lost.
    """
    with OwnerSessions() as sessions:
        explained = [
            _explained(connection, found, limits, sessions, indexes, is_timed=True)
            for found in find_queries(connection, queries, limits)
        ]
    answers = [json for each in explained for one in each.sets.values() for json in one.present]
    roots = partition_roots(connection, answers, limits.statement)
    named = [relation.relation for each in explained for relation in each.found.relations]
    tables = _partitioning(connection, [*named, *roots.values()], limits.statement)
    return tuple(each.read(_Partitions(roots, tables)) for each in explained)


def _explained(
    connection: Connection,
    found: RunnableQuery,
    limits: Limits,
    sessions: OwnerSessions,
    indexes: Sequence[ProvenIndex],
    *,
    is_timed: bool = False,
) -> _Explained:
    result = _Explained(found)
    tables = {each.relation for each in found.relations}
    partial = [each for each in indexes if each.predicate is not None and each.table in tables]
    if found.failure is not None:
        return result
    try:
        statement = prepared(connection, found, limits, sessions)
        try:
            for number in found.query.numbers:
                plans = _explain_set(statement, number, partial)
                times = statement.planning_times(number, CUSTOM, _PLANNINGS) if is_timed else []
                result.sets[number] = plans._replace(planning_ms=min(times, default=None))
            result.settled = _settled(statement, result.sets)
        finally:
            release(statement.session)
    except NotRunError as exc:
        result.failure = exc.failure
    return result


def _explain_set(statement: PreparedQuery, number: int, partial: Sequence[ProvenIndex]) -> _Answers:
    custom_mode, generic_mode = _CACHE_MODE[PlanMode.CUSTOM], _CACHE_MODE[PlanMode.GENERIC]
    variants = [[generic_mode]] if statement.query.n_parameters else []
    variants += [[custom_mode], [_NO_SEQUENTIAL]]
    *others, custom, forced = statement.explain_all(number, variants)
    generic = others[0] if others else None
    used = read_plan(forced).indexes
    extended = {
        each.relation: plan
        for each in partial
        if each.relation not in used
        and (plan := _explain_extended(statement, number, each)) is not None
    }
    return _Answers(custom, generic, forced, extended)


def _explain_extended(statement: PreparedQuery, number: int, index: ProvenIndex) -> Any:
    assert index.predicate is not None, "only asked about partial indexes"
    mode = _CACHE_MODE[PlanMode.CUSTOM]
    return statement.explain_narrowed(number, index.predicate, mode, _NO_SEQUENTIAL)


def _settled(statement: PreparedQuery, sets: Mapping[int, _Answers]) -> PlanMode:
    """Return the plan that the server uses after some executions with these parameters.

    Where both are the same, it is called custom.
    """
    if all(_is_one_plan(answers) for answers in sets.values()):
        return PlanMode.CUSTOM
    numbers = list(statement.query.numbers)
    # Anew, since plans without sequential scans would count with their cost.
    statement.prepare_again()
    for n in range(_BEFORE_GENERIC):
        statement.explain(numbers[n % len(numbers)], _CACHE_MODE[PlanMode.CUSTOM])
    chosen = statement.explain(numbers[0], _AUTO)
    is_generic = chosen == sets[numbers[0]].generic
    return PlanMode.GENERIC if is_generic else PlanMode.CUSTOM


def _is_one_plan(answers: _Answers) -> bool:
    if answers.generic is None:
        return True
    return read_plan(answers.generic).digest == read_plan(answers.custom).digest


def partition_roots(
    connection: Connection, answers: Sequence[Any], time_cap: timedelta
) -> dict[QualifiedName, QualifiedName]:
    """Return the partitioned table or index of each partition in plans.

    Raises:
        MaintenanceError: the catalog could not be read.
    """
    names = sorted({name for each in answers for name in names_in(each)})
    if not names:
        return {}
    about = {"schemas": [each.schema for each in names], "names": [each.name for each in names]}
    with read_transaction(connection, time_cap, DOING):
        rows = fetch(connection, "indexes", "list_partition_roots", about)
    return {
        QualifiedName(row.schema, row.name): QualifiedName(row.root_schema, row.root_name)
        for row in rows
    }


def _partitioning(
    connection: Connection, names: Sequence[QualifiedName], time_cap: timedelta
) -> dict[QualifiedName, Partitioning]:
    """Return how those of some relations are partitioned that are."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    about = {"schemas": [each.schema for each in wanted], "names": [each.name for each in wanted]}
    with read_transaction(connection, time_cap, DOING):
        rows = fetch(connection, "indexes", "list_partitioning", about)
    found = (
        Partitioning(
            QualifiedName(row.schema, row.name),
            row.strategy,
            row.n_partitions,
            dict(zip(row.columns, row.types, strict=True)),
            row.has_expression,
            row.is_pruning,
        )
        for row in rows
    )
    return {each.relation: each for each in found}


@dataclass(frozen=True, slots=True)
class _Clock:
    """When the time for all queries ends; None for never."""

    until: float | None

    @property
    def is_over(self) -> bool:
        """Whether it is used up."""
        return self.until is not None and time.monotonic() >= self.until


def measure(
    context: ActionContext,
    queries: Sequence[DeclaredQuery],
    *,
    indexes: Sequence[ProvenIndex] = (),
    budget: timedelta | None = None,
) -> Measurements:
    """Plan and execute queries, read-only: each once to warm the caches, then several times.

    What fails is told in its measurement; an error of a query never ends the action.

    Args:
        context: of the action.
        queries: to measure.
        indexes: as in `plan_queries`.
        budget: for all of them together; what does not fit is not measured.

    Raises:
        MaintenanceError: the catalog could not be read.
        UnreachableError: the connection was lost.
    """
    assert context.policy.indexes is not None, "declared queries are in its section"
    proof = context.policy.indexes.proof
    limits = Limits(proof.time_limit, context.policy.database.search_path)
    clock = _Clock(time.monotonic() + budget.total_seconds() if budget is not None else None)
    found: dict[QueryKey, Measurement] = {}
    for each in find_queries(context.connection, queries, limits):
        context.progress(f"measuring query {each.query.name}")
        for measurement in _measured(context, each, limits, clock, indexes):
            found[measurement.key] = measurement
    return found


def _measured(
    context: ActionContext,
    found: RunnableQuery,
    limits: Limits,
    clock: _Clock,
    indexes: Sequence[ProvenIndex],
) -> Iterator[Measurement]:
    explained = _explained(context.connection, found, limits, context.owners, indexes)
    failure = explained.failure or found.failure
    if failure is not None:
        for number in found.query.numbers:
            yield Measurement(QueryKey(found.query.name, number), failure=failure)
        return
    answers = [json for one in explained.sets.values() for json in one.present]
    planned = explained.read(
        _Partitions(partition_roots(context.connection, answers, limits.statement))
    )
    try:
        statement = prepared(context.connection, found, limits, context.owners)
    except NotRunError as exc:
        for number in found.query.numbers:
            yield Measurement(QueryKey(found.query.name, number), failure=exc.failure)
        return
    assert context.policy.indexes is not None, "declared queries are in its section"
    repeats = context.policy.indexes.proof.repeats
    try:
        for number, plans in planned.sets.items():
            key = QueryKey(found.query.name, number)
            yield _measure_set(statement, key, plans, planned.settled, repeats, clock)
    finally:
        release(statement.session)


def _measure_set(
    statement: PreparedQuery,
    key: QueryKey,
    planned: PlannedSet,
    settled: PlanMode,
    repeats: int,
    clock: _Clock,
) -> Measurement:
    modes = [settled]
    if planned.generic is not None and planned.generic.digest != planned.custom.digest:
        modes += [mode for mode in PlanMode if mode is not settled]
    timings: dict[PlanMode, Timing] = {}
    failure: Failure | None = None
    for mode in modes:
        try:
            timings[mode] = _timed(statement, key.number, mode, repeats, clock)
        except NotRunError as exc:
            failure = failure or (exc.failure if mode is settled else None)
    return Measurement(key, settled, planned, timings, failure)


def _timed(
    statement: PreparedQuery, number: int, mode: PlanMode, repeats: int, clock: _Clock
) -> Timing:
    if clock.is_over:
        text = "the time for measurements is used up"
        raise NotRunError(Failure(NotRun.BUDGET, text))
    first = _executed(statement, number, mode)
    is_slow = (first.execution_ms or 0) > 1000 * _SLOW_S
    n_times = min(repeats, _FEWEST) if is_slow else repeats
    plans = [_executed(statement, number, mode) for _ in range(n_times)]
    plans.sort(key=_time)
    times = tuple(_time(plan) for plan in plans)
    return Timing(times, plans[len(plans) // 2].buffers)


def _time(plan: QueryPlan) -> float:
    assert plan.execution_ms is not None, "it was executed"
    return plan.execution_ms


def _executed(statement: PreparedQuery, number: int, mode: PlanMode) -> QueryPlan:
    return read_plan(statement.explain(number, _CACHE_MODE[mode], how=EXECUTE))
