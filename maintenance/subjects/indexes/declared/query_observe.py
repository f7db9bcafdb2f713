"""Observe declared queries: their plans now, those of before, and the use of new indexes."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from maintenance.engine.observe_context import ObserveContext
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName
from maintenance.server.session import Connection
from maintenance.subjects.indexes.declared.models import DeclaredObservation, State
from maintenance.subjects.indexes.declared.proof import proven_index
from maintenance.subjects.indexes.declared.queries import plan_queries
from maintenance.subjects.indexes.declared.query_history import (
    recall_baselines,
    recall_builds,
    recall_proofs,
    record_nightly,
    sum_executions,
)
from maintenance.subjects.indexes.declared.query_observation import QueriesObservation
from maintenance.subjects.indexes.declared.query_session import Limits
from maintenance.subjects.indexes.declared.query_verdicts import ProvenIndex
from maintenance.subjects.indexes.declared.query_watch import WatchedIndex, watched
from maintenance.subjects.indexes.declared.what_if import what_if
from maintenance.subjects.indexes.declared.what_if_models import WantedIndex
from maintenance.subjects.indexes.models import Catalog, Table
from maintenance.subjects.indexes.trees import trees
from maintenance.subjects.indexes.usage import ServerUsage

BASELINE_AGE = timedelta(days=7)
"""A plan is compared with the one of a week ago, so a change is told for a week."""


def observe_queries(
    context: ObserveContext,
    catalog: Catalog,
    declared: DeclaredObservation,
    witnesses: Sequence[ServerUsage],
) -> QueriesObservation:
    """Plan all declared queries, and read what the store has of them.

    Args:
        context: of the observation.
        catalog: all indexes and tables, read before.
        declared: the declared indexes.
        witnesses: the usage counters of all servers.

    Raises:
        UnreachableError: the connection was lost.
        psycopg.Error: the store failed.
    """
    section = context.policy.indexes
    assert section is not None, "a subject is asked only about what concerns it"
    indexes = tuple(_present(declared, catalog))
    name, store = context.policy.database.name, context.store
    new = tuple(_watched(context, catalog, indexes, witnesses))
    limits = Limits(context.policy.observe.time_cap, context.policy.database.search_path)
    try:
        queries = section.declared_queries
        planned = plan_queries(context.connection, queries, limits, indexes) if queries else ()
        wanted, dropped = list(_wanted(declared)), _dropped(declared, catalog)
        pretended = what_if(context.connection, queries, limits, wanted, dropped)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        return QueriesObservation(indexes=indexes, watched=new, failure=str(exc))
    if store is None or not queries:
        return QueriesObservation(queries, planned, indexes, watched=new, what_if=pretended)
    baselines = recall_baselines(store, name, queries, context.now - BASELINE_AGE)
    there = {str(index.relation) for index in indexes}
    # Those of the indexes whose review is due, too.
    proofs = recall_proofs(store, name, context.now - 2 * section.watch[-1])
    return QueriesObservation(
        queries,
        planned,
        indexes,
        baselines,
        tuple(proof for proof in proofs if proof.index in there),
        new,
        pretended,
    )


def record_queries(context: ObserveContext, seen: QueriesObservation) -> None:
    """Record the plans of an observation.

    Raises:
        psycopg.Error: the store failed.
    """
    assert context.store is not None, "only runs with a store record"
    database = context.policy.database.name
    record_nightly(context.store, database, seen.queries, seen.measurements, context.now)


def _present(declared: DeclaredObservation, catalog: Catalog) -> Iterable[ProvenIndex]:
    """Yield the declared indexes that are as declared."""
    below: dict[int, list[Table]] = defaultdict(list)
    for table in catalog.tables.values():
        if table.parent is not None:
            below[table.parent].append(table)
    for each in declared.indexes:
        if each.state is State.SAME and each.table is not None:
            index = proven_index(each.declaration, _pages(each.table, below))
            yield replace(index, predicate=each.predicate or index.predicate)


def _wanted(declared: DeclaredObservation) -> Iterable[WantedIndex]:
    """Yield the declared indexes that can be built."""
    for each in declared.indexes:
        if each.state in (State.MISSING, State.INVALID) and each.table is not None:
            declaration = each.declaration
            statement = declaration.create(concurrently=False, definition=each.definition)
            yield WantedIndex(declaration.relation, declaration.table, statement)


def _dropped(
    declared: DeclaredObservation, catalog: Catalog
) -> Mapping[QualifiedName, Collection[int]]:
    """Return the OIDs of the indexes that are declared to go."""
    named = {drop.old.index.oid for drop in declared.drops if drop.old is not None}
    named |= {old.index.oid for each in declared.indexes for old in each.replaced}
    return {
        tree.root.relation: [leaf.oid for leaf in tree.leaves]
        for tree in trees(catalog)
        if tree.root.oid in named
    }


def _pages(table: Table, below: Mapping[int, Sequence[Table]]) -> int | None:
    """Return the blocks of a table with its partitions; None if they were never counted."""
    tables = [table]
    for each in tables:
        tables += below.get(each.oid, ())
    is_counted = any(each.rows >= 0 for each in tables)
    return sum(each.pages for each in tables) if is_counted else None


def _watched(
    context: ObserveContext,
    catalog: Catalog,
    indexes: Sequence[ProvenIndex],
    witnesses: Sequence[ServerUsage],
) -> Iterable[WatchedIndex]:
    """Yield the use of the indexes that runs built."""
    if context.store is None or not indexes:
        return
    database = context.policy.database.name
    built = recall_builds(context.store, database, [index.relation for index in indexes])
    if not built:
        return
    is_counted = not _hides_scans(context.connection)
    by_name = {tree.root.relation: tree for tree in trees(catalog)}
    for index in indexes:
        tree = by_name.get(index.relation)
        built_at = built.get(index.relation)
        if tree is None or built_at is None or tree.root.is_unique:
            continue
        own = sum_executions(context.store, database, built_at) if is_counted else 0
        oids = [leaf.oid for leaf in tree.leaves]
        yield watched(index.relation, index.table, oids, built_at, witnesses, own)


def _hides_scans(connection: Connection) -> bool:
    """Whether scans of our plans and measurements are not counted."""
    row = connection.execute(
        "SELECT pg_catalog.has_parameter_privilege('track_counts', 'SET')"
    ).fetchone()
    return row is not None and bool(row[0])
