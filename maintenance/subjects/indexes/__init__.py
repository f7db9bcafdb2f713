"""Indexes: report missing, redundant, unused and invalid ones, with evidence of every server."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from types import MappingProxyType
from typing import Any

from maintenance.engine.actions import Action, ActionKind, HeldBy, Hold
from maintenance.engine.findings import FindingKind
from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.names import QualifiedName
from maintenance.policy import Policy
from maintenance.policy.declarations import DropDeclaration
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.advice import advise
from maintenance.subjects.indexes.candidates.findings import candidate_findings
from maintenance.subjects.indexes.candidates.models import INDEX_CANDIDATES, NO_CANDIDATES
from maintenance.subjects.indexes.candidates.observe import observe_candidates
from maintenance.subjects.indexes.declared import apply
from maintenance.subjects.indexes.declared.observe import observe_declared
from maintenance.subjects.indexes.declared.partition_findings import partitions_json
from maintenance.subjects.indexes.declared.plan import plan_declared, unfinished_rollouts
from maintenance.subjects.indexes.declared.pruning import PARTITIONS_READ
from maintenance.subjects.indexes.declared.query_findings import query_findings
from maintenance.subjects.indexes.declared.query_observation import (
    with_what_if,
)
from maintenance.subjects.indexes.declared.query_observe import observe_queries, record_queries
from maintenance.subjects.indexes.declared.query_service import DECLARED_QUERIES
from maintenance.subjects.indexes.expectations import expectation_findings
from maintenance.subjects.indexes.findings import findings
from maintenance.subjects.indexes.foreign_key_findings import (
    foreign_key_findings,
    names_to_check,
)
from maintenance.subjects.indexes.history import (
    recall,
    recall_promises,
    recall_successors,
    remember,
)
from maintenance.subjects.indexes.models import Catalog
from maintenance.subjects.indexes.observation import IndexesObservation
from maintenance.subjects.indexes.observe import (
    read_catalog,
    read_definitions,
    read_taken_names,
)
from maintenance.subjects.indexes.redundancy import replacements, with_equals
from maintenance.subjects.indexes.servers import witnesses
from maintenance.subjects.indexes.usage import Gap, ServerUsage


class Indexes(Subject[IndexesObservation]):
    """The subject `indexes`."""

    name = "indexes"
    executors = MappingProxyType(
        {
            ActionKind.CREATE_INDEX: apply.create,
            ActionKind.DROP_INVALID_INDEX: apply.drop,
            ActionKind.REPLACE_INDEX: apply.drop,
            ActionKind.DROP_INDEX: apply.drop,
            ActionKind.ADD_CONSTRAINT: apply.alter,
            ActionKind.VALIDATE_CONSTRAINT: apply.alter,
            ActionKind.ADD_COLUMN: apply.alter,
        }
    )

    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy does not switch it off."""
        return policy.indexes is not None

    def relations(self, policy: Policy) -> Collection[QualifiedName]:
        """The tables of declared indexes, constraints and columns."""
        declared = policy.indexes.declarations if policy.indexes is not None else ()
        return {d.table for d in declared if not isinstance(d, DropDeclaration)}

    def observe(self, context: ObserveContext) -> IndexesObservation:
        """Read all indexes, and their usage counters on every server."""
        limits = _limits(context.policy)
        time_cap = context.policy.observe.time_cap
        catalog = read_catalog(
            context.connection, time_cap=time_cap, min_rows=limits.low_cardinality.min_rows
        )
        heard = witnesses(context.connection, context.target)
        if context.store is not None:
            since = context.now - limits.unused.window
            heard = recall(context.store, context.policy.database.name, heard, since)
        successors = _successors(context, catalog, heard)
        replaceable = replacements(catalog)
        promised = _promised(context, with_equals(catalog, replaceable))
        advice = advise(catalog, heard, limits, context.now, successors, promised, replaceable)
        oids = [verdict.tree.root.oid for verdict in advice.verdicts]
        definitions = read_definitions(context.connection, oids, time_cap)
        names = names_to_check(advice.unindexed, catalog)
        taken = read_taken_names(context.connection, names, time_cap)
        role = context.snapshot.server.role
        declared = observe_declared(context, catalog)
        queries = observe_queries(context, catalog, declared, heard)
        candidates = observe_candidates(context.connection, context.policy, catalog, declared)
        return IndexesObservation(
            catalog, heard, advice, role, definitions, taken, declared, queries, candidates
        )

    def record(self, context: ObserveContext, seen: IndexesObservation) -> None:
        """Record the usage counters of all indexes, and the plans of declared queries."""
        assert context.store is not None, "only runs with a store record"
        remember(context.store, context.policy.database.name, seen.witnesses, context.now)
        record_queries(context, seen.queries)

    def plan(
        self, policy: Policy, seen: IndexesObservation, now: datetime, request: Request
    ) -> Plan:
        """Return the rollout of declared indexes, and the findings, of the requested tables."""
        advice = findings(policy, _limits(policy), seen, now)
        table = str(request.table) if request.table is not None else None
        unfinished = unfinished_rollouts(seen.declared)
        told = [
            finding
            for finding in advice
            if table in {None, finding.data.get("table")}
            and not (finding.kind is FindingKind.INDEX_INVALID and finding.object in unfinished)
        ]
        keys = foreign_key_findings(policy.database.name, _limits(policy), seen, request.table)
        expected = expectation_findings(_limits(policy), seen, now)
        rollout = plan_declared(seen.declared, seen.catalog, request)
        name, limits = policy.database.name, _limits(policy)
        views = [view.name for view in policy.matviews]
        asked = query_findings(name, limits, seen.queries, now, request, views)
        actions = with_what_if(rollout.actions, seen.queries.what_if)
        actions = tuple(_chosen(each, request) for each in actions)
        proposed = candidate_findings(name, seen.candidates, request)
        wanted = [each for each in expected if table in {None, each.data["table"]}]
        found = (*told, *keys, *wanted, *rollout.findings, *asked, *proposed)
        return replace(rollout, actions=actions, findings=found, facts=_facts(seen))


