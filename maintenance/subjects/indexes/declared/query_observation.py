"""The observation of declared queries: frozen, free of sessions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from maintenance.engine.actions import Action, ActionKind
from maintenance.policy.query_sql import DeclaredQuery
from maintenance.subjects.indexes.declared.query_models import (
    Measurement,
    PlannedQuery,
    QueryKey,
)
from maintenance.subjects.indexes.declared.query_verdicts import ProvenIndex, QueryUse, judge
from maintenance.subjects.indexes.declared.query_watch import (
    PlanBaseline,
    TimedProof,
    WatchedIndex,
)
from maintenance.subjects.indexes.declared.what_if_models import NO_WHAT_IF, WhatIf


@dataclass(frozen=True, slots=True)
class QueriesObservation:
    """The declared queries of a policy, planned, and what the store has of them.

    Attributes:
        indexes: declared indexes that are as declared.
        baselines: earlier plans.
        proofs: times before and after recent builds, of indexes that are there.
        watched: indexes that runs built.
        what_if: plans as if the missing indexes were built; empty without HypoPG.
        failure: why nothing could be planned; empty if it could.
    """

    queries: tuple[DeclaredQuery, ...] = ()
    planned: tuple[PlannedQuery, ...] = ()
    indexes: tuple[ProvenIndex, ...] = ()
    baselines: Mapping[QueryKey, PlanBaseline] = field(default_factory=dict[QueryKey, PlanBaseline])
    proofs: tuple[TimedProof, ...] = ()
    watched: tuple[WatchedIndex, ...] = ()
    what_if: WhatIf = NO_WHAT_IF
    failure: str = ""

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """The plans of all queries, with one element for each set of parameters."""
        return tuple(
            Measurement(QueryKey(each.query, number), each.settled, planned, failure=each.failure)
            for each in self.planned
            for number, planned in each.sets.items()
        )

    def uses(self, index: ProvenIndex) -> Iterator[tuple[QueryKey, QueryUse]]:
        """Yield how each query that an index is for uses it.

        Without a declaration of the queries that it serves, these are all that read its table.
        """
        for query, planned in zip(self.queries, self.planned, strict=True):
            if not is_for(index, planned):
                continue
            for number, plans in planned.sets.items():
                yield QueryKey(query.name, number), judge(index, query, plans, planned.settled)

    def served(self) -> Mapping[QueryKey, bool]:
        """Return the queries that have a declared index, and whether they use one.

        Those that read a small table whole are left out: they say nothing of an index.
        """
        found: dict[QueryKey, bool] = {}
        for planned in self.planned:
            meant = [index for index in self.indexes if is_for(index, planned)]
            for number, plans in planned.sets.items():
                plan = plans.plan(planned.settled)
                is_served = any(plan.uses(index.relation) for index in meant)
                if is_served or not all(index.is_of_small_table for index in meant):
                    found[QueryKey(planned.query, number)] = is_served
        return found


def is_for(index: ProvenIndex, query: PlannedQuery) -> bool:
    """Whether an index is for a query."""
    if index.serves:
        return query.query in index.serves
    plans = (plans.custom for plans in query.sets.values())
    return query.names(index.table) or any(plan.reads(index.table) for plan in plans)


NO_QUERIES = QueriesObservation()
"""The observation of a policy without declared queries and indexes."""


def share(served: Mapping[QueryKey, bool]) -> float | None:
    """Return the share of queries that use a declared index; None if there is no such query."""
    return sum(served.values()) / len(served) if served else None


def with_what_if(actions: Sequence[Action], what_if: WhatIf) -> tuple[Action, ...]:
    """Return actions with what their index would change, in their detail."""
    known = {str(index): pretended.as_json() for index, pretended in what_if.indexes.items()}
    return tuple(
        replace(each, detail={**each.detail, "what_if": known[each.object]})
        if each.kind in _OF_INDEXES and each.object in known
        else each
        for each in actions
    )


_OF_INDEXES = frozenset({ActionKind.CREATE_INDEX, ActionKind.DROP_INDEX, ActionKind.REPLACE_INDEX})
