"""Compare the declarations of a policy with the database, in a few short transactions."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from maintenance.engine.observe_context import ObserveContext
from maintenance.policy.declarations import (
    CheckDeclaration,
    ColumnDeclaration,
    DropDeclaration,
    IndexDeclaration,
)
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.subjects.indexes.declared.assessment import Seen, assess, to_try
from maintenance.subjects.indexes.declared.models import (
    NOTHING,
    DeclaredObservation,
    TableColumn,
    TableFacts,
)
from maintenance.subjects.indexes.declared.trial import Candidate, try_indexes
from maintenance.subjects.indexes.models import Catalog
from maintenance.subjects.indexes.observe import (
    DOING,
    read_definitions,
    read_taken_names,
)


def observe_declared(context: ObserveContext, catalog: Catalog) -> DeclaredObservation:
    """Compare every declaration of the policy with the database.

    Args:
        context: of the observation.
        catalog: all indexes and tables, read before.

    Raises:
        MaintenanceError: the server refused a query, or a query exceeded the time cap.
    """
    section = context.policy.indexes
    declarations = section.declarations if section is not None else ()
    if not declarations:
        return NOTHING
    time_cap = context.policy.observe.time_cap
    indexes = [each for each in declarations if isinstance(each, IndexDeclaration)]
    tables = {table.relation: table for table in catalog.tables.values()}
    named = {table.oid for each in indexes if (table := tables.get(each.table)) is not None}
    facts = read_table_facts(context.connection, named, time_cap)
    names = {each.name for each in indexes}
    existing = {index.relation: index for index in catalog.indexes if index.relation.name in names}
    oids = [index.oid for each in indexes if (index := existing.get(each.relation)) is not None]
    seen = Seen(
        catalog,
        tables,
        facts,
        existing,
        read_definitions(context.connection, oids, time_cap),
        read_taken_names(context.connection, names, time_cap),
    )
    candidates = [
        Candidate(place, each, tables[each.table], facts[tables[each.table].oid])
        for place, each in enumerate(indexes)
        if to_try(each, seen)
    ]
    path = context.policy.database.search_path
    trials = try_indexes(context.connection, candidates, path, time_cap)
    drops = [each for each in declarations if isinstance(each, DropDeclaration)]
    gone = {name for each in declarations for name in each.annotations.replaces}
    gone.update(each.relation for each in drops)
    return DeclaredObservation(
        assess(indexes, seen, trials, gone),
        tuple(drops),
        tuple(each for each in declarations if isinstance(each, CheckDeclaration)),
        tuple(each for each in declarations if isinstance(each, ColumnDeclaration)),
    )


def read_table_facts(
    connection: Connection, oids: Collection[int], time_cap: timedelta
) -> dict[int, TableFacts]:
    """Read the owners and columns of tables, by their OIDs.

    Raises:
        MaintenanceError: the server refused the query, or it exceeded the time cap.
    """
    if not oids:
        return {}
    with read_transaction(connection, time_cap, DOING):
        rows = fetch(connection, "indexes", "list_declared_tables", {"oids": sorted(oids)})
    return {row.oid: _facts(row) for row in rows}


def _facts(row: Any) -> TableFacts:
    parts = (row.numbers, row.names, row.types, row.lengths, row.not_null, row.generated)
    columns = map(TableColumn, *(part or () for part in parts))
    return TableFacts(
        row.owner, row.is_ours, row.partition_key, {each.name: each for each in columns}
    )