def _facts(seen: IndexesObservation) -> Mapping[str, Any]:
    share, reads = seen.queries.share(), partitions_json(seen.queries.planned)
    facts: dict[str, Any] = {}
    if share.queries:
        facts[DECLARED_QUERIES] = share.as_json()
    if reads:
        facts[PARTITIONS_READ] = reads
    if seen.candidates != NO_CANDIDATES:
        facts[INDEX_CANDIDATES] = seen.candidates.as_json()
    return facts


def _chosen(action: Action, request: Request) -> Action:
    """Return an action as this run is to treat it."""
    if not request.rollout:
        text = "not run: this run only compares the declared indexes; a rollout is launched by hand"
        return replace(action, held=Hold(HeldBy.NO_ROLLOUT, text))
    wave = action.detail.get("wave")
    if request.waves and wave not in request.waves:
        text = f"not run: wave {wave or 'last'} was not chosen"
        return replace(action, held=Hold(HeldBy.WAVE_NOT_CHOSEN, text))
    return action


def _successors(
    context: ObserveContext, catalog: Catalog, heard: Sequence[ServerUsage]
) -> Mapping[str, Gap]:
    if context.store is None:
        return {}
    present = chain((index.relation for index in catalog.indexes), *catalog.blind.values())
    return recall_successors(context.store, context.policy.database.name, heard, present)


def _promised(context: ObserveContext, equals: Sequence[int]) -> frozenset[str]:
    if context.store is None:
        return frozenset()
    return recall_promises(context.store, context.policy.database.name, equals, context.now)


def _limits(policy: Policy) -> IndexesPolicy:
    assert policy.indexes is not None, "a subject is asked only about what concerns it"
    return policy.indexes


INDEXES = Indexes()
