"""Observe all views of a policy: their state, their sources and their recorded refreshes."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from maintenance.engine.observe_context import ObserveContext
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName
from maintenance.policy import MatviewPolicy, Policy
from maintenance.policy.view_sql import read_view_query
from maintenance.server.session import Connection, fetch, process_of, read_transaction
from maintenance.store import (
    Refresh,
    first_run,
    known_definitions,
    newest_failures,
    newest_refreshes,
)
from maintenance.subjects.matviews.catalog import read_catalog, read_moment
from maintenance.subjects.matviews.ddl import is_unindexed
from maintenance.subjects.matviews.definitions import as_temporary_view, compare, identity_of
from maintenance.subjects.matviews.dependencies import written_reads
from maintenance.subjects.matviews.fingerprint import Catalog, closure, fingerprint_of
from maintenance.subjects.matviews.models import (
    Definition,
    Matview,
    MatviewsObservation,
    Moment,
    Node,
)
from maintenance.subjects.matviews.ownership import read_ownership
from maintenance.subjects.matviews.unique_index import find_obstacle


@dataclass(frozen=True, slots=True)
class Ledger:
    """Recorded refreshes: the newest successful ones, and the failures since."""

    refreshes: Mapping[str, Refresh]
    failures: Mapping[str, Refresh]

    def changed(self, names: Collection[QualifiedName]) -> dict[QualifiedName, int]:
        """Return, for each of the given views, the newest refresh that changed its rows."""
        found = {name: self.refreshes.get(str(name)) for name in names}
        return {name: refresh.changed_id for name, refresh in found.items() if refresh}


def read_ledger(store: Connection | None, policy: Policy) -> Ledger:
    """Read the recorded refreshes of a policy's views; empty without a store."""
    if store is None:
        return Ledger({}, {})
    name = policy.database.name
    return Ledger(newest_refreshes(store, name), newest_failures(store, name))


def observe(context: ObserveContext) -> MatviewsObservation:
    """Observe all views of a policy.

    Raises:
        MaintenanceError: the server refused a query, or a query exceeded the time cap.
    """
    policy = context.policy
    views, moment, catalog = see(context.connection, context.store, policy)
    queries = {
        section.name: read_view_query(section.definition, section.name)
        for section in policy.matviews
        if section.definition is not None
    }
    views = _with_obstacles(context.connection, policy, views)
    with read_transaction(context.connection, policy.observe.time_cap, "reading owners of views"):
        ownership = read_ownership(
            context.connection, policy.matviews, views, context.snapshot.server
        )
    names = [section.name for section in policy.matviews]
    written = {
        name: written_reads(query, policy.database.search_path, names) - {name}
        for name, query in queries.items()
    }
    return MatviewsObservation(
        views=views,
        moment=moment,
        queries=queries,
        written=written,
        definitions=dict(_definitions(context, views, queries, written)),
        labels={str(oid): str(each.name) for oid, each in catalog.relations.items()},
        near={name: context.snapshot.missing.get(name, ()) for name in names if name not in views},
        ownership=ownership,
        rights=context.snapshot.server.grants,
        known_since=first_run(context.store, policy.database.name, policy.hash)
        if context.store is not None
        else None,
        uncreatable=_uncreatable(context.store, policy, views),
    )


def _uncreatable(
    store: Connection | None, policy: Policy, views: Mapping[QualifiedName, Matview]
) -> frozenset[QualifiedName]:
    """Return the missing views whose last attempt failed; a second query only if one is missing."""
    missing = [section.name for section in policy.matviews if section.name not in views]
    if store is None or not missing:
        return frozenset()
    failures = newest_failures(store, policy.database.name)
    return frozenset(name for name in missing if str(name) in failures)


def _with_obstacles(
    connection: Connection, policy: Policy, views: Mapping[QualifiedName, Matview]
) -> dict[QualifiedName, Matview]:
    """Add to views without their unique index the reason why it can't be built."""
    found = dict(views)
    for section in policy.matviews:
        view = views.get(section.name)
        if view is not None and view.kind == "m" and is_unindexed(section, view):
            obstacle = find_obstacle(connection, policy, section, view)
            found[section.name] = replace(view, obstacle=obstacle)
    return found


def see(
    connection: Connection,
    store: Connection | None,
    policy: Policy,
    only: Collection[QualifiedName] | None = None,
) -> tuple[dict[QualifiedName, Matview], Moment, Catalog]:
    """Read fingerprints of a policy's views, or some of them, in one short transaction."""
    ledger = read_ledger(store, policy)
    sections = [s for s in policy.matviews if only is None or s.name in only]
    with read_transaction(connection, policy.observe.time_cap, "observing materialized views"):
        moment = read_moment(connection, _our_sessions(store, policy))
        rows = _named(connection, sections)
        oids = {name: row.oid for name, row in rows.items()}
        declared = {oids[d] for s in sections for d in s.depends_on if d in oids}
        own = [oids[s.name] for s in sections if s.name in oids]
        catalog = read_catalog(connection, own, declared)
    ours = [section.name for section in policy.matviews]
    changed = ledger.changed(ours)
    views = {
        section.name: _view(section, rows[section.name], catalog, oids, changed, ledger, ours)
        for section in sections
        if section.name in rows
    }
    return views, moment, catalog


