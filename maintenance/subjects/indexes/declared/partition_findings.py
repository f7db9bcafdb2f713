"""Declared queries that read all partitions, or take long to plan, as findings. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.declared.pruning import PartitionsRead, Unpruned
from maintenance.subjects.indexes.declared.query_models import PlannedQuery, PlannedSet, QueryKey

_WANTED: Mapping[Unpruned, str] = {
    Unpruned.FUNCTION: "compare the key column itself with a range of values",
    Unpruned.CAST: "give the value the type of the key column",
    Unpruned.EXPRESSION: "write the condition as the partition key is written",
    Unpruned.ALTERNATIVE: "restrict the key in each branch, or write two queries",
    Unpruned.OPERATOR: "compare the key by = or a range",
    Unpruned.SETTING: "set enable_partition_pruning = on",
    Unpruned.JOIN: "add a condition on the key with a constant, where its value is known",
    Unpruned.NO_CONDITION: "add a condition on the key, where its value is known",
    Unpruned.UNKNOWN: "look at its plan",
}
_AVOIDABLE = frozenset(
    {
        Unpruned.FUNCTION,
        Unpruned.CAST,
        Unpruned.EXPRESSION,
        Unpruned.ALTERNATIVE,
        Unpruned.SETTING,
    }
)
"""Reasons of queries that mean to restrict the key, or could; of others the rest is no mistake."""


class _Read(NamedTuple):
    """What a query reads of one partitioned table with one set of parameters."""

    key: QueryKey
    read: PartitionsRead


def partition_findings(
    database: str, limits: IndexesPolicy, queries: Sequence[PlannedQuery]
) -> Iterator[Finding]:
    """Yield the queries that leave no partition out, and those that take long to plan.

    Args:
        database: the policy's name.
        limits: of the policy.
        queries: planned.
    """
    for query in queries:
        yield from _unpruned(database, query)
        yield from _slow_to_plan(database, limits, query)


def partitions_json(queries: Sequence[PlannedQuery]) -> list[dict[str, Any]]:
    """Return what the queries read of partitioned tables, for documents."""
    return [
        {
            "query": each.key.query,
            "parameters": each.key.number,
            "planning_ms": _rounded(query.sets[each.key.number].planning_ms),
            **each.read.as_json(),
        }
        for query in queries
        for each in _reads(query)
    ]


def partitions_said(reads: Sequence[Mapping[str, Any]]) -> str:
    """Return in one line what queries read of partitioned tables, from the documents."""
    n_all = sum(each["reason"] is not None for each in reads)
    shown = f"declared queries on partitioned tables: {len(reads)} planned"
    return f"{shown}, {n_all} leave no partition out" if n_all else shown


def _reads(query: PlannedQuery) -> Iterator[_Read]:
    for number, plans in query.sets.items():
        for read in plans.partitions_read(query.settled):
            yield _Read(QueryKey(query.query, number), read)


def _unpruned(database: str, query: PlannedQuery) -> Iterator[Finding]:
    found = [each for each in _reads(query) if each.read.cause is not None]
    if not found:
        return
    worst = max(found, key=lambda each: (_is_avoidable(each), each.read.n_partitions))
    cause = worst.read.cause
    assert cause is not None, "chosen so"
    yield Finding(
        FindingKind.QUERY_NOT_PRUNED,
        Severity.WARN if _is_avoidable(worst) else Severity.INFO,
        f"{database}/queries/{query.query}",
        f"query {worst.key}: reads all {worst.read.n_partitions} partitions of"
        f" {worst.read.relation}: {cause.text}; {_WANTED[cause.reason]}",
        value=worst.read.n_read,
        data={
            "query": query.query,
            "parameters": worst.key.number,
            "mode": query.settled.value,
            "table": str(worst.read.relation),
            "partitions": worst.read.n_partitions,
            "reason": cause.reason.value,
            "text": cause.text,
            "reads": [
                {"parameters": each.key.number, **each.read.as_json()} for each in _reads(query)
            ],
        },
    )


def _is_avoidable(found: _Read) -> bool:
    return found.read.cause is not None and found.read.cause.reason in _AVOIDABLE


def _slow_to_plan(database: str, limits: IndexesPolicy, query: PlannedQuery) -> Iterator[Finding]:
    limit = limits.planning_time.total_seconds() * 1000
    times = {
        number: plans.planning_ms
        for number, plans in query.sets.items()
        if plans.planning_ms is not None
    }
    if not times:
        return
    number = max(times, key=lambda each: times[each])
    slowest = times[number]
    if slowest <= limit:
        return
    reads = query.sets[number].partitions_read(query.settled)
    n_planned = sum(read.n_read for read in reads) + _removed(query.sets[number], query)
    why = f", which has {n_planned} partitions" if n_planned else ""
    yield Finding(
        FindingKind.QUERY_PLANNING_SLOW,
        Severity.WARN,
        f"{database}/queries/{query.query}",
        f"query {QueryKey(query.query, number)}: the server takes {slowest:,.1f} ms to make its"
        f" plan{why}, wanted at most {limit:,.0f} ms; restrict the partition key by a constant,"
        " keep fewer partitions, drop unused indexes, or send it as a prepared statement",
        value=round(slowest, 2),
        threshold=limit,
        data={
            "query": query.query,
            "parameters": number,
            "partitions": n_planned,
            "times_ms": {str(each): round(time, 2) for each, time in times.items()},
        },
    )


def _removed(plans: PlannedSet, query: PlannedQuery) -> int:
    """Return how many partitions are planned and left out when an execution starts."""
    return max((each.removed_at_start for each in plans.partitions_read(query.settled)), default=0)


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if value is not None else None
