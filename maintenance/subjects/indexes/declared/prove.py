"""Measure the queries of an index before and after its build, and keep both in the store."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action
from maintenance.formatting import PAGE_BYTES
from maintenance.names import QualifiedName, parse_name
from maintenance.policy.declarations import IndexDeclaration
from maintenance.policy.query_sql import DeclaredQuery
from maintenance.subjects.indexes.declared.proof import Proof, compare, proven_index, served_by
from maintenance.subjects.indexes.declared.queries import measure
from maintenance.subjects.indexes.declared.query_history import record_proof
from maintenance.subjects.indexes.declared.query_models import Measurement, Measurements
from maintenance.subjects.indexes.declared.query_session import schemas_of
from maintenance.subjects.indexes.declared.query_verdicts import ProvenIndex

BUDGET = 10
"""All queries of an index together may take so many times the limit of one execution."""


@dataclass(frozen=True, slots=True)
class Before:
    """The queries of an index, measured before its build.

    Attributes:
        index: by the name under which it is built.
        declared: its name in the declaration.
    """

    index: ProvenIndex
    declared: QualifiedName
    queries: tuple[DeclaredQuery, ...]
    measurements: Measurements


def measure_before(context: ActionContext, action: Action) -> Before | None:
    """Measure the queries that an index is for, and the others of its table.

    Args:
        context: of the action.
        action: builds a declared index.

    Returns:
        None if there is no such query.

    Raises:
        MaintenanceError: the catalog could not be read.
        UnreachableError: the connection was lost.
        psycopg.Error: the store failed.
    """
    section = context.policy.indexes
    declared = section.declarations if section is not None else ()
    # A replacement is built under another name, which it keeps until the old one is gone.
    name = action.detail.get("takes_name_of") or action.object
    found = (
        each
        for each in declared
        if isinstance(each, IndexDeclaration) and str(each.relation) == name
    )
    declaration = next(found, None)
    if section is None or declaration is None:
        return None
    path = schemas_of(context.policy.database.search_path)
    queries = served_by(
        declaration.table, declaration.annotations.serves, section.declared_queries, path
    )
    if not queries:
        return None
    size: int = action.detail.get("relation_bytes") or 0
    index = proven_index(declaration, size // PAGE_BYTES or None)
    index = replace(index, relation=parse_name(action.object))
    measured = measure(context, queries, budget=BUDGET * section.proof.time_limit)
    before = Before(index, declaration.relation, queries, measured)
    _keep(context, before, measured, "before")
    return before


def measure_after(context: ActionContext, before: Before) -> Proof:
    """Measure the same queries after the build, and return the proof.

    Args:
        context: of the action.
        before: the measurements before the build.

    Raises:
        MaintenanceError: the catalog could not be read.
        UnreachableError: the connection was lost.
        psycopg.Error: the store failed.
    """
    section = context.policy.indexes
    assert section is not None, "it declares the index"
    budget = BUDGET * section.proof.time_limit
    index = before.index
    measured = dict(measure(context, before.queries, indexes=[index], budget=budget))
    suspects = _slower(compare(before.measurements, measured, index, before.queries))
    if suspects:
        # The machine may have been busy: slower is what is slower twice.
        queries = [query for query in before.queries if query.name in suspects]
        for key, again in measure(context, queries, indexes=[index], budget=budget).items():
            if again.timing is not None and _median(again) < _median(measured[key]):
                measured[key] = again
    _keep(context, before, measured, "after")
    return compare(before.measurements, measured, index, before.queries)


def _slower(proof: Proof) -> set[str]:
    return {each.key.query for each in proof.queries if each.slower is not None}


def _median(measurement: Measurement) -> float:
    return measurement.timing.median_ms if measurement.timing is not None else inf


def _keep(context: ActionContext, before: Before, measured: Measurements, phase: str) -> None:
    record_proof(
        context.store,
        context.policy.database.name,
        before.queries,
        measured.values(),
        datetime.now(UTC),
        phase=phase,
        run_id=context.run_id,
        index=before.declared,
    )
