"""Observe declared queries: their plans now, those of before, and the use of new indexes."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from maintenance.engine.observe_context import ObserveContext
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName
from maintenance.policy.declarations import DESCENDING, NULLS_FIRST
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.subjects.indexes.declared.models import (
    DeclaredIndex,
    DeclaredObservation,
    State,
)
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
from maintenance.subjects.indexes.declared.query_session import DOING, Limits
from maintenance.subjects.indexes.declared.query_verdicts import IndexKey, ProvenIndex
from maintenance.subjects.indexes.declared.query_watch import WatchedIndex, watched
from maintenance.subjects.indexes.declared.what_if import what_if
from maintenance.subjects.indexes.declared.what_if_models import WantedIndex
from maintenance.subjects.indexes.models import Catalog, Key, Table
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
    indexes = tuple(_proven(declared, catalog, _is_there))
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
    seen = QueriesObservation(
        queries,
        planned,
        indexes,
        watched=new,
        what_if=pretended,
        covered=tuple(_proven(declared, catalog, _is_covered)),
        missing=tuple(_proven(declared, catalog, _is_missing)),
        others=_others(declared, catalog) if queries else {},
    )
    if store is None or not queries:
        return seen
    baselines = recall_baselines(store, name, queries, planned, context.now - BASELINE_AGE)
    there = {str(index.relation) for index in indexes}
    # Those of the indexes whose review is due, too.
    proofs = recall_proofs(store, name, context.now - 2 * section.watch[-1])
    known = tuple(proof for proof in proofs if proof.index in there)
    return replace(seen, baselines=baselines, proofs=known)


def record_queries(context: ObserveContext, seen: QueriesObservation) -> None:
    """Record the plans of an observation.

    Raises:
        psycopg.Error: the store failed.
    """
    assert context.store is not None, "only runs with a store record"
    database = context.policy.database.name
    record_nightly(context.store, database, seen.queries, seen.measurements, context.now)


def _is_there(found: DeclaredIndex, existing: Collection[QualifiedName]) -> bool:
    del existing
    return found.state is State.SAME


def _is_covered(found: DeclaredIndex, existing: Collection[QualifiedName]) -> bool:
    """Whether an index that exists does all that a declared one would."""
    return found.state is State.COVERED and found.covered_by in existing


def _is_missing(found: DeclaredIndex, existing: Collection[QualifiedName]) -> bool:
    known = found.state not in (State.SAME, State.UNKNOWN)
    return known and not _is_covered(found, existing)


def _proven(
    declared: DeclaredObservation,
    catalog: Catalog,
    condition: Callable[[DeclaredIndex, Collection[QualifiedName]], bool],
) -> Iterable[ProvenIndex]:
    """Yield the declared indexes that meet a condition."""
    if not declared.indexes:
        return
    existing = {index.relation for index in catalog.indexes}
    for each in declared.indexes:
        if each.table is not None and condition(each, existing):
            index = proven_index(each.declaration, _pages(each.table, catalog.parts_of))
            yield replace(index, predicate=each.predicate or index.predicate)


def _others(declared: DeclaredObservation, catalog: Catalog) -> Mapping[QualifiedName, ProvenIndex]:
    """Return all usable indexes of the tables with declared ones, by name."""
    columns = {
        each.table.oid: {column.number: name for name, column in each.facts.columns.items()}
        for each in declared.indexes
        if each.table is not None and each.facts is not None
    }
    return {
        index.relation: ProvenIndex(
            index.relation,
            catalog.tables[oid].relation,
            tuple(_key(key, names) for key in index.keys),
            index.predicate,
            method=index.method,
            is_unique=index.is_unique,
        )
        for oid, names in columns.items()
        for index in catalog.indexes_of.get(oid, ())
        if index.is_valid
    }


def _key(key: Key, names: Mapping[int, str]) -> IndexKey:
    column = names.get(key.of) if isinstance(key.of, int) else None
    return IndexKey(column, bool(key.direction & DESCENDING), bool(key.direction & NULLS_FIRST))


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
    if not named:
        return {}
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
    found = {name: tree for name in built if (tree := by_name.get(name)) is not None}
    # Reads of a table on replicas are not counted here.
    tables = [tree.root.table_oid for tree in found.values()] if len(witnesses) == 1 else []
    reads = _table_reads(context, tables)
    for index in indexes:
        tree = found.get(index.relation)
        if tree is None or tree.root.is_unique:
            continue
        built_at, before = built[index.relation]
        own = sum_executions(context.store, database, built_at) if is_counted else 0
        oids = [leaf.oid for leaf in tree.leaves]
        after = reads.get(tree.root.table_oid)
        since = max(after - before, 0) if after is not None and before is not None else None
        yield watched(index.relation, index.table, oids, built_at, witnesses, own, since)


def _table_reads(context: ObserveContext, oids: Sequence[int]) -> Mapping[int, int]:
    """Return how often tables were scanned, by any index or none, since the counters began."""
    if not oids:
        return {}
    with read_transaction(context.connection, context.policy.observe.time_cap, DOING):
        rows = fetch(context.connection, "indexes", "count_table_reads", {"tables": list(oids)})
    return {row.oid: row.n_reads for row in rows}


def _hides_scans(connection: Connection) -> bool:
    """Whether scans of our plans and measurements are not counted."""
    row = connection.execute(
        "SELECT pg_catalog.has_parameter_privilege('track_counts', 'SET')"
    ).fetchone()
    return row is not None and bool(row[0])