def fingerprint_of_query(
    connection: Connection,
    store: Connection | None,
    policy: Policy,
    section: MatviewPolicy,
    query: str,
) -> Matview:
    """Compute the fingerprint of a query, as the baseline of the view created from it.

    Raises:
        MaintenanceError: the server refuses the query.
    """
    ledger = read_ledger(store, policy)
    with as_temporary_view(connection, policy, query) as oid:
        rows = _named(connection, [section])
        oids = {name: row.oid for name, row in rows.items()}
        extra = [oids[name] for name in section.depends_on if name in oids]
        catalog = read_catalog(connection, [oid], extra)
        reached = closure(catalog, oid, extra)
    ours = [each.name for each in policy.matviews]
    return Matview(
        name=section.name,
        oid=0,
        is_populated=False,
        unique_keys=(section.unique_index,) if section.unique_index else (),
        fingerprint=fingerprint_of(catalog, oid, reached, ledger.changed(ours)),
        reads=_reads(catalog, reached, ours) - {section.name},
    )


def _reads(
    catalog: Catalog, reached: Iterable[tuple[Node, bool]], ours: Collection[QualifiedName]
) -> frozenset[QualifiedName]:
    oids = [node.oid for node, _ in reached if node.kind == "relation"]
    names = {catalog.relations[oid].name for oid in oids if oid in catalog.relations}
    return frozenset(names & set(ours))


def _our_sessions(store: Connection | None, policy: Policy) -> list[int]:
    """Return the process id of the store's session, if the store is in this database."""
    return [process_of(store)] if store is not None and policy.store.url is None else []


def _named(connection: Connection, sections: Collection[MatviewPolicy]) -> dict[QualifiedName, Any]:
    wanted = sorted({name for s in sections for name in (s.name, *s.depends_on)})
    parameters = {"schemas": [n.schema for n in wanted], "names": [n.name for n in wanted]}
    rows = fetch(connection, "matviews", "list_matviews", parameters)
    return {QualifiedName(row.schema, row.name): row for row in rows}


def _view(
    section: MatviewPolicy,
    row: Any,
    catalog: Catalog,
    oids: Mapping[QualifiedName, int],
    changed: Mapping[QualifiedName, int],
    ledger: Ledger,
    ours: Collection[QualifiedName],
) -> Matview:
    extra = [oids[name] for name in section.depends_on if name in oids]
    reached = closure(catalog, row.oid, extra)
    return Matview(
        name=section.name,
        oid=row.oid,
        kind=row.kind,
        is_populated=row.is_populated,
        n_rows=row.n_rows,
        owner=row.owner,
        is_owner=row.is_owner,
        unknown=tuple(name for name in section.depends_on if name not in oids),
        may_refresh=row.may_refresh,
        lends=row.lends,
        unique_keys=tuple(tuple(key) for key in row.unique_keys or ()),
        state=catalog.relations[row.oid].counters,
        fingerprint=fingerprint_of(catalog, row.oid, reached, changed),
        reads=_reads(catalog, reached, ours) - {section.name},
        baseline=ledger.refreshes.get(str(section.name)),
        failure=ledger.failures.get(str(section.name)),
        columns=tuple(row.column_names),
    )


def _definitions(
    context: ObserveContext,
    views: Mapping[QualifiedName, Matview],
    queries: Mapping[QualifiedName, str],
    written: Mapping[QualifiedName, frozenset[QualifiedName]],
) -> Iterator[tuple[QualifiedName, Definition]]:
    known = known_definitions(context.store, context.policy.database.name) if context.store else {}
    for name, query in queries.items():
        view = views.get(name)
        if view is None and not written[name] <= views.keys():
            yield name, Definition()  # its sources are created first, and it is compared then
            continue
        oid = view.oid if view is not None else 0
        shape = view.fingerprint.shape if view is not None and view.fingerprint else ""
        identity = identity_of(query, context.policy.database.search_path, oid, shape)
        if view is not None and known.get(str(name), ("", None))[0] == identity:
            yield name, Definition(differs=known[str(name)][1], identity=identity)
            continue
        defined = view.oid if view is not None and view.kind == "m" else None
        try:
            yield name, compare(context.connection, context.policy, query, defined, identity)
        except UnreachableError:
            raise
        except MaintenanceError:
            continue  # unknown in this run; compared again in the next one
