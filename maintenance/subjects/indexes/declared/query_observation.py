"""The observation of declared queries: frozen, free of sessions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from maintenance.engine.actions import Action, ActionKind
from maintenance.names import QualifiedName
from maintenance.policy.query_sql import DeclaredQuery
from maintenance.subjects.indexes.declared.plan_reader import QueryPlan
from maintenance.subjects.indexes.declared.query_expectation import Expectation, expectation
from maintenance.subjects.indexes.declared.query_models import (
    Measurement,
    PlannedQuery,
    QueryKey,
    Timing,
)
from maintenance.subjects.indexes.declared.query_service import (
    QueryService,
    Service,
    Share,
    as_good,
)
from maintenance.subjects.indexes.declared.query_verdicts import (
    ProvenIndex,
    QueryUse,
    Reason,
    Use,
    judge,
)
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
        covered: declared indexes that are not built, because another one does all that they would.
        missing: declared indexes that do not exist, or not as declared.
        others: all indexes of the tables of declared ones, by name.
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
    covered: tuple[ProvenIndex, ...] = ()
    missing: tuple[ProvenIndex, ...] = ()
    others: Mapping[QualifiedName, ProvenIndex] = field(
        default_factory=dict[QualifiedName, ProvenIndex]
    )

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
                use = judge(index, query, plans, planned.settled)
                if use.use is Use.UNUSED:
                    plan = plans.plan(planned.settled)
                    use = self._with_as_good(index, query, plan) or use
                yield QueryKey(query.name, number), use

    def _with_as_good(
        self, index: ProvenIndex, query: DeclaredQuery, plan: QueryPlan
    ) -> QueryUse | None:
        """Return that a query does not need an index; None if it does."""
        other = as_good(plan, query, index, self.others)
        if other is None:
            return None
        text = f"the planner takes {other}, which serves it as well; one of both can go"
        return QueryUse(Use.UNUSED, Reason.AS_GOOD, text)

    def share(self) -> Share:
        """Return the queries that have a declared index, and what serves each."""
        found: list[QueryService] = []
        for query, planned in zip(self.queries, self.planned, strict=True):
            meant = [i for i in (*self.indexes, *self.covered) if is_for(i, planned)]
            missing = [index for index in self.missing if is_for(index, planned)]
            if not meant and not missing:
                continue
            wanted = tuple(index.relation for index in (*meant, *missing))
            for number in query.numbers:
                service, by, text = self._service(query, planned, number, meant)
                key = QueryKey(query.name, number)
                found.append(QueryService(key, service, by, wanted, text))
        return Share(tuple(found))

    def _service(
        self,
        query: DeclaredQuery,
        planned: PlannedQuery,
        number: int,
        meant: Sequence[ProvenIndex],
    ) -> tuple[Service, QualifiedName | None, str]:
        """Return what serves a query, the index that does, and why none does."""
        plans = planned.sets.get(number)
        if plans is None:
            text = planned.failure.text if planned.failure is not None else ""
            return Service.UNKNOWN, None, text
        plan = plans.plan(planned.settled)
        for index in meant:
            if plan.uses(index.relation):
                return Service.DECLARED, index.relation, ""
        declared = {each.relation for each in self.indexes}
        for index in meant:
            other = as_good(plan, query, index, self.others)
            if other is not None:
                service = Service.DECLARED if other in declared else Service.ANOTHER
                return service, other, ""
        if not meant:
            return Service.MISSING, None, ""
        if all(index.is_of_small_table for index in meant):
            return Service.SMALL, None, ""
        present = [index for index in meant if index in self.indexes]
        text = judge(present[0], query, plans, planned.settled).text if present else ""
        return Service.NONE, None, text

    def proofs_of(self, index: ProvenIndex) -> list[TimedProof]:
        """Return the times of the queries that an index is for, around its last build."""
        name = str(index.relation)
        return [
            each
            for each in self.proofs
            if each.index == name and (not index.serves or each.key.query in index.serves)
        ]

    def expectation(self, index: ProvenIndex) -> Expectation | None:
        """Return how the last build of an index compares with what was expected of it.

        None if nothing was expected, or no build was measured.
        """
        proofs = self.proofs_of(index)
        if index.expect is None or not proofs:
            return None
        keys = {
            QueryKey(query.name, number)
            for query in self.queries
            if query.name in index.serves
            for number in query.numbers
        }
        return expectation(
            index.expect,
            [Timing(each.before_ms) for each in proofs],
            [Timing(each.after_ms) for each in proofs],
            is_small=index.is_of_small_table,
            is_complete=keys <= {each.key for each in proofs},
        )


def is_for(index: ProvenIndex, query: PlannedQuery) -> bool:
    """Whether an index is for a query."""
    if index.serves:
        return query.query in index.serves
    plans = (plans.custom for plans in query.sets.values())
    return query.names(index.table) or any(plan.reads(index.table) for plan in plans)


NO_QUERIES = QueriesObservation()
"""The observation of a policy without declared queries and indexes."""


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
